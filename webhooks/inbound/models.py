"""The inbox: what providers told us, stored once before it is worked on."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base
from paylink.kit.clock import utcnow


class InboundEvent(Base):
    """``summary`` holds the few ids and states the handler needs; the raw body is never kept."""

    __tablename__ = "inbound_events"
    __table_args__ = (sa.UniqueConstraint("source", "external_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    # "psp:stripe", "messaging:sandbox" …
    source: Mapped[str]
    external_id: Mapped[str]
    type: Mapped[str]
    summary: Mapped[dict[str, str]] = mapped_column(JSON)
    received_at: Mapped[datetime] = mapped_column(default=utcnow)
    handled_at: Mapped[datetime | None]
