from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stripe

from paylink.config import Settings
from paylink.db import Database
from tests.payments.world import World, opened, sandbox


@pytest.fixture(scope="package")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One sandbox for all of these tests: each has links of its own."""
    with sandbox(tmp_path_factory.mktemp("sandbox")) as settings:
        yield settings


@pytest.fixture(autouse=True)
def _no_pause_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)


@pytest.fixture
async def world(db: Database, provider: Settings, tmp_path: Path) -> AsyncIterator[World]:
    async with opened(db, provider, tmp_path) as made:
        yield made
        await made.order(faults=[])
