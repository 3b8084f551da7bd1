"""The sandbox inside the process: the real adapter and SDK speak its HTTP to it, without a socket in between.

What a provider would do by itself (send its callbacks, let a dispute come) waits here until it is told to.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import stripe
from stripe import WebhookSignature

from paylink.config import Settings
from paylink.psp.stripe import StripePsp
from paylink.sandbox import disputes
from paylink.sandbox.app import Sandbox
from paylink.sandbox.confirm import pending_attempt
from paylink.sandbox.ledger import read_ledger
from paylink.sandbox.store import TABLES, Json, Tx

NAME = "sandbox"
ADDRESS = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Sent:
    """One callback as the provider's outbox holds it."""

    seq: int
    event_id: str
    payment: str
    body: str


class Provider:
    def __init__(self, sandbox: Sandbox, settings: Settings) -> None:
        self.sandbox = sandbox
        self.settings = settings
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=sandbox.app()), base_url=ADDRESS)
        # The connection is the only thing about it that is not real. It keeps nothing, so one serves all processes.
        self.adapter = StripePsp(settings.stripe, name=NAME)
        self.adapter._transport._client = self._http

    async def order(self, **orders: Any) -> None:
        (await self._http.post("/_control", json=orders)).raise_for_status()

    async def wipe(self) -> None:
        """Forgets everything but its orders."""

        def empty(tx: Tx) -> None:
            for table in set(TABLES) - {"control"}:
                tx.do(f"DELETE FROM {table}")

        await self.sandbox.store.run(empty)

    async def confirm(self, psp_id: str, card: str) -> None:
        """What the provider's script does in the customer's browser. A decline is in the object, and no error here."""
        with suppress(stripe.CardError, stripe.InvalidRequestError):
            await self.adapter._intents.confirm_async(psp_id, {"payment_method": f"pm_card_{card}"})

    async def authenticate(self, psp_id: str, *, approve: bool) -> bool:
        """The customer's answer to 3-D Secure; False when nobody asks for one."""
        intent = await self.sandbox.store.run(lambda tx: tx.get(psp_id, "payment_intent"))
        token = pending_attempt(intent) if intent else None
        if token is None:
            return False
        answer = {"decision": "approve" if approve else "refuse"}
        (await self._http.post(f"/3ds/{token}", data=answer)).raise_for_status()
        return True

    async def time_passes(self) -> None:
        """What was to happen some time after a payment or a refund happens now."""
        await self.sandbox.store.run(self.sandbox._run_timers)

    async def end_dispute(self, *, won: bool) -> bool:
        """The bank decides the oldest dispute that is open; False when there is none."""

        def close(tx: Tx) -> bool:
            rows = tx.all("SELECT body FROM objects WHERE kind = 'dispute' ORDER BY seq")
            still = [one for row in rows if (one := json.loads(row["body"]))["status"] == "needs_response"]
            if still:
                disputes.close(self.sandbox.stripe.call(tx), still[0]["id"], status="won" if won else "lost")
            return bool(still)

        return await self.sandbox.store.run(close)

    async def edit(self, object_id: str, kind: str, **changes: Any) -> None:
        """Alters an object behind everybody's back, so that it no longer fits what was asked for."""

        def write(tx: Tx) -> None:
            found = tx.get(object_id, kind)
            assert found is not None
            tx.put({**found, **changes})

        await self.sandbox.store.run(write)

    async def sent(self, state: str = "new") -> list[Sent]:
        """The callbacks that wait in the outbox, oldest first."""
        rows = await self.sandbox.store.run(
            lambda tx: tx.all("SELECT seq, source, lane, body FROM outbox WHERE state = ? ORDER BY seq", state)
        )
        return [Sent(row["seq"], row["source"], row["lane"], row["body"]) for row in rows]

    async def mark(self, sent: Sent, state: str) -> None:
        await self.sandbox.store.run(lambda tx: tx.do("UPDATE outbox SET state = ? WHERE seq = ?", state, sent.seq))

    async def all_sent(self) -> None:
        await self.sandbox.store.run(lambda tx: tx.do("UPDATE outbox SET state = 'done' WHERE state = 'new'"))

    def signed(self, body: str) -> dict[str, str]:
        header = WebhookSignature.generate_signature_header(body, self.settings.stripe.webhook_secrets[0])
        return {"stripe-signature": header, "content-type": "application/json"}

    async def accounts(self) -> dict[str, Json]:
        """The ledger, by the provider's id of a payment."""
        found = await self.sandbox.store.run(read_ledger)
        return {account["payment_intent"]: account for account in found}

    async def objects(self, kind: str) -> list[Json]:
        rows = await self.sandbox.store.run(
            lambda tx: tx.all("SELECT body FROM objects WHERE kind = ? ORDER BY seq", kind)
        )
        return [json.loads(row["body"]) for row in rows]


@asynccontextmanager
async def provider(folder: Path, *, database_url: str) -> AsyncIterator[Provider]:
    settings = Settings(
        _env_file=None,
        sandbox_url=ADDRESS,
        console_url=ADDRESS,
        database_url=database_url,
        sandbox_database_url=f"sqlite:///{folder / 'sandbox.db'}",
        rate_limits=False,
    )
    sandbox = Sandbox(settings)
    # Without its sender: callbacks are delivered by hand.
    await sandbox.store.open()
    made = Provider(sandbox, settings)
    await made.order(dispute_delay_ms=0, refund_delay_ms=0)
    try:
        yield made
    finally:
        await made._http.aclose()
        await sandbox.store.close()
