from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from paylink.db import Base, Database
from paylink.schema import TABLES
from tests.checkout.world import World, opened_world, settings


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    assert TABLES  # imported, so that every table is known
    database = Database(f"sqlite:///{tmp_path / 'paylink.db'}")
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
async def world(db: Database) -> AsyncIterator[World]:
    async with opened_world(db, settings()) as made:
        yield made


@pytest.fixture
async def limited(db: Database) -> AsyncIterator[World]:
    """The same with rate limits on."""
    async with opened_world(db, settings(), limited=True) as made:
        yield made
