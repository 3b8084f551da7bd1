"""A browser that exchanged a link's token for a cookie."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base
from paylink.kit.clock import utcnow


class CheckoutSession(Base):
    __tablename__ = "checkout_sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    link_id: Mapped[str] = mapped_column(sa.ForeignKey("payment_links.id"), index=True)
    # The door it came through first: what ``link.opened`` names.
    delivery_id: Mapped[str] = mapped_column(sa.ForeignKey("deliveries.id"))
    merchant_id: Mapped[str]
    # The cookie's value is kept as a keyed hash only.
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # The language the customer chose; what they had entered (never card data); and when another door took over.
    locale: Mapped[str | None]
    draft: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    superseded_at: Mapped[datetime | None]
    # Told once per session; the time is when it first happened.
    opened_at: Mapped[datetime | None]
    card_entry_started_at: Mapped[datetime | None]
    # A second card is completed too, so these may come again: counted, to bound what one browser can tell.
    card_entry_completed_count: Mapped[int] = mapped_column(default=0)
    card_entry_invalid_count: Mapped[int] = mapped_column(default=0)
