"""One database of each kind per module: every test has a merchant of its own in it."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from paylink.db import Database
from tests.chats.world import World, opened_world


@pytest.fixture(scope="module")
def sqlite_db(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("chats") / "paylink.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(scope="module")
def postgres_db(new_postgres: Callable[[], str]) -> Iterator[Database]:
    database = Database(new_postgres())
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with opened_world(request.getfixturevalue(f"{request.param}_db")) as made:
        yield made


@pytest.fixture
async def lite(sqlite_db: Database) -> AsyncIterator[World]:
    """For what no database decides."""
    async with opened_world(sqlite_db) as made:
        yield made
