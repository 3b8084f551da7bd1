"""The API once for each module and database, and clients for it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.world import Api, api_on


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty, migrated database that lives as long as the module's tests."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("api") / "paylink.db"
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, path)
        yield f"sqlite:///{path}"
        return
    new_postgres: Callable[[], str] = request.getfixturevalue("new_postgres")
    yield new_postgres()


@pytest.fixture(scope="module")
def api(module_database: str) -> Iterator[Api]:
    with api_on(module_database) as running:
        yield running


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    """A client with the first shop's key."""
    with api.client() as client:
        yield client
