"""Sends what the outbox holds until it is taken: webhooks of the provider and receipts of the carrier.

Each row belongs to a lane (a payment, a message); a lane is sent in order, unless disorder is ordered. Rows survive a
kill: an answer that was not recorded is sent again, which is the duplicate every receiver must expect.
"""

import asyncio
import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import httpx
import structlog
from stripe import WebhookSignature

from paylink.config import Settings
from paylink.sandbox.control import Control, Sending
from paylink.sandbox.events import PSP_CHANNEL
from paylink.sandbox.messages import CARRIER_CHANNEL, sign_receipt
from paylink.sandbox.store import Store, Tx

log = structlog.get_logger(__name__)

CONCURRENCY = 16
TIMEOUT_SECONDS = 10.0
IDLE_SECONDS = 30.0
FAULT_SECONDS = 1.0
# Seconds to the next try; the last one repeats. A provider waits hours, which no developer would.
BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
WRONG_SECRET = "whsec_not_the_right_secret"  # noqa: S105 - forged on demand

_DUE = (
    "SELECT * FROM outbox WHERE state = 'pending' AND due <= ? AND channel IN ({channels}) ORDER BY due, seq LIMIT 200"
)
# Earlier rows of the same lane come first. One that was refused no longer does: it must not hold up the rest for ever.
_BLOCKED = (
    "SELECT 1 FROM outbox WHERE lane = ? AND channel = ? AND state = 'pending' AND attempts = 0 AND seq < ? LIMIT 1"
)


class Outbox:
    """The sender's loop. ``due_timers`` is run in the same rhythm."""

    def __init__(self, settings: Settings, store: Store, control: Control, *, run_timers: Callable[[Tx], None]) -> None:
        self._settings = settings
        self._store = store
        self._control = control
        self._run_timers = run_timers
        self._bell = asyncio.Event()
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def ring(self) -> None:
        self._bell.set()

    async def run(self) -> None:
        """Until cancelled."""
        # Callbacks go to the console on this machine or network: a proxy of the environment has no part in it.
        limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits, trust_env=False) as client:
            try:
                while True:
                    self._bell.clear()
                    wait = await self._safe_turn(client)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._bell.wait(), wait)
            finally:
                for task in self._tasks:
                    task.cancel()

    async def _safe_turn(self, client: httpx.AsyncClient) -> float:
        """One fault must not end the sending: it is told, and tried again."""
        try:
            return await self._turn(client)
        except Exception:
            log.exception("sandbox.outbox_failed")
            return FAULT_SECONDS

    async def _turn(self, client: httpx.AsyncClient) -> float:
        rows, wait = await self._store.run(self._collect)
        for row in rows:
            task = asyncio.create_task(self._send(client, row))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return wait

    def _collect(self, tx: Tx) -> tuple[list[sqlite3.Row], float]:
        """Rows to send now, and the seconds to the next thing that is due."""
        now = time.time()
        self._run_timers(tx)
        channels = [name for name, mode in self._modes().items() if not mode.paused]
        if not channels:
            return [], IDLE_SECONDS
        self._prepare(tx)
        marks = ", ".join("?" * len(channels))
        picked: list[sqlite3.Row] = []
        for row in tx.all(_DUE.format(channels=marks), now, *channels):
            if len(self._busy) >= CONCURRENCY:
                break
            mark = self._lane(row)
            ordered = not self._modes()[row["channel"]].shuffle
            if mark in self._busy or (ordered and tx.one(_BLOCKED, row["lane"], row["channel"], row["seq"])):
                continue
            self._busy.add(mark)
            picked.append(row)
        upcoming = (
            "SELECT min(due) AS due FROM (SELECT due FROM outbox WHERE state = 'pending' AND due > ? "
            "UNION ALL SELECT due FROM timers)"
        )
        soonest = tx.one(upcoming, now)
        due = soonest["due"] if soonest and soonest["due"] is not None else now + IDLE_SECONDS
        return picked, max(0.005, min(due - now, IDLE_SECONDS))

    def _modes(self) -> dict[str, Sending]:
        return {PSP_CHANNEL: self._control.orders.webhooks, CARRIER_CHANNEL: self._control.orders.receipts}

    def _lane(self, row: sqlite3.Row) -> str:
        ordered = not self._modes()[row["channel"]].shuffle
        return f"{row['channel']}:{row['lane'] if ordered else row['seq']}"

    def _prepare(self, tx: Tx) -> None:
        """Applies the orders in force to rows that are new: delays, copies, forgeries, losses."""
        for row in tx.all("SELECT * FROM outbox WHERE state = 'new' ORDER BY seq"):
            mode = self._modes()[row["channel"]]
            lost = random.random() < mode.drop  # noqa: S311
            due = row["due"] + _delay(mode)
            tx.do(
                "UPDATE outbox SET state = ?, due = ? WHERE seq = ?", "dropped" if lost else "pending", due, row["seq"]
            )
            for copy in range(mode.duplicate + mode.forge):
                _copy(tx, row, due=row["due"] + _delay(mode), forged=copy >= mode.duplicate)

    async def _send(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        mark = self._lane(row)
        status = 0
        try:
            url, headers = self._address(row)
            answer = await client.post(url, content=row["body"].encode(), headers=headers)
            status = answer.status_code
        except httpx.HTTPError as error:
            log.debug("sandbox.callback_failed", channel=row["channel"], error=type(error).__name__)
        try:
            await self._record(row, status)
        finally:
            self._busy.discard(mark)
            self.ring()

    async def _record(self, row: sqlite3.Row, status: int) -> None:
        taken = 200 <= status < 300 or row["forged"]
        wait = BACKOFF[min(row["attempts"], len(BACKOFF) - 1)]

        def write(tx: Tx) -> None:
            tx.do(
                "UPDATE outbox SET attempts = attempts + 1, last_status = ?, state = ?, due = ? WHERE seq = ?",
                status, "done" if taken else "pending", time.time() + (0 if taken else wait), row["seq"],
            )  # fmt: skip

        await self._store.run(write)

    def _address(self, row: sqlite3.Row) -> tuple[str, dict[str, str]]:
        console = self._settings.console_url
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "paylink-sandbox/1.0"}
        if row["channel"] == CARRIER_CHANNEL:
            key = WRONG_SECRET if row["forged"] else self._settings.sandbox_messaging_secret
            signed = sign_receipt(row["body"], message_id=row["source"], key=key)
            return f"{console}/webhooks/messaging/sandbox", {**headers, **signed}
        secret = WRONG_SECRET if row["forged"] else self._settings.stripe.webhook_secrets[0]
        signature = WebhookSignature.generate_signature_header(row["body"], secret)
        return f"{console}/webhooks/psp/sandbox", {**headers, "Stripe-Signature": signature}


def _delay(mode: Sending) -> float:
    spread = random.uniform(*mode.delay_ms) / 1000  # noqa: S311
    return spread + (random.uniform(0, 0.05) if mode.shuffle else 0)  # noqa: S311


def _copy(tx: Tx, row: sqlite3.Row, *, due: float, forged: bool) -> None:
    body = _changed_amount(row["body"]) if forged else row["body"]
    tx.do(
        "INSERT INTO outbox (channel, lane, source, body, due, state, forged) VALUES (?, ?, ?, ?, ?, 'pending', ?)",
        row["channel"], f"{row['lane']}#copy", row["source"], body, due, int(forged),
    )  # fmt: skip


def _changed_amount(body: str) -> str:
    event: dict[str, Any] = json.loads(body)
    target = event.get("data", {}).get("object", event)
    target["amount"] = target.get("amount", 0) + 1
    return json.dumps(event)
