"""What the last runs found, for Prometheus: read from their rows, since another process may have made them."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from paylink.db import Database
from paylink.reconciliation.differences import DifferenceClass
from paylink.reconciliation.jobs import newest
from paylink.reconciliation.report import count

# However often and by however many the metrics are asked for.
CACHED_S: Final = 5.0
# They must come even while the database does not answer: that is when they are looked at.
PATIENCE_S: Final = 2.0

differences = Gauge(
    "paylink_reconciliation_differences",
    "Differences with the payment provider that the last finished run did not put right",
    ["scope", "class"],
)
last_success = Gauge(
    "paylink_reconciliation_last_success_timestamp_seconds",
    "When a comparison with the payment provider last came to its end",
    ["scope"],
)


class ReconciliationMetrics:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._next = 0.0

    async def refresh(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + CACHED_S
        with suppress(SQLAlchemyError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                found = await self._db.read(newest)
            for scope, (finished_at, forms) in found.items():
                last_success.labels(scope).set(finished_at.timestamp())
                counts = count(forms)
                for kind in DifferenceClass:
                    numbers = counts.get(kind.value, {"found": 0, "repaired": 0})
                    differences.labels(scope, kind.value).set(numbers["found"] - numbers["repaired"])
