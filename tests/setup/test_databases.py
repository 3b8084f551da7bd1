"""What the tests themselves stand on: a database that was given back is as good as new, or not lent again."""

import psycopg
import pytest

from tests.databases import PostgresDatabases


def run(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        done = connection.execute(statement)
        return done.fetchall() if done.description else []


def test_what_was_given_back_is_empty(postgres_databases: PostgresDatabases) -> None:
    url = postgres_databases.lend()
    run(url, "INSERT INTO merchants (id, name, created_at) VALUES ('mer_1', 'Acme', now())")
    postgres_databases.give_back(url)
    assert postgres_databases.lend() == url
    assert run(url, "SELECT count(*) FROM merchants") == [(0,)]
    assert run(url, "SELECT count(*) FROM alembic_version") == [(1,)]


@pytest.mark.parametrize(
    "change",
    [
        "CREATE SCHEMA another",
        "ALTER TABLE merchants ADD COLUMN more text",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
        "DROP TABLE suppressions CASCADE",
    ],
)
def test_what_was_changed_is_not_lent_again(postgres_databases: PostgresDatabases, change: str) -> None:
    url = postgres_databases.new()
    run(url, change)
    postgres_databases.give_back(url)
    assert postgres_databases.lend() != url
