"""Two clocks in our hands: the process's, which is what ``paylink.kit.clock`` reads, and the database's.

On PostgreSQL the product asks for ``clock_timestamp()`` without naming its schema, so that a function of that name in a
schema before ``pg_catalog`` is asked instead. On SQLite the database's clock is a function of the process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo

import psycopg

from paylink.kit import clock

NO_SHIFT = timedelta(0)
# The table holds one row. ``frozen`` wins over ``shift``.
_IN_POSTGRESQL = """
CREATE SCHEMA shifted;
CREATE TABLE shifted.clock (frozen timestamptz, shift interval NOT NULL DEFAULT '0');
INSERT INTO shifted.clock DEFAULT VALUES;
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT coalesce(frozen, pg_catalog.clock_timestamp() + shift) FROM shifted.clock';
"""


def install(url: str) -> None:
    """Before the first connection of the product, and after the migrations, which would make their tables there."""
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_IN_POSTGRESQL)
        connection.execute(f'ALTER DATABASE "{name}" SET search_path = shifted, pg_catalog, public')


class Watch:
    """A clock that can be set: it stands still once it is frozen, and is off by ``shift`` until then."""

    def __init__(self) -> None:
        self.shift = NO_SHIFT
        self.frozen: datetime | None = None

    def now(self, zone: tzinfo = UTC) -> datetime:
        return (self.frozen or datetime.now(UTC) + self.shift).astimezone(zone)


class Clocks:
    """The clock of this process and the one of ``url``'s database; ``set`` moves both, or each by itself."""

    def __init__(self, url: str) -> None:
        self.process, self.database = Watch(), Watch()
        self._link = None if url.startswith("sqlite") else psycopg.connect(url, autocommit=True)

    def set(self, *, database: timedelta | datetime, process: timedelta | datetime | None = None) -> None:
        """A moment freezes a clock, a span lets it run that much ahead. The process's follows the database's."""
        _set(self.database, database)
        _set(self.process, database if process is None else process)
        if self._link is not None:
            values = (self.database.frozen, self.database.shift)
            self._link.execute("UPDATE shifted.clock SET frozen = %s, shift = %s", values)

    @contextmanager
    def ruling(self) -> Iterator["Clocks"]:
        """While inside, the product goes by these clocks. ``utcnow`` is imported by name everywhere, so what it reads
        is exchanged; SQLite's function asks the module for it by name each time."""
        names = {name: getattr(clock, name) for name in ("datetime", "utcnow")}
        vars(clock).update(datetime=self.process, utcnow=self.database.now)
        try:
            yield self
        finally:
            self.set(database=NO_SHIFT)
            vars(clock).update(names)
            if self._link is not None:
                self._link.close()


def _set(watch: Watch, to: timedelta | datetime) -> None:
    watch.frozen = to if isinstance(to, datetime) else None
    watch.shift = to if isinstance(to, timedelta) else NO_SHIFT
