"""Web chats: a visitor of a merchant's site, and what was said."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import Base
from paylink.kit.clock import utcnow


class Sender(StrEnum):
    VISITOR = "visitor"
    AGENT = "agent"
    # What we wrote on a merchant's behalf, such as a payment link.
    SYSTEM = "system"


class Chat(Base):
    __tablename__ = "chats"
    __table_args__ = (sa.Index("ix_chats_merchant_id_seen_at", "merchant_id", "seen_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"))
    account_id: Mapped[str] = mapped_column(sa.ForeignKey("channel_accounts.id"))
    # The visitor's browser shows it with each request; kept as a keyed hash only.
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    # What the visitor can say to an agent on the phone to be found: six digits.
    code: Mapped[str]
    visitor_name: Mapped[str | None]
    locale: Mapped[str | None]
    # The origin of the page it is embedded in.
    site: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(default=utcnow)


class ChatMessage(Base):
    __tablename__ = "chat_messages"

    id: Mapped[str] = mapped_column(primary_key=True)
    chat_id: Mapped[str] = mapped_column(sa.ForeignKey("chats.id"), index=True)
    sender: Mapped[str]
    # Of the agent who wrote it.
    name: Mapped[str | None]
    text: Mapped[str]
    # The delivery it carries, once however often it is tried, and the link's address, sealed.
    delivery_id: Mapped[str | None] = mapped_column(unique=True)
    url_sealed: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
