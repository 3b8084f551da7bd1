"""What a request needs of the process it runs in. Made once by the composition root, handed in through the app."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from paylink.config import Settings
from paylink.db import Database
from paylink.events.hub import Hub
from paylink.jobs import JobQueue
from paylink.kit.crypto import Keyring
from paylink.limits import Limits
from paylink.psp.base import Psp


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    db: Database
    jobs: JobQueue
    limits: Limits
    hub: Hub
    psp: Psp
    # Which channels can be used here, by name.
    channels: Mapping[str, bool]

    @property
    def keyring(self) -> Keyring:
        return self.settings.keyring


def context_of(request: Request) -> Context:
    """What ``Ctx`` gives an endpoint. For those that are called most: each dependency costs them a few percent."""
    found = request.app.state.context
    assert isinstance(found, Context)  # noqa: S101 - says so to the type checker
    return found


async def context(request: Request) -> Context:
    return context_of(request)


Ctx = Annotated[Context, Depends(context)]
