"""Databases for the tests. Each is migrated once and copied for every test that wants one; both kinds are real."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from paylink.db import Database
from paylink.kit import logs
from paylink.schema import migrate
from tests import browser as browsers
from tests import services
from tests.databases import PostgresDatabases

# What a passing run has to say is its summary.
logs.configure(level="CRITICAL", json=False)


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
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> PostgresDatabases:
    return PostgresDatabases(postgres_url)


@pytest.fixture(scope="session")
def new_postgres(postgres_databases: PostgresDatabases) -> Callable[[], str]:
    """Makes an empty, migrated PostgreSQL database and gives its address; it goes with the cluster."""
    return postgres_databases.new


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of an empty, migrated SQLite database."""
    path = tmp_path / "paylink.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_database(postgres_databases: PostgresDatabases) -> Iterator[str]:
    """The address of an empty, migrated PostgreSQL database."""
    url = postgres_databases.lend()
    yield url
    postgres_databases.give_back(url)


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
