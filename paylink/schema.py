"""The database's schema: every table of the product, and the migrations that bring a database to it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink import jobs
from paylink.accounts.models import Agent, AgentSession, ApiKey, Merchant
from paylink.audit.models import AuditEntry, AuditHead
from paylink.channels.models import ChannelAccount
from paylink.chats.models import Chat, ChatMessage
from paylink.checkout.models import CheckoutSession
from paylink.consent.models import Suppression
from paylink.customers.models import Customer
from paylink.db import Base, Database
from paylink.delivery.models import Delivery
from paylink.events.types import Event, EventCounter
from paylink.idempotency import IdempotencyKey
from paylink.links.models import PaymentLink
from paylink.messages.models import MessageTemplate
from paylink.nodes import JobNode
from paylink.payments.models import Dispute, Payment, Receipt, Refund
from paylink.reconciliation.models import Reconciliation
from webhooks.inbound.models import InboundEvent

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
metadata = Base.metadata
TABLES = (
    *(Merchant, Agent, AgentSession, ApiKey, Customer),
    *(PaymentLink, Delivery, Payment, Refund, Dispute, Receipt, CheckoutSession),
    *(ChannelAccount, Suppression, MessageTemplate, Chat, ChatMessage),
    *(AuditEntry, AuditHead, Reconciliation),
    *(Event, EventCounter, InboundEvent, IdempotencyKey, JobNode),
)


def migrate(db: Database) -> None:
    """Brings the database to the newest schema, ours and the job system's. Safe to run twice, or twice at once."""
    jobs.migrate(db.url)
    if db.read_sync(is_current):
        return
    from alembic import command  # noqa: PLC0415 - a process that has nothing to migrate need not load it

    with db.engine.connect() as connection:
        if not db.sqlite:
            # Two processes that start together must not both create a table.
            connection.execute(sa.text("SELECT pg_advisory_lock(7074001)"))
            connection.commit()
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if not db.sqlite:
            connection.execute(sa.text("SELECT pg_advisory_unlock(7074001)"))
            connection.commit()


def is_current(session: Session) -> bool:
    """By the number each revision's file begins with. Alembic would say the same, and bring 7 MiB with it."""
    newest = max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    if not sa.inspect(session.connection()).has_table("alembic_version"):
        return False
    return list(session.scalars(sa.text("SELECT version_num FROM alembic_version"))) == [newest]


def alembic_config() -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compare_to: Any) -> bool:
    """Whether autogenerate should look at it: the job system's tables share our database on SQLite."""
    return not (kind == "table" and name is not None and name not in metadata.tables)
