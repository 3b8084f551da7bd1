"""PostgreSQL databases for the tests: copied from a migrated template, and emptied and lent again.

Copying one takes a hundred times as long as emptying it.
"""

from itertools import count

import psycopg
from psycopg import sql

from paylink.db import Database
from paylink.schema import migrate

TEMPLATE = "template_paylink"
# What the migrations themselves leave in it.
KEPT = ("alembic_version", "dbos_migrations")
# Whatever a migration makes. A test that has changed something of it leaves a database nobody can use again.
SHAPE = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
), tables AS (
    SELECT oid, oid::regclass::text AS name FROM pg_class WHERE relnamespace IN (SELECT oid FROM ours)
), parts AS (
    SELECT nspname AS part FROM ours
    UNION ALL SELECT concat_ws(' ', name, attname, atttypid, attnotnull) FROM pg_attribute JOIN tables ON oid = attrelid
    UNION ALL SELECT concat_ws(' ', name, tgname, tgenabled) FROM pg_trigger JOIN tables ON tables.oid = tgrelid
    UNION ALL SELECT concat_ws(' ', name, conname) FROM pg_constraint JOIN tables ON tables.oid = conrelid
    UNION ALL SELECT concat_ws(' ', proname, prosrc) FROM pg_proc WHERE pronamespace IN (SELECT oid FROM ours)
) SELECT md5(string_agg(part, ',' ORDER BY part)) FROM parts
"""
TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'dbos')"
SEQUENCES = "SELECT schemaname, sequencename FROM pg_sequences WHERE schemaname IN ('public', 'dbos')"
SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"

_numbers = count(1)


class PostgresDatabases:
    """Of one cluster. ``server``: the address of its maintenance database."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._free: list[str] = []
        self._execute(f"CREATE DATABASE {TEMPLATE}")
        template = self._url(TEMPLATE)
        database = Database(template)
        migrate(database)
        database.close()
        with psycopg.connect(template) as connection:
            self._shape = _shape(connection)
            self._empty = _emptying(connection)

    def new(self) -> str:
        """The address of an empty, migrated database; it goes with the cluster."""
        name = f"test_{next(_numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self._url(name)

    def lend(self) -> str:
        """The same, to be given back."""
        return self._free.pop() if self._free else self.new()

    def give_back(self, url: str) -> None:
        name = url.rpartition("/")[2]
        with psycopg.connect(self._server, autocommit=True) as server:
            server.execute(SESSIONS, [name])
        with psycopg.connect(url) as connection:
            usable = _shape(connection) == self._shape
            if usable:
                connection.execute(self._empty)
        if usable:
            self._free.append(url)
        else:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _url(self, name: str) -> str:
        return f"{self._server.rpartition('/')[0]}/{name}"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement)


def _shape(connection: psycopg.Connection) -> str:
    found = connection.execute(SHAPE).fetchone()
    assert found
    return str(found[0])


def _emptying(connection: psycopg.Connection) -> sql.Composed:
    """Rows in whatever order: as a replica applies them, without foreign keys, and without triggers that refuse."""
    tables = [found for found in connection.execute(TABLES) if found[1] not in KEPT]
    sequences = connection.execute(SEQUENCES).fetchall()
    return sql.SQL("; ").join(
        [
            sql.SQL("SET LOCAL session_replication_role = replica"),
            *(sql.SQL("DELETE FROM {}").format(sql.Identifier(*one)) for one in tables),
            *(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(*one)) for one in sequences),
        ]
    )
