"""channels

A running older build meets this schema during a deploy: add first, use later, drop last.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("effect", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("idempotency_keys", "effect")
