"""The processes that work on jobs: who is alive, and who takes over from one that is not."""

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from paylink.db import Base, UtcDateTime, table
from paylink.kit.clock import utcnow

SILENT_AFTER: Final = timedelta(seconds=20)
FORGOTTEN_AFTER: Final = timedelta(days=7)


class JobNode(Base):
    """A process that works on jobs, and when it last said so."""

    __tablename__ = "job_nodes"

    id: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]


_nodes = table(JobNode)


def _now(session: Session) -> datetime:
    """The database's time, on which nodes agree whose own clocks do not."""
    if session.get_bind().dialect.name == "sqlite":
        return utcnow()
    return session.execute(sa.select(sa.func.clock_timestamp(type_=UtcDateTime()))).scalar_one()


def heard_of(session: Session, nodes: list[str], *, anew: bool = True) -> None:
    insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgres_insert
    now = _now(session)
    statement = insert(_nodes).values([{"id": node, "seen_at": now} for node in nodes])
    if anew:
        session.execute(statement.on_conflict_do_update(index_elements=[_nodes.c.id], set_={"seen_at": now}))
    else:
        session.execute(statement.on_conflict_do_nothing())


def claim_silent(session: Session, nodes: list[str]) -> list[str]:
    """Those of ``nodes`` that are silent and that no other node is taking over. A node that does not finish what it
    claimed loses the claim by the same time-out. One that never said a word is given that time from now on."""
    heard_of(session, nodes, anew=False)
    now = _now(session)
    claim = sa.update(_nodes).where(_nodes.c.id.in_(nodes), _nodes.c.seen_at < now - SILENT_AFTER)
    return list(session.execute(claim.values(seen_at=now).returning(_nodes.c.id)).scalars())


def forget(session: Session, node: str) -> None:
    session.execute(sa.delete(_nodes).where(_nodes.c.id == node))


def forget_silent(session: Session) -> None:
    session.execute(sa.delete(_nodes).where(_nodes.c.seen_at < _now(session) - FORGOTTEN_AFTER))
