from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from paylink.db import Database
from tests.checkout.world import World, opened_world, settings
from tests.product import Product, product

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


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


@pytest.fixture(scope="module")
def chrome(chromium: Path) -> Iterator[Browser]:
    """Closed with its module: while it is open, no asynchronous test can run."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(chromium), args=ARGUMENTS)
        yield launched
        launched.close()
