"""One sending of a link by one channel, with a token of its own."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import Base
from paylink.delivery.states import DeliveryStatus
from paylink.kit.clock import utcnow


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
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
