from collections.abc import AsyncIterator

import pytest

from paylink.db import Database
from tests.checkout.world import World, opened_world, settings


@pytest.fixture
async def world(db: Database) -> AsyncIterator[World]:
    async with opened_world(db, settings()) as made:
        yield made


@pytest.fixture
async def limited(db: Database) -> AsyncIterator[World]:
    """The same with rate limits on."""
    async with opened_world(db, settings(), limited=True) as made:
        yield made
