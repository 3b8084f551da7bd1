"""Payments, refunds and disputes as clients read them: whole, in pages, and of nobody else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from paylink.kit.ids import new_id
from paylink.payments.models import Dispute, Payment, PaymentStatus, Receipt, Refund
from tests.api.world import Api, problem

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHOWN = "2026-11-21T12:00:00.000Z"


def paid(api: Api, http: httpx.Client, **changes: Any) -> str:
    """A payment of a new link, as the provider's answer would have left it."""
    payment_id, link_id = new_id("pay"), api.create(http)["id"]
    values = {
        "id": payment_id,
        "link_id": link_id,
        "merchant_id": api.shop.merchant_id,
        "attempt": 1,
        "status": PaymentStatus.SUCCEEDED.value,
        "amount": 4999,
        "amount_captured": 4999,
        "currency": "GBP",
        "psp": "sandbox",
        **changes,
    }
    api.db.transact_sync(lambda session: session.add(Payment(**values)))
    return payment_id


def add(api: Api, *rows: Any) -> None:
    def work(session: Session) -> None:
        session.add_all(rows)

    api.db.transact_sync(work)


def dispute(api: Api, payment_id: str, **changes: Any) -> Dispute:
    values = {
        "id": new_id("dp"),
        "payment_id": payment_id,
        "merchant_id": api.shop.merchant_id,
        "amount": 4999,
        "currency": "GBP",
        "status": "needs_response",
        "reason": "fraudulent",
        "psp_dispute_id": new_id("du"),
        "opened_at": NOON,
        **changes,
    }
    return Dispute(**values)


def test_a_payment_is_shown_with_all_that_became_of_it(api: Api, http: httpx.Client) -> None:
    payment_id = paid(api, http, late=True, capture_before=NOON)
    due = dispute(api, payment_id, id="", evidence_due_at=NOON)
    due.id = new_id("dp")
    expected = {
        "id": due.id,
        "object": "dispute",
        "payment": payment_id,
        "amount": 4999,
        "currency": "GBP",
        "status": "needs_response",
        "reason": "fraudulent",
        "evidence_due_at": SHOWN,
        "opened_at": SHOWN,
        "closed_at": None,
    }
    receipt = Receipt(
        id=new_id("rcp"),
        payment_id=payment_id,
        merchant_id=api.shop.merchant_id,
        channel="email",
        to="someone@example.com",
        status="sent",
        sent_at=NOON,
    )
    add(api, due, receipt)
    shown = http.get(f"/v1/payments/{payment_id}").json()
    assert shown["disputes"] == [expected]
    assert shown["receipt"] == {"channel": "email", "status": "sent", "sent_at": SHOWN}
    assert shown["late"] is True
    # Once taken, the money is not held any more.
    assert shown["capture_before"] is None
    listed = http.get(f"/v1/payment_links/{shown['payment_link']}/payments").json()
    assert listed["data"] == [shown]
    disputes = http.get("/v1/disputes", params={"limit": 1}).json()
    assert disputes["data"] == [expected]


def test_a_payment_of_which_nothing_more_is_known(api: Api, http: httpx.Client) -> None:
    shown = http.get(f"/v1/payments/{paid(api, http)}").json()
    assert (shown["disputes"], shown["receipt"], shown["late"], shown["capture_before"]) == ([], None, False, None)


@pytest.mark.parametrize("status", [PaymentStatus.IN_REVIEW, PaymentStatus.REQUIRES_CAPTURE])
def test_held_money_is_shown_with_its_end(api: Api, http: httpx.Client, status: PaymentStatus) -> None:
    payment_id = paid(api, http, status=status.value, capture_before=NOON)
    assert http.get(f"/v1/payments/{payment_id}").json()["capture_before"] == SHOWN


def test_refunds_come_in_pages_newest_first(api: Api, http: httpx.Client) -> None:
    payment_id = paid(api, http)
    made = [
        Refund(
            id=new_id("re"),
            payment_id=payment_id,
            merchant_id=api.shop.merchant_id,
            amount=100 + number,
            currency="GBP",
            created_by="provider",
        )
        for number in range(3)
    ]
    newest_first = [102, 101, 100]
    ids = [one.id for one in reversed(made)]
    add(api, *made)
    path = f"/v1/payments/{payment_id}/refunds"
    whole = http.get(path).json()
    assert (whole["object"], whole["has_more"]) == ("list", False)
    assert [one["amount"] for one in whole["data"]] == newest_first
    first = http.get(path, params={"limit": 2}).json()
    assert (first["data"], first["has_more"]) == (whole["data"][:2], True)
    rest = http.get(path, params={"starting_after": ids[1]}).json()
    assert (rest["data"], rest["has_more"]) == (whole["data"][2:], False)
    problem(http.get(path, params={"starting_after": "re_nobody"}), 404, "not_found")
    problem(http.get(f"/v1/payments/{paid(api, http)}/refunds", params={"starting_after": ids[0]}), 404, "not_found")


def test_disputes_come_in_pages_newest_first(api: Api, http: httpx.Client) -> None:
    made = [
        dispute(api, paid(api, http), status="lost", closed_at=NOON + timedelta(days=number)) for number in range(3)
    ]
    ids = [one.id for one in reversed(made)]
    add(api, *made)
    found = http.get("/v1/disputes", params={"limit": 2}).json()
    assert ([one["id"] for one in found["data"]], found["has_more"]) == (ids[:2], True)
    assert found["data"][0]["closed_at"] == "2026-11-23T12:00:00.000Z"
    rest = http.get("/v1/disputes", params={"limit": 1, "starting_after": ids[1]}).json()
    assert [one["id"] for one in rest["data"]] == [ids[2]]
    problem(http.get("/v1/disputes", params={"starting_after": "dp_nobody"}), 404, "not_found")


def test_nobody_reads_another_merchants_money(api: Api, http: httpx.Client) -> None:
    payment_id = paid(api, http)
    due = dispute(api, payment_id)
    due_id = due.id
    add(api, due)
    with api.client(api.other.key) as stranger:
        for path in (f"/v1/payments/{payment_id}", f"/v1/payments/{payment_id}/refunds"):
            problem(stranger.get(path), 404, "not_found")
        assert stranger.get("/v1/disputes").json() == {"object": "list", "data": [], "has_more": False}
        problem(stranger.get("/v1/disputes", params={"starting_after": due_id}), 404, "not_found")
    with api.client("") as nobody:
        for path in (f"/v1/payments/{payment_id}", f"/v1/payments/{payment_id}/refunds", "/v1/disputes"):
            assert nobody.get(path).status_code == 401
