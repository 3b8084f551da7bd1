"""A desk, and the API, on each kind of database: one for all tests of a module, a merchant for each."""

from collections.abc import Iterator

import pytest

from paylink.db import Database
from tests.api.conftest import api, http, module_database
from tests.delivery.engine import Desk, desk_on

__all__ = ["api", "http", "module_database"]


@pytest.fixture(scope="module")
def module_db(module_database: str) -> Iterator[Database]:
    made = Database(module_database)
    yield made
    made.close()


@pytest.fixture
def desk(module_db: Database) -> Iterator[Desk]:
    with desk_on(module_db) as made:
        yield made
