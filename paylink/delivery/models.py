"""One sending of a link by one channel, with a token of its own."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.channels.base import DeliveryStatus
from paylink.db import JSON, Base
from paylink.kit.clock import utcnow


class Purpose(StrEnum):
    """Why a message is sent. Reminders ask for consent, quiet hours and caps; a link asked for does not."""

    LINK = "link"
    REMINDER = "reminder"


class Delivery(Base):
    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    link_id: Mapped[str] = mapped_column(sa.ForeignKey("payment_links.id"), index=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"))
    channel: Mapped[str]
    # Where it went: an E.164 number, an e-mail address, a chat handle; nothing for what is shown on screen.
    address: Mapped[str | None]
    status: Mapped[str] = mapped_column(default=DeliveryStatus.QUEUED.value)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    # Sealed, for the job that still has to send it and for a QR code that is still shown; erased after that.
    token_sealed: Mapped[bytes | None]
    provider: Mapped[str | None]
    provider_message_id: Mapped[str | None] = mapped_column(index=True)
    failure_reason: Mapped[str | None]
    # The carrier's own code for it, as its manual lists them.
    failure_code: Mapped[str | None]
    # The channel account it goes out by; None: the sandbox's, or by hand.
    account_id: Mapped[str | None]
    purpose: Mapped[str] = mapped_column(default=Purpose.LINK.value, server_default="link")
    # The language it is written in, chosen when it is sent.
    locale: Mapped[str | None]
    # How often its carrier was asked, and what was wrong the last time, while it still waits.
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    last_fault: Mapped[str | None]
    # What is tried next when this fails or has not arrived after ``fallback_after_s`` seconds: in order,
    # ``{"channel", "to", "account_id"}``.
    fallback: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    fallback_after_s: Mapped[int | None]
    # The delivery this one stands in for, and why.
    fallback_of: Mapped[str | None]
    fallback_reason: Mapped[str | None]
    # Its token opens nothing any more.
    withdrawn_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
