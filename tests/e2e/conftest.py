"""The product on both databases, each started once for all of these tests, and a browser per module."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.desk import Desk
from tests.e2e.shop import Customer, Shop
from tests.e2e.stream import Stream
from tests.product import Product, product

# Every card in every size on every database, instead of a share of them that has each at least once.
PROVE = os.environ.get("PAYLINK_PROVE") == "1"

Visit = Callable[..., Customer]


@pytest.fixture(scope="package")
def sqlite_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One node."""
    folder = tmp_path_factory.mktemp("one-node")
    url = f"sqlite:///{folder / 'paylink.db'}"
    with product(folder, url) as made, _opened(made, "sqlite", url) as shop:
        yield shop


@pytest.fixture(scope="package")
def postgresql_shop(
    tmp_path_factory: pytest.TempPathFactory, new_postgres: Callable[[], str], redis_url: str
) -> Iterator[Shop]:
    """Two nodes: customers come to the first, agents to the second."""
    folder = tmp_path_factory.mktemp("two-nodes")
    url = new_postgres()
    with product(folder, url, PAYLINK_REDIS_URL=redis_url) as made:
        made.start(PAYLINK_CHECKOUT_URL=made.node.checkout)
        with _opened(made, "postgresql", url) as shop:
            yield shop


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest) -> Shop:
    """Runs the test on both."""
    found = request.getfixturevalue(f"{request.param}_shop")
    assert isinstance(found, Shop)
    return found


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a page in a browser of its own. In the end no page may have complained."""
    made: list[Customer] = []

    def visit(url: str, **context: Any) -> Customer:
        made.append(Customer(browser, **context))
        return made[-1].open(url)

    yield visit
    for customer in made:
        customer.context.close()
    assert [fault for customer in made for fault in customer.faults] == []


@pytest.fixture(scope="module")
def signed_in(shop: Shop, browser: Browser) -> Iterator[Desk]:
    desk = Desk(browser, shop)
    yield desk
    desk.browser.context.close()


@pytest.fixture
def forgiven() -> tuple[str, ...]:
    """What a module's tests bring the browser to complain of, in parts of its words."""
    return ()


@pytest.fixture
def desk(signed_in: Desk, forgiven: tuple[str, ...]) -> Iterator[Desk]:
    yield signed_in
    faults = [fault for fault in signed_in.browser.faults if not any(words in fault for words in forgiven)]
    signed_in.browser.faults.clear()
    assert faults == []


@contextmanager
def _opened(made: Product, name: str, url: str) -> Iterator[Shop]:
    stream = Stream(made.nodes[-1].console, made.seed["api_key"])
    shop = Shop(made, name, url, stream, secrets=[made.seed["api_key"]])
    try:
        yield shop
    finally:
        shop.stream.close()
