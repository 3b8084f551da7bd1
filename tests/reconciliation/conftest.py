from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stripe

from paylink.config import Settings
from paylink.db import Database
from tests.payments.world import World, opened, sandbox


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own, between its tries."""
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """A database of its own: a run looks at the payments of all merchants."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Settings]:
    with sandbox(tmp_path) as settings:
        yield settings


@pytest.fixture
async def world(db: Database, provider: Settings) -> AsyncIterator[World]:
    async with opened(db, provider) as made:
        yield made
