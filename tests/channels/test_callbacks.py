"""What providers of channel accounts call us with: checked by the account's adapter, stored once, then worked on."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.channels.base import DeliveryStatus
from paylink.consent.models import Suppression
from paylink.delivery.models import Delivery
from paylink.delivery.service import record
from paylink.jobs import TryAgain
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from tests.api.world import CARD, Api, problem, sign_in
from tests.channels.acme import Seen, acme
from webhooks.inbound import messaging
from webhooks.inbound.handlers import handle
from webhooks.inbound.inbox import HANDLE_JOB
from webhooks.inbound.models import InboundEvent

SECRET = "acme-secret-token"
TO = "+447700900123"


@pytest.fixture(autouse=True)
def provider() -> Iterator[Seen]:
    with acme() as seen:
        yield seen


@pytest.fixture
def account(api: Api) -> str:
    return added(api)


def added(api: Api, *, of: Any = None, secret: str = SECRET) -> str:
    with sign_in(api, of) as browser:
        body = {"provider": "acme", "name": "Texts", "config": {"token": secret, "sender": "Shop"}}
        return str(browser.post("/v1/channel_accounts", json=body).json()["id"])


def tell(api: Api, account_id: str, body: Any = None, *, secret: str = SECRET, **options: Any) -> httpx.Response:
    with api.client("") as http:
        content = json.dumps(body or {})
        path = f"/webhooks/messaging/acme/{account_id}"
        return http.post(path, content=content, headers={"X-Acme": secret, **options.pop("headers", {})}, **options)


def told(**changes: Any) -> dict[str, Any]:
    """One report."""
    return {"id": new_id("rep"), "status": "delivered", "occurred_at": utcnow().isoformat()} | changes


def wrote(text: str, **changes: Any) -> dict[str, Any]:
    reply = {"id": new_id("mo"), "sender": TO, "text": text, "occurred_at": utcnow().isoformat()}
    return {"replies": [reply | changes]}


def stored(api: Api, account_id: str) -> list[InboundEvent]:
    query = (
        sa.select(InboundEvent).where(InboundEvent.source == f"messaging:acme:{account_id}").order_by(InboundEvent.id)
    )
    return api.db.read_sync(lambda session: list(session.scalars(query)))


def jobs(api: Api, inbound_id: str) -> int:
    schema = "" if api.db.sqlite else "dbos."
    query = sa.text(f"SELECT count(*) FROM {schema}workflow_status WHERE workflow_uuid = :key")
    return api.db.read_sync(lambda session: session.scalar(query, {"key": f"{HANDLE_JOB}:{inbound_id}"}) or 0)


def sent(api: Api, account_id: str | None, *, message_id: str | None = None, key: str | None = None) -> str:
    """A delivery that went out by the account; ``message_id`` as the provider calls it."""
    with api.client(key) as http:
        delivery_id = str(api.create(http, deliver=[{"channel": "sms", "to": TO}])["deliveries"][0]["id"])

    def work(session: Session) -> None:
        session.execute(sa.update(Delivery).where(Delivery.id == delivery_id).values(account_id=account_id))
        if message_id:
            record(session, delivery_id, DeliveryStatus.SENT, provider="acme", message_id=message_id)

    api.db.transact_sync(work)
    return delivery_id


def status(api: Api, delivery_id: str) -> Delivery:
    return api.db.read_sync(lambda session: session.get_one(Delivery, delivery_id))


async def work_all(api: Api, account_id: str) -> None:
    for one in stored(api, account_id):
        await handle(api.ctx, one.id)


async def test_a_report_is_stored_once_and_moves_the_delivery(api: Api, account: str) -> None:
    delivery_id = sent(api, account, message_id="SM1")
    report = told(message_id="SM1")
    answers = [tell(api, account, {"reports": [report]}) for _ in range(3)]
    assert [one.status_code for one in answers] == [200] * 3
    assert (answers[0].text, answers[0].headers["content-type"]) == ("<ok/>", "application/xml")
    (row,) = stored(api, account)
    assert jobs(api, row.id) == 1
    assert status(api, delivery_id).status == "sent"
    await handle(api.ctx, row.id)
    assert status(api, delivery_id).status == "delivered"
    (row,) = stored(api, account)
    assert row.handled_at


async def test_our_own_id_is_known_before_the_providers(api: Api, account: str) -> None:
    """Faster than our commit: the message has been sent, and we have not written so yet."""
    delivery_id = sent(api, account)
    tell(
        api, account, {"reports": [told(reference=delivery_id, status="failed", reason="No such number", code="30003")]}
    )
    await work_all(api, account)
    found = status(api, delivery_id)
    assert (found.status, found.failure_reason, found.failure_code) == ("failed", "No such number", "30003")


async def test_a_report_that_is_too_early_waits_for_its_message(api: Api, account: str) -> None:
    delivery_id = sent(api, account)
    tell(api, account, {"reports": [told(message_id="SM-early")]})
    (row,) = stored(api, account)
    with pytest.raises(TryAgain) as again:
        await handle(api.ctx, row.id)
    assert again.value.after_s == messaging.FIRST_LOOK_S
    api.db.transact_sync(
        lambda session: record(session, delivery_id, DeliveryStatus.SENT, provider="acme", message_id="SM-early")
    )
    await handle(api.ctx, row.id)
    assert status(api, delivery_id).status == "delivered"


async def test_a_message_that_never_becomes_known_is_given_up(api: Api, account: str) -> None:
    tell(api, account, {"reports": [told(message_id="SM-of-another-system")]})
    (row,) = stored(api, account)

    def age(by: timedelta) -> None:
        update = sa.update(InboundEvent).where(InboundEvent.id == row.id).values(received_at=utcnow() - by)
        api.db.transact_sync(lambda session: session.execute(update) and None)

    age(messaging.PATIENCE - timedelta(seconds=30))
    with pytest.raises(TryAgain) as again:
        await handle(api.ctx, row.id)
    assert again.value.after_s
    assert again.value.after_s > 60
    age(messaging.PATIENCE)
    await handle(api.ctx, row.id)
    assert stored(api, account)[0].handled_at


async def test_an_account_speaks_of_its_own_messages_only(api: Api, account: str) -> None:
    theirs = added(api, of=api.other, secret="their-secret-token")
    mine = sent(api, account, message_id="SM-mine")
    by_sandbox = sent(api, None, message_id="SM-sandbox")
    reports = [
        told(message_id="SM-mine"), told(reference=mine), told(reference=by_sandbox), told(message_id="SM-sandbox"),
        told(reference="dlv_never"),
    ]  # fmt: skip
    assert tell(api, theirs, {"reports": reports}, secret="their-secret-token").status_code == 200
    early = timedelta(minutes=16)
    update = sa.update(InboundEvent).values(received_at=utcnow() - early)
    api.db.transact_sync(lambda session: session.execute(update) and None)
    await work_all(api, theirs)
    assert all(row.handled_at for row in stored(api, theirs))
    assert [status(api, one).status for one in (mine, by_sandbox)] == ["sent", "sent"]


def test_a_wrong_signature_is_refused_and_counted(api: Api, account: str) -> None:
    def refused() -> float:
        with api.client("") as http:
            found = re.search(
                r'paylink_webhooks_refused_total\{source="messaging:acme"\} (\S+)', http.get("/metrics").text
            )
        return float(found[1]) if found else 0

    before = refused()
    problem(tell(api, account, {"reports": [told()]}, secret="wrong"), 400, "callback_refused")
    # Whatever an adapter stumbles over is refused, too.
    problem(tell(api, account, {"reports": [{"id": 1}]}), 400, "callback_refused")
    problem(tell(api, account, [[[]]]), 400, "callback_refused")
    assert refused() == before + 3
    assert stored(api, account) == []


def test_an_unknown_account_answers_as_an_unknown_provider(api: Api, account: str) -> None:
    with api.client("") as http:
        answers = [
            http.post(path, content=b"{}", headers={"X-Acme": SECRET})
            for path in (
                "/webhooks/messaging/acme/chn_never",
                f"/webhooks/messaging/twilio/{account}",
                f"/webhooks/messaging/nobody/{account}",
            )
        ]
    bodies = {problem(one, 404)["detail"] for one in answers}
    assert bodies == {"No such provider"}
    assert stored(api, account) == []


def test_a_get_is_answered_with_what_the_provider_insists_on(api: Api, account: str, provider: Seen) -> None:
    with api.client("") as http:
        path = f"/webhooks/messaging/acme/{account}?challenge=77%2B1&b=%C3%A4"
        answer = http.get(path, headers={"X-Acme": SECRET})
    assert (answer.status_code, answer.text) == (200, "77+1")
    assert answer.headers["content-type"].startswith("text/x-challenge")
    (callback,) = provider.callbacks
    assert (callback.method, callback.body) == ("GET", b"")
    # As the outside calls it, to the letter: some providers sign the whole address.
    assert callback.url == f"{api.settings.console_url}{path}"
    assert callback.query == {"challenge": "77+1", "b": "ä"}


def test_a_proxy_in_front_does_not_change_the_address(api: Api, account: str, provider: Seen) -> None:
    tell(api, account, headers={"Host": "inner.example:8080", "X-Forwarded-Host": "evil.example"})
    assert provider.callbacks[0].url == f"{api.settings.console_url}/webhooks/messaging/acme/{account}"


def test_one_that_is_switched_off_still_hears_of_what_it_sent(api: Api, account: str) -> None:
    with sign_in(api) as browser:
        browser.patch(f"/v1/channel_accounts/{account}", json={"enabled": False})
    assert tell(api, account, {"reports": [told()]}).status_code == 200
    assert len(stored(api, account)) == 1


def test_a_body_that_is_too_large_is_not_read(api: Api, account: str, provider: Seen) -> None:
    problem(tell(api, account, {"x": "x" * 70_000}), 413)
    assert provider.callbacks == []


def test_hostile_text_is_kept_short_and_clean(api: Api, account: str) -> None:
    reports = [
        told(id="x" * 5000, reason="\x00bad\n" + "y" * 5000, code="\x00" * 9, message_id="m\x00" * 900),
        told(id="\ud800", reference="\x00\ud800" + "z" * 900),
    ]
    assert tell(api, account, {"reports": reports}).status_code == 200
    assert tell(api, account, {"reports": reports}).status_code == 200
    rows = stored(api, account)
    assert len(rows) == 2
    assert all(len(row.external_id) <= 255 and len(str(row.summary)) < 1000 for row in rows)
    assert "\\x00" not in repr([row.summary for row in rows])


async def test_stop_and_start_are_kept_and_conversation_is_not(api: Api, account: str) -> None:
    def listed() -> list[str]:
        query = sa.select(Suppression.address).where(Suppression.merchant_id == api.shop.merchant_id)
        return api.db.read_sync(lambda session: list(session.scalars(query)))

    assert tell(api, account, wrote(f"my card is {CARD}, secret words")).status_code == 200
    await work_all(api, account)
    assert listed() == []
    raw = api.stored()
    assert CARD.encode() not in raw
    assert b"secret words" not in raw
    tell(api, account, wrote("Stop!"))
    await work_all(api, account)
    assert listed() == [TO]
    tell(api, account, wrote("START"))
    await work_all(api, account)
    assert listed() == []
