"""The API once for each module and database, and clients for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
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
    server: str = request.getfixturevalue("postgres_url")
    name = f"api_{request.module.__name__.rpartition('.')[2]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {request.getfixturevalue('postgres_template')}")
        yield f"{server.rpartition('/')[0]}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def api(module_database: str) -> Iterator[Api]:
    with api_on(module_database) as running:
        yield running


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    """A client with the first shop's key."""
    with api.client() as client:
        yield client
