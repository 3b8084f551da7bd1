"""What a comparison with the provider came to."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from paylink.db import JSON, Base


class Reconciliation(Base):
    """One comparison with the provider: how much was looked at, and what did not agree."""

    __tablename__ = "reconciliations"

    id: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(index=True)
    finished_at: Mapped[datetime | None]
    compared: Mapped[int] = mapped_column(default=0)
    # Each: class, payment or provider's id, what was found, whether it was repaired.
    differences: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
