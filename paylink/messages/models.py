"""A merchant's own words."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import Base
from paylink.kit.clock import utcnow


class MessageTemplate(Base):
    """A merchant's own words for a channel in a language, in place of the built-in ones."""

    __tablename__ = "message_templates"
    __table_args__ = (sa.UniqueConstraint("merchant_id", "channel", "language"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"))
    channel: Mapped[str]
    language: Mapped[str]
    subject: Mapped[str | None]
    text: Mapped[str]
    mjml: Mapped[str | None]
    updated_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
