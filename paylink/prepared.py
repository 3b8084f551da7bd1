"""INSERTs of hot paths: made ready once, written together.

Core looks a statement up, builds its context and asks each value's type how to bind it, every time: several times what
the statement itself costs. Here the text and the way of binding are worked out at the first use. And rows that nothing
in their transaction reads again wait for its end, where those of all transactions that share a commit go to the
database as one statement per table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

Row = Mapping[str, Any]
_Bind = Callable[[Any], Any] | None
# Rows that wait, by statement. Only a session of ``Database.transact`` has the key.
Waiting = dict["PreparedInsert", list[Row]]
WAITING: Final = "waiting_inserts"


class _Ready(NamedTuple):
    sql: str
    binds: tuple[tuple[str, _Bind], ...]
    positional: bool

    def bound(self, row: Row) -> Any:
        if len(row) != len(self.binds):
            raise ValueError("the rows of one statement name the same columns")
        values = [bind(row[name]) if bind else row[name] for name, bind in self.binds]
        return tuple(values) if self.positional else dict(zip((name for name, _ in self.binds), values, strict=True))


class PreparedInsert:
    """Into one table. A row is a mapping by its columns' own names; all rows of a call name the same ones."""

    def __init__(self, target: sa.Table) -> None:
        self.target = target
        self._ready: dict[tuple[str, ...], _Ready] = {}

    def now(self, session: Session, rows: Sequence[Row]) -> None:
        self.run(session.connection(), rows)

    def later(self, session: Session, rows: Sequence[Row]) -> None:
        """At the transaction's end: for rows that nothing in it looks for. What is wrong with them comes up there."""
        waiting: Waiting | None = session.info.get(WAITING)
        if waiting is None:
            self.now(session, rows)
        else:
            waiting.setdefault(self, []).extend(rows)

    def run(self, connection: sa.Connection, rows: Sequence[Row]) -> None:
        columns = tuple(rows[0])
        ready = self._ready.get((connection.dialect.name, *columns)) or self._prepare(connection.dialect, columns)
        bound = [ready.bound(row) for row in rows]
        connection.exec_driver_sql(ready.sql, bound if len(bound) > 1 else bound[0])

    def _prepare(self, dialect: sa.Dialect, columns: tuple[str, ...]) -> _Ready:
        compiled = sa.insert(self.target).inline().compile(dialect=dialect, column_keys=list(columns))
        binds = tuple((name, self._bind(name, dialect)) for name in compiled.positiontup or columns)
        ready = self._ready[dialect.name, *columns] = _Ready(str(compiled), binds, compiled.positional)
        return ready

    def _bind(self, name: str, dialect: sa.Dialect) -> _Bind:
        return self.target.c[name].type.dialect_impl(dialect).bind_processor(dialect)


def write_waiting(connection: sa.Connection, several: Iterable[Waiting]) -> None:
    """Those of several transactions as one: what is pointed at before what points to it."""
    together: Waiting = {}
    for waiting in several:
        for insert, rows in waiting.items():
            together.setdefault(insert, []).extend(rows)
    for insert in sorted(together, key=_depth):
        insert.run(connection, together[insert])


def _depth(insert: PreparedInsert) -> int:
    tables = insert.target.metadata.info.setdefault("depths", {})
    if insert.target not in tables:
        tables.update({table: depth for depth, table in enumerate(insert.target.metadata.sorted_tables)})
    return int(tables[insert.target])
