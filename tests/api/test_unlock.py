"""``POST …/unlock`` and ``POST /v1/payments/resume``: what stops payments, and who lets them go on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx
import sqlalchemy as sa

from paylink.accounts.models import Merchant
from paylink.audit.models import AuditEntry
from paylink.kit.clock import rfc3339, utcnow
from paylink.links.models import PaymentLink
from tests.api.world import Api, problem, sign_in


def lock(api: Api, link_id: str, at: datetime) -> None:
    values = {"locked_at": at, "lock_reason": "too_many_cards"}
    update = sa.update(PaymentLink).where(PaymentLink.id == link_id).values(values)
    api.db.transact_sync(lambda session: session.execute(update) and None)


def pause(api: Api, until: datetime | None) -> None:
    update = sa.update(Merchant).where(Merchant.id == api.shop.merchant_id).values(payments_paused_until=until)
    api.db.transact_sync(lambda session: session.execute(update) and None)


def audited(api: Api, action: str) -> Sequence[AuditEntry]:
    query = sa.select(AuditEntry).where(AuditEntry.merchant_id == api.shop.merchant_id, AuditEntry.action == action)
    return api.db.read_sync(lambda session: session.scalars(query).all())


def told(http: httpx.Client, link_id: str) -> list[tuple[str, Any, str]]:
    found = http.get(f"/v1/payment_links/{link_id}/events", params={"after_seq": 0}).json()["data"]
    return [(event["type"], event["data"].get("by"), event["origin"]) for event in found]


def test_a_locked_link_shows_its_lock_until_it_is_unlocked(api: Api, http: httpx.Client) -> None:
    link = api.create(http)
    assert link["lock"] is None
    at = utcnow()
    lock(api, link["id"], at)
    shown = http.get(f"/v1/payment_links/{link['id']}").json()
    assert shown["lock"] == {"reason": "too_many_cards", "at": rfc3339(at)}
    assert shown["status"] == "active"
    listed = http.get("/v1/payment_links", params={"q": link["id"]}).json()["data"]
    assert [one["lock"] for one in listed] == [shown["lock"]]
    answer = http.post(f"/v1/payment_links/{link['id']}/unlock")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json() == shown | {"lock": None}
    assert told(http, link["id"])[-1] == ("link.unlocked", "Tests", "api")
    problem(http.post(f"/v1/payment_links/{link['id']}/unlock"), 409, "link_not_locked")


def test_an_agent_unlocks_too_and_the_audit_knows_who(api: Api, http: httpx.Client) -> None:
    link = api.create(http)
    lock(api, link["id"], utcnow())
    with sign_in(api) as browser:
        assert browser.post(f"/v1/payment_links/{link['id']}/unlock").is_success
    assert told(http, link["id"])[-1] == ("link.unlocked", "Agent One", "agent")
    assert [one.actor_name for one in audited(api, "link.unlocked") if one.subject == link["id"]] == ["Agent One"]


def test_unlocking_is_repeated_safely_and_only_in_ones_own_shop(api: Api, http: httpx.Client) -> None:
    link = api.create(http)
    lock(api, link["id"], utcnow())
    path, key = f"/v1/payment_links/{link['id']}/unlock", {"Idempotency-Key": "unlock-1"}
    with api.client(api.other.key) as stranger:
        problem(stranger.post(path), 404, "not_found")
    first, again = http.post(path, headers=key), http.post(path, headers=key)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert [kind for kind, _, _ in told(http, link["id"])].count("link.unlocked") == 1


def test_a_pause_is_seen_and_ended(api: Api, http: httpx.Client) -> None:
    assert http.get("/v1/me").json()["payments_paused_until"] is None
    problem(http.post("/v1/payments/resume"), 409, "payments_not_paused")
    until = utcnow() + timedelta(minutes=5)
    pause(api, until)
    assert http.get("/v1/me").json()["payments_paused_until"] == rfc3339(until)
    with api.client(api.other.key) as stranger:
        assert stranger.get("/v1/me").json()["payments_paused_until"] is None
        problem(stranger.post("/v1/payments/resume"), 409, "payments_not_paused")
    key = {"Idempotency-Key": "resume-1"}
    for _ in range(2):
        answer = http.post("/v1/payments/resume", headers=key)
        assert (answer.status_code, answer.json()) == (200, {"payments_paused_until": None})
    assert http.get("/v1/me").json()["payments_paused_until"] is None
    assert [one.actor_name for one in audited(api, "payments.resumed")] == ["Tests"]
    pause(api, utcnow() - timedelta(seconds=1))
    assert http.get("/v1/me").json()["payments_paused_until"] is None
