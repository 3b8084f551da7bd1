"""channels

A running older build meets this schema during a deploy: add first, use later, drop last.
"""

import sqlalchemy as sa
from alembic import op

from paylink import db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = db.UtcDateTime(timezone=True)


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("effect", sa.String(), nullable=True))
    op.add_column("payment_links", sa.Column("session_words", sa.String(), nullable=True))
    op.add_column("payment_links", sa.Column("reported_at", MOMENT, nullable=True))
    op.add_column("checkout_sessions", sa.Column("locale", sa.String(), nullable=True))
    op.add_column("checkout_sessions", sa.Column("draft", sa.JSON(), nullable=True))
    op.add_column("checkout_sessions", sa.Column("superseded_at", MOMENT, nullable=True))
    _delivery_columns()
    _accounts()
    _suppressions()
    _templates()
    _chats()


def _delivery_columns() -> None:
    for column in (
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("purpose", sa.String(), server_default="link", nullable=False),
        sa.Column("locale", sa.String(), nullable=True),
        sa.Column("attempts", INTEGER, server_default="0", nullable=False),
        sa.Column("last_fault", sa.String(), nullable=True),
        sa.Column("failure_code", sa.String(), nullable=True),
        sa.Column("fallback", sa.JSON(), nullable=True),
        sa.Column("fallback_after_s", INTEGER, nullable=True),
        sa.Column("fallback_of", sa.String(), nullable=True),
        sa.Column("fallback_reason", sa.String(), nullable=True),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
    ):
        op.add_column("deliveries", column)


def _accounts() -> None:
    op.create_table(
        "channel_accounts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("config_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("position", INTEGER, nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("fk_channel_accounts_merchant_id_merchants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_accounts")),
    )
    op.create_index(op.f("ix_channel_accounts_merchant_id"), "channel_accounts", ["merchant_id"])


def _suppressions() -> None:
    op.create_table(
        "suppressions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_suppressions_merchant_id_merchants")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppressions")),
        sa.UniqueConstraint(
            "merchant_id", "channel", "address", "scope", name=op.f("uq_suppressions_merchant_id_channel_address_scope")
        ),
    )


def _templates() -> None:
    op.create_table(
        "message_templates",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("mjml", sa.String(), nullable=True),
        sa.Column("updated_by", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name=op.f("fk_message_templates_merchant_id_merchants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message_templates")),
        sa.UniqueConstraint(
            "merchant_id", "channel", "language", name=op.f("uq_message_templates_merchant_id_channel_language")
        ),
    )


def _chats() -> None:
    op.create_table(
        "chats",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("visitor_name", sa.String(), nullable=True),
        sa.Column("locale", sa.String(), nullable=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_chats_merchant_id_merchants")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["channel_accounts.id"], name=op.f("fk_chats_account_id_channel_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chats")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_chats_secret_hash")),
    )
    op.create_index("ix_chats_merchant_id_seen_at", "chats", ["merchant_id", "seen_at"])
    op.create_table(
        "chat_messages",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chat_id", sa.String(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("delivery_id", sa.String(), nullable=True),
        sa.Column("url_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["chat_id"], ["chats.id"], name=op.f("fk_chat_messages_chat_id_chats")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_messages")),
        sa.UniqueConstraint("delivery_id", name=op.f("uq_chat_messages_delivery_id")),
    )
    op.create_index(op.f("ix_chat_messages_chat_id"), "chat_messages", ["chat_id"])


DELIVERY_COLUMNS = (
    *("account_id", "purpose", "locale", "attempts", "last_fault", "failure_code"),
    *("fallback", "fallback_after_s", "fallback_of", "fallback_reason", "withdrawn_at"),
)


def downgrade() -> None:
    for name in ("chat_messages", "chats", "message_templates", "suppressions", "channel_accounts"):
        op.drop_table(name)
    for column in reversed(DELIVERY_COLUMNS):
        op.drop_column("deliveries", column)
    for column in ("superseded_at", "draft", "locale"):
        op.drop_column("checkout_sessions", column)
    op.drop_column("payment_links", "reported_at")
    op.drop_column("payment_links", "session_words")
    op.drop_column("idempotency_keys", "effect")
