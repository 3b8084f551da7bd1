"""Databases for the tests. Each is migrated once and copied for every test that wants one; both kinds are real."""

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser

from paylink.db import Database
from paylink.kit import logs
from paylink.schema import migrate
from tests import browser as browsers
from tests import services

# What a passing run has to say is its summary.
logs.configure(level="CRITICAL", json=False)

_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    if services.postgres_bin() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with services.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed: apt-get install redis-server")
    with services.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Path:
    found = browsers.program()
    if found is None:
        pytest.skip("Chromium is not installed: apt-get install chromium-headless-shell")
    return found


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """Closed with its module: while it is open, no asynchronous test can run in this process."""
    with browsers.launched(chromium) as opened:
        yield opened


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    _execute(postgres_url, "CREATE DATABASE template_paylink")
    _migrated(_named(postgres_url, "template_paylink"))
    return "template_paylink"


@pytest.fixture(scope="session")
def new_postgres(postgres_url: str, postgres_template: str) -> Callable[[], str]:
    """Makes an empty, migrated PostgreSQL database and gives its address; it goes with the cluster."""

    def make() -> str:
        name = f"test_{next(_numbers)}"
        _execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
        return _named(postgres_url, name)

    return make


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of an empty, migrated SQLite database."""
    path = tmp_path / "paylink.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_database(postgres_url: str, new_postgres: Callable[[], str]) -> Iterator[str]:
    """The address of an empty, migrated PostgreSQL database."""
    url = new_postgres()
    yield url
    _execute(postgres_url, f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Runs the test on both databases."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    return str(request.getfixturevalue(name))


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


def _migrated(url: str) -> None:
    database = Database(url)
    migrate(database)
    database.close()


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _named(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"
