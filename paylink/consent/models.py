"""Who must not be written to, by which channel, and why."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import Base
from paylink.kit.clock import utcnow


class SuppressionScope(StrEnum):
    ALL = "all"
    REMINDERS = "reminders"


class SuppressionReason(StrEnum):
    STOP = "stop"  # the person wrote STOP, or a word like it
    PROVIDER = "provider"  # the carrier says that the person opted out
    UNSUBSCRIBE = "unsubscribe"  # one click in a reminder
    BOUNCE = "bounce"  # the address does not exist
    AGENT = "agent"  # the person asked an agent


class Suppression(Base):
    """An address that a merchant must not write to by a channel. Lifted by deleting it; the audit keeps both."""

    __tablename__ = "suppressions"
    __table_args__ = (sa.UniqueConstraint("merchant_id", "channel", "address", "scope"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"))
    channel: Mapped[str]
    address: Mapped[str]
    scope: Mapped[str] = mapped_column(default=SuppressionScope.ALL.value)
    reason: Mapped[str]
    note: Mapped[str | None]
    # As the audit names actors: "agent:agt_…", "api_key:key_…", "payer", "provider".
    created_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
