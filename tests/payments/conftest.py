from collections.abc import AsyncIterator, Callable, Iterator
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


@pytest.fixture(scope="package")
def payments_on_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("payments") / "paylink.db"
    path.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(scope="package")
def payments_on_postgresql(new_postgres: Callable[[], str]) -> Iterator[Database]:
    database = Database(new_postgres())
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest) -> Database:
    """Runs the test on both. They are shared: each test has a merchant of its own."""
    found = request.getfixturevalue(f"payments_on_{request.param}")
    assert isinstance(found, Database)
    return found


@pytest.fixture(autouse=True)
def _no_pause_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)


@pytest.fixture
async def world(db: Database, provider: Settings) -> AsyncIterator[World]:
    async with opened(db, provider) as made:
        yield made
        await made.order(faults=[])
