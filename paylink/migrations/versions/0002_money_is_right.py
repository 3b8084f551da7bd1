"""money is right

A running older build meets this schema during a deploy: add first, use later, drop last.
"""

import sqlalchemy as sa
from alembic import op

from paylink import db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# An entry of the audit is written once. Whoever may run DDL can still drop these, which is what the chain is for.
SQLITE_GUARD = """
CREATE TRIGGER audit_entries_no_{name} BEFORE {verb} ON audit_entries
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END
"""
POSTGRES_GUARD = """
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$;
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
"""


def upgrade() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("actor_name", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("merchant_id", "seq", name=op.f("uq_audit_entries_merchant_id_seq")),
    )
    op.create_table(
        "audit_heads",
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "reconciliations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("started_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("compared", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("differences", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations")),
    )
    op.create_index(op.f("ix_reconciliations_started_at"), "reconciliations", ["started_at"])

    op.create_table(
        "disputes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("amount", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("evidence_due_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("psp_dispute_id", sa.String(), nullable=False),
        sa.Column("opened_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("closed_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_disputes_merchant_id_merchants")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_disputes_payment_id_payments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes")),
        sa.UniqueConstraint("psp_dispute_id", name=op.f("uq_disputes_psp_dispute_id")),
    )
    op.create_index(op.f("ix_disputes_merchant_id"), "disputes", ["merchant_id"])
    op.create_index(op.f("ix_disputes_payment_id"), "disputes", ["payment_id"])

    op.create_table(
        "receipts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("to", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("failure_reason", sa.String(), nullable=True),
        sa.Column("created_at", db.UtcDateTime(timezone=True), nullable=False),
        sa.Column("sent_at", db.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_receipts_merchant_id_merchants")),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_receipts_payment_id_payments")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("payment_id", name=op.f("uq_receipts_payment_id")),
    )
    op.create_index(op.f("ix_receipts_merchant_id"), "receipts", ["merchant_id"])

    op.add_column("merchants", sa.Column("payments_paused_until", db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("merchants", sa.Column("declines_forgiven_at", db.UtcDateTime(timezone=True), nullable=True))

    op.add_column(
        "payment_links",
        sa.Column("minimum_amount", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
    )
    op.add_column("payment_links", sa.Column("locked_at", db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("payment_links", sa.Column("lock_reason", sa.String(), nullable=True))
    op.add_column(
        "payment_links",
        sa.Column(
            "forgiven_attempts",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            server_default="0",
            nullable=False,
        ),
    )

    op.add_column("payments", sa.Column("capture_before", db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("payments", sa.Column("review_warned_at", db.UtcDateTime(timezone=True), nullable=True))
    op.add_column("payments", sa.Column("late", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column(
        "refunds",
        sa.Column("psp_key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), server_default="1", nullable=False),
    )
    _guard_audit()


def _guard_audit() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(SQLITE_GUARD.format(name=verb.lower(), verb=verb))
    else:
        op.execute(POSTGRES_GUARD)


def downgrade() -> None:
    op.drop_column("refunds", "psp_key")
    for column in ("late", "review_warned_at", "capture_before"):
        op.drop_column("payments", column)
    for column in ("forgiven_attempts", "lock_reason", "locked_at", "minimum_amount"):
        op.drop_column("payment_links", column)
    for column in ("declines_forgiven_at", "payments_paused_until"):
        op.drop_column("merchants", column)
    for table in ("receipts", "disputes", "reconciliations", "audit_heads", "audit_entries"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_append_only()")
