"""${message}

A running older build meets this schema during a deploy: add first, use later, drop last.
"""

import sqlalchemy as sa
from alembic import op

from paylink import db

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
