"""Who did what: entries that are only ever added, each holding the hash of the one before."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base


class Action(StrEnum):
    """What was done, and by whom it can be: agents and API keys, or the product itself."""

    SIGNED_IN = "agent.signed_in"
    SIGNED_OUT = "agent.signed_out"
    SIGN_IN_FAILED = "agent.sign_in_failed"
    # By the operator, from the command line.
    AGENT_ADDED = "agent.added"
    AGENT_DISABLED = "agent.disabled"
    PASSWORD_SET = "agent.password_set"  # noqa: S105 - the name of an action
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    LINK_CANCELED = "link.canceled"
    LINK_UNLOCKED = "link.unlocked"
    PAYMENTS_RESUMED = "payments.resumed"
    REVIEW_APPROVED = "review.approved"
    REVIEW_DECLINED = "review.declined"
    # Nobody decided in time: the money was given back by the product itself.
    REVIEW_RELEASED = "review.released"
    REFUND_REQUESTED = "refund.requested"
    CHANNEL_ADDED = "channel.added"
    CHANNEL_CHANGED = "channel.changed"
    CHANNEL_REMOVED = "channel.removed"
    SUPPRESSION_ADDED = "suppression.added"
    SUPPRESSION_LIFTED = "suppression.lifted"
    TEMPLATE_CHANGED = "template.changed"
    DELIVERY_WITHDRAWN = "delivery.withdrawn"


class AuditEntry(Base):
    """``seq`` counts 1, 2, 3 … per merchant. The database refuses to change or delete a row: see the migration."""

    __tablename__ = "audit_entries"
    __table_args__ = (sa.UniqueConstraint("merchant_id", "seq"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str]
    seq: Mapped[int]
    at: Mapped[datetime]
    # "agent:agt_…", "api_key:key_…", "system", "operator"; and the name they had then.
    actor: Mapped[str]
    actor_name: Mapped[str]
    action: Mapped[str]
    # The id of what it was done to.
    subject: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    hash: Mapped[bytes]


class AuditHead(Base):
    """The last entry of a merchant's chain. Its row lock is what makes the entries follow one another.

    ``hash`` is a seal over ``seq`` and that entry's hash: whoever has the database but no key cannot set it back.
    """

    __tablename__ = "audit_heads"

    merchant_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int]
    hash: Mapped[bytes]
