"""The accounts that a merchant's messages go out by."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import Base
from paylink.kit.clock import utcnow


class ChannelAccount(Base):
    """One way out: a merchant's account with one provider. Secrets and addresses are sealed as one."""

    __tablename__ = "channel_accounts"

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(sa.ForeignKey("merchants.id"), index=True)
    channel: Mapped[str]
    provider: Mapped[str]
    name: Mapped[str]
    config_sealed: Mapped[bytes]
    # The first enabled one of a channel is what it goes out by when nobody says otherwise.
    position: Mapped[int]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(default=utcnow, onupdate=utcnow)
