"""Who asks, and what they may see: everything of their own merchant, nothing of another's."""

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from paylink.events.types import Origin


class PrincipalKind(StrEnum):
    AGENT = "agent"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in agent or an API key. ``credential_id`` is the session or the key that proved it."""

    kind: PrincipalKind
    id: str
    name: str
    merchant_id: str
    credential_id: str

    @property
    def origin(self) -> Origin:
        return Origin.AGENT if self.kind is PrincipalKind.AGENT else Origin.API

    @property
    def actor(self) -> str:
        """How the event log and the audit name them."""
        return f"{self.kind.value}:{self.id}"


def own(principal: Principal, merchant_column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """The condition every query of a principal's carries."""
    return merchant_column == principal.merchant_id
