from collections.abc import AsyncIterator, Iterator

import pytest

from paylink.db import Database
from tests.checkout.world import World, opened_world, settings
from tests.product import Product, product


@pytest.fixture
async def world(db: Database) -> AsyncIterator[World]:
    async with opened_world(db, settings()) as made:
        yield made


@pytest.fixture
async def limited(db: Database) -> AsyncIterator[World]:
    """The same with rate limits on."""
    async with opened_world(db, settings(), limited=True) as made:
        yield made


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The whole product on one node, for the tests in a real browser."""
    folder = tmp_path_factory.mktemp("checkout")
    with product(folder, f"sqlite:///{folder / 'paylink.db'}") as running:
        yield running
