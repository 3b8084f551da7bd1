"""Where a proof runs: databases of both kinds, migrated, and gone again afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event

from paylink.db import Database
from paylink.schema import migrate
from tests import services
from tests.prove import clocks
from tests.prove.run import Missing

KINDS = ("sqlite", "postgresql")


@contextmanager
def place(kind: str) -> Iterator[str]:
    """The address of an empty, migrated database. On PostgreSQL its clock can be set: see ``clocks``."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="paylink-prove-") as folder:
            yield _migrated(f"sqlite:///{Path(folder) / 'paylink.db'}")
        return
    if services.postgres_bin() is None:
        raise Missing("PostgreSQL is not installed: apt-get install postgresql")
    with services.postgres() as url:
        yield _migrated(url)


def opened(url: str) -> Database:
    """Without a sync per commit: what is proved with it is not that a machine may lose its power."""
    db = Database(url)
    if db.sqlite:
        event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return db


def _migrated(url: str) -> str:
    db = Database(url)
    migrate(db)
    db.close()
    if not db.sqlite:
        clocks.install(url)
    return url
