"""Stripe's JSON → the port's types: what is known, what is new, what is old, and what is noise."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paylink.psp import stripe_mapping as mapping
from paylink.psp.base import (
    Card,
    Decline,
    ProviderPayment,
    ProviderRefund,
    ProviderStatus,
    PspOutcomeUnknown,
    RefundStatus,
    RiskLevel,
    Screening,
)

from .payloads import CHARGE, INTENT, charge, declined, intent, refund

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted(
    {*intent(), *charge(), "charges", "last_payment_error", "status", "review", "outcome", "failure_reason"}
)


def read(raw: dict[str, Any]) -> ProviderPayment:
    return mapping.payment(raw, mapping.charge_of(raw))


def test_everything_of_an_authorised_payment() -> None:
    found = read(intent())
    assert (found.id, found.status, found.charge_id) == (INTENT, ProviderStatus.REQUIRES_CAPTURE, CHARGE)
    assert (found.amount, found.currency, found.amount_capturable, found.livemode) == (4999, "GBP", 4999, False)
    assert found.card == Card("visa", "4242", "GB", "fp1")
    assert found.metadata == {"payment_id": "pay_1"}
    assert found.risk
    assert (found.risk.screening, found.risk.risk_level, found.risk.risk_score) == ("authorized", "normal", 12)
    assert (found.decline, found.authenticated, found.disputed) == (None, False, False)
    assert "secret_abc" not in repr(found)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((s.value, s) for s in ProviderStatus),
        ("requires_confirmation", ProviderStatus.REQUIRES_PAYMENT_METHOD),
        ("requires_source_action", ProviderStatus.REQUIRES_ACTION),
        ("settled_by_pigeon", ProviderStatus.PROCESSING),
        (None, ProviderStatus.PROCESSING),
        ({}, ProviderStatus.PROCESSING),
    ],
)
def test_statuses(status: Any, expected: ProviderStatus) -> None:
    assert read(intent(status=status)).status is expected


@pytest.mark.parametrize(
    ("kind", "level", "screening", "risk_level"),
    [
        ("authorized", "elevated", Screening.AUTHORIZED, RiskLevel.ELEVATED),
        ("manual_review", "elevated", Screening.MANUAL_REVIEW, RiskLevel.ELEVATED),
        ("blocked", "highest", Screening.BLOCKED, RiskLevel.HIGHEST),
        ("issuer_declined", "normal", Screening.DECLINED, RiskLevel.NORMAL),
        ("invalid", "not_assessed", Screening.DECLINED, RiskLevel.UNKNOWN),
        ("guessed", "cosmic", Screening.UNKNOWN, RiskLevel.UNKNOWN),
        (None, 7, Screening.UNKNOWN, RiskLevel.UNKNOWN),
    ],
)
def test_outcomes(kind: Any, level: Any, screening: Screening, risk_level: RiskLevel) -> None:
    risk = read(intent(latest_charge=charge(outcome={"type": kind, "risk_level": level}))).risk
    assert risk
    assert (risk.screening, risk.risk_level, risk.risk_score) == (screening, risk_level, None)


@pytest.mark.parametrize(
    ("review", "screening"),
    [
        ("prv_1", Screening.MANUAL_REVIEW),
        ({"id": "prv_1", "open": True}, Screening.MANUAL_REVIEW),
        ({"id": "prv_1", "open": False}, Screening.AUTHORIZED),
        (None, Screening.AUTHORIZED),
    ],
)
def test_an_open_review_holds(review: Any, screening: Screening) -> None:
    risk = read(intent(review=review)).risk
    assert risk
    assert risk.screening is screening


def test_a_block_is_not_softened_by_a_review() -> None:
    risk = read(intent(review="prv_1", latest_charge=charge(outcome={"type": "blocked"}))).risk
    assert risk
    assert risk.screening is Screening.BLOCKED


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (declined("card_declined", "insufficient_funds"), Decline("insufficient_funds")),
        (declined("expired_card"), Decline("expired_card")),
        (declined("card_declined", "generic_decline"), Decline("card_declined")),
        (declined("card_declined", "a code of tomorrow!"), Decline("card_declined")),
        (declined("card_declined", "x4242424242424242"), Decline("card_declined")),
        (declined("payment_intent_authentication_failure"), Decline("payment_intent_authentication_failure", True)),
        (declined("card_declined", "authentication_required"), Decline("authentication_required", True)),
        (declined("authentication_required", "generic_decline"), Decline("authentication_required", True)),
        (intent(status="requires_payment_method", latest_charge=None), None),
        (intent(status="requires_payment_method", last_payment_error={"message": "x"}), Decline("unknown")),
        ({**declined("expired_card"), "status": "succeeded"}, None),
    ],
)
def test_declines(raw: dict[str, Any], expected: Decline | None) -> None:
    assert read(raw).decline == expected


def test_a_blocked_payment_shows_its_outcome() -> None:
    blocked = charge(outcome={"type": "blocked", "risk_level": "highest"})
    for found in (
        read({**declined("card_declined"), "latest_charge": blocked}),
        read({**declined("card_declined", charge=blocked), "latest_charge": None}),
        read({**declined("card_declined"), "latest_charge": None, "charges": {"data": [blocked, charge()]}}),
    ):
        assert found.risk
        assert found.risk.screening is Screening.BLOCKED
        assert found.charge_id == CHARGE


def test_a_charge_that_is_only_named() -> None:
    found = read(intent(latest_charge=CHARGE))
    assert (found.charge_id, found.card, found.risk) == (CHARGE, None, None)
    raw = {**declined("card_declined"), "latest_charge": None}
    assert (mapping.charge_of(raw), mapping.charge_id(raw)) == (None, CHARGE)
    assert read(raw).card == Card("visa", "0002", "US", None)


def test_shapes_of_older_api_versions() -> None:
    old = charge(source={"object": "card", "brand": "Visa", "last4": "4242", "country": "US", "fingerprint": "f"})
    del old["payment_method_details"]
    raw = intent(status="requires_source", charges={"object": "list", "data": [old]})
    del raw["latest_charge"]
    found = read(raw)
    assert (found.status, found.charge_id) == (ProviderStatus.REQUIRES_PAYMENT_METHOD, CHARGE)
    assert found.card == Card("Visa", "4242", "US", "f")


@pytest.mark.parametrize(
    ("secure", "expected"),
    [
        ({"result": "authenticated"}, True),
        ({"result": "attempt_acknowledged"}, True),
        ({"result": "failed"}, False),
        ({"result": "exempted"}, False),
        ({"authenticated": True}, True),
        ({"authenticated": "yes"}, False),
        (None, False),
    ],
)
def test_authentication(secure: Any, expected: bool) -> None:
    details = {"type": "card", "card": {"brand": "visa", "three_d_secure": secure}}
    assert read(intent(latest_charge=charge(payment_method_details=details))).authenticated is expected


def test_never_more_of_a_card_than_four_digits() -> None:
    details = {"card": {"brand": "visa", "last4": "4242424242424242"}}
    assert read(intent(latest_charge=charge(payment_method_details=details))).card == Card("visa", None, None, None)


def test_a_wallet_without_a_card() -> None:
    details = {"type": "link", "link": {"country": "GB"}}
    assert read(intent(latest_charge=charge(payment_method_details=details))).card is None


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", RefundStatus.SUCCEEDED),
        ("failed", RefundStatus.FAILED),
        ("canceled", RefundStatus.FAILED),
        ("pending", RefundStatus.PENDING),
        ("requires_action", RefundStatus.PENDING),
        ("tomorrow", RefundStatus.PENDING),
    ],
)
def test_refund_statuses(status: str, expected: RefundStatus) -> None:
    assert mapping.refund(refund(status=status)).status is expected


@pytest.mark.parametrize("missing", ["id", "amount", "currency"])
def test_no_answer_without_the_essentials(missing: str) -> None:
    for function, raw in ((read, intent()), (mapping.refund, refund())):
        del raw[missing]
        with pytest.raises(PspOutcomeUnknown):
            function(raw)


def test_a_fraction_that_iso_cannot_say() -> None:
    with pytest.raises(PspOutcomeUnknown):
        read(intent(currency="isk", amount=550))


@given(st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=8), json_values)
def test_noise_is_read_or_refused(changes: dict[str, Any], about_the_charge: Any) -> None:
    raw = copy.deepcopy(intent()) | changes
    if isinstance(about_the_charge, dict) and isinstance(raw.get("latest_charge"), dict):
        raw["latest_charge"] |= about_the_charge
    try:
        assert isinstance(read(raw), ProviderPayment)
        assert isinstance(mapping.refund(raw), ProviderRefund)
    except PspOutcomeUnknown:
        pass


@given(st.dictionaries(st.text(max_size=12), json_values, max_size=4))
def test_fields_of_tomorrow_change_nothing(extra: dict[str, Any]) -> None:
    known = intent()
    grown = {**extra, **intent(latest_charge={**extra, **charge()})}
    if not extra.keys() & {"charges", "source"}:
        assert read(grown) == read(known)
