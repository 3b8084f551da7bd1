"""Paying through the real Stripe SDK: each card, capture, cancel, refund, and the ledger that judges."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from .harness import Box, until


def test_authorise_then_capture(box: Box) -> None:
    intent = box.pay(metadata={"link": "plink_1"}, expand=["latest_charge"])
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 4999, 0)
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.outcome.network_status) == ("authorized", "approved_by_network")
    assert (charge.captured, charge.amount_captured) == (False, 0)

    taken = box.stripe.v1.payment_intents.capture(intent.id)

    assert (taken.status, taken.amount_received, taken.latest_charge) == ("succeeded", 4999, charge.id)
    ledger = box.ledger(intent.id)
    assert ledger["metadata"] == {"link": "plink_1"}
    assert (ledger["authorized"], ledger["captured"], len(ledger["captures"])) == (4999, 4999, 1)
    until(lambda: "payment_intent.succeeded" in box.receiver.types())
    assert box.receiver.types() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    last = box.receiver.bodies("psp")[-1]
    assert last["data"]["object"]["latest_charge"] == charge.id
    for _, headers, body in box.receiver.requests:
        secret = box.settings.stripe.webhook_secrets[0]
        stripe.Webhook.construct_event(body, headers["stripe-signature"], secret)


def test_automatic_capture(box: Box) -> None:
    intent = box.pay(capture_method="automatic")
    assert (intent.status, intent.amount_received) == ("succeeded", 4999)
    assert box.ledger(intent.id)["captured"] == 4999


@pytest.mark.parametrize(
    ("card", "code", "decline_code", "outcome"),
    [
        ("chargeDeclined", "card_declined", "generic_decline", "issuer_declined"),
        ("chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", "issuer_declined"),
        ("chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc", "issuer_declined"),
        ("chargeDeclinedExpiredCard", "expired_card", "expired_card", "issuer_declined"),
        ("chargeDeclinedProcessingError", "processing_error", "processing_error", "issuer_declined"),
        ("radarBlock", "card_declined", "fraudulent", "blocked"),
    ],
)
def test_declines(box: Box, card: str, code: str, decline_code: str, outcome: str) -> None:
    with pytest.raises(stripe.CardError) as caught:
        box.pay(card)
    error = caught.value.error
    assert error is not None
    assert error.payment_intent is not None
    assert caught.value.http_status == 402
    assert (error.code, error.decline_code) == (code, decline_code)

    intent = box.stripe.v1.payment_intents.retrieve(error.payment_intent.id, {"expand": ["latest_charge"]})
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert charge.outcome is not None
    assert intent.last_payment_error is not None
    assert intent.status == "requires_payment_method"
    assert (intent.last_payment_error.decline_code, intent.last_payment_error.charge) == (decline_code, charge.id)
    assert (charge.status, charge.outcome.type, charge.failure_code) == ("failed", outcome, code)
    assert box.ledger(intent.id)["authorized"] == 0
    until(lambda: box.receiver.types()[-1:] == ["payment_intent.payment_failed"])

    again = box.stripe.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("requires_capture", None)


def test_blocked_never_reaches_the_bank(box: Box) -> None:
    with pytest.raises(stripe.CardError):
        box.pay("radarBlock")
    charge = box.stripe.v1.charges.list().data[0]
    assert charge.outcome is not None
    assert charge.outcome.network_status == "not_sent_to_network"
    assert (charge.outcome.reason, charge.outcome.risk_level) == ("highest_risk_level", "highest")


def test_elevated_risk_opens_a_review_and_approving_captures_nothing(box: Box) -> None:
    intent = box.pay("riskLevelElevated", expand=["latest_charge", "review"])
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(intent.review, stripe.Review)
    assert charge.outcome is not None
    assert (charge.outcome.type, charge.outcome.risk_level, intent.review.open) == ("manual_review", "elevated", True)

    closed = box.stripe.v1.reviews.approve(intent.review.id)

    assert (closed.open, closed.closed_reason) == (False, "approved")
    assert box.stripe.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    until(lambda: "review.closed" in box.receiver.types())
    assert box.receiver.types()[-2:] == ["review.opened", "review.closed"]
    with pytest.raises(stripe.InvalidRequestError):
        box.stripe.v1.reviews.approve(intent.review.id)


def test_canceling_closes_the_review_and_releases_the_money(box: Box) -> None:
    intent = box.pay("riskLevelElevated")
    canceled = box.stripe.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "fraudulent"})
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    review = box.stripe.v1.reviews.retrieve(str(intent.review))
    assert (review.open, review.closed_reason) == (False, "canceled")
    assert box.ledger(intent.id)["canceled"] is True
    for call in (box.stripe.v1.payment_intents.cancel, box.stripe.v1.payment_intents.capture):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(intent.id)
        assert caught.value.code == "payment_intent_unexpected_state"


def test_highest_risk_but_authorised(box: Box) -> None:
    intent = box.pay("riskLevelHighest", expand=["latest_charge"])
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.outcome is not None
    assert (intent.status, intent.latest_charge.outcome.risk_level) == ("requires_capture", "highest")


@pytest.mark.parametrize("outcome", ["approve", "refuse"])
def test_three_d_secure(box: Box, outcome: str) -> None:
    intent = box.pay("authenticationRequired", use_stripe_sdk=True)
    assert intent.next_action is not None
    assert (intent.status, intent.next_action.type) == ("requires_action", "use_stripe_sdk")
    path = f"/v1/test_helpers/payment_intents/{intent.id}/authenticate"
    if outcome == "approve":
        box.stripe.raw_request("post", path, outcome=outcome)
        after = box.stripe.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
        assert isinstance(after.latest_charge, stripe.Charge)
        details = after.latest_charge.payment_method_details
        assert details is not None
        assert details.card is not None
        assert details.card.three_d_secure is not None
        assert (after.status, details.card.three_d_secure.result) == ("requires_capture", "authenticated")
        return
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.raw_request("post", path, outcome=outcome)
    assert caught.value.code == "payment_intent_authentication_failure"
    after = box.stripe.v1.payment_intents.retrieve(intent.id)
    assert after.last_payment_error is not None
    assert (after.status, after.latest_charge) == ("requires_payment_method", None)
    assert after.last_payment_error.code == "payment_intent_authentication_failure"
    until(lambda: box.receiver.types()[-1:] == ["payment_intent.payment_failed"])


def test_three_d_secure_by_redirect(box: Box) -> None:
    intent = box.pay("threeDSecure2Required", return_url="https://shop.test/back?a=1")
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    url = str(intent.next_action.redirect_to_url.url)
    assert "Approve" in box.http.get(url).text
    for _ in range(2):  # a second answer changes nothing
        answer = box.http.post(url, data={"decision": "approve"})
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"https://shop.test/back?a=1&payment_intent={intent.id}&")
        assert answer.headers["location"].endswith("&redirect_status=succeeded")
    assert len(box.stripe.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_off_session_authentication_fails(box: Box) -> None:
    with pytest.raises(stripe.CardError) as caught:
        box.pay("authenticationRequired", off_session=True)
    assert caught.value.code == "authentication_required"


def test_partial_capture_and_over_capture(box: Box) -> None:
    intent = box.pay()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.v1.payment_intents.capture(intent.id, {"amount_to_capture": 5000})
    assert (caught.value.code, caught.value.param) == ("amount_too_large", "amount_to_capture")
    taken = box.stripe.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1000})
    assert (taken.status, taken.amount_received) == ("succeeded", 1000)
    assert box.ledger(intent.id)["captured"] == 1000
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 1001})
    assert caught.value.param == "amount"


def test_refunds_never_exceed_what_was_captured(box: Box) -> None:
    intent = box.pay(capture_method="automatic", amount=1000)

    def refund(_: int) -> str:
        try:
            return str(box.stripe.v1.refunds.create({"payment_intent": intent.id, "amount": 300}).status)
        except stripe.InvalidRequestError as error:
            return str(error.code)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(refund, range(8)))
    assert sorted(results) == ["amount_too_large"] * 5 + ["succeeded"] * 3
    rest = box.stripe.v1.refunds.create({"payment_intent": intent.id, "reason": "requested_by_customer"})
    assert rest.amount == 100
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.v1.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "charge_already_refunded"
    assert box.ledger(intent.id)["refunded"] == 1000
    charge = box.stripe.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]})
    assert (charge.refunded, charge.amount_refunded) == (True, 1000)
    assert charge.refunds is not None
    assert len(charge.refunds.data) == 4
    until(lambda: box.receiver.types().count("refund.created") == 4)


def test_refund_that_fails_later(box: Box) -> None:
    box.order(refund_delay_ms=1)
    intent = box.pay("refundFail", capture_method="automatic")
    refund = box.stripe.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    until(lambda: "refund.failed" in box.receiver.types())
    assert box.stripe.v1.refunds.retrieve(refund.id).status == "failed"
    assert box.ledger(intent.id)["refunded"] == 0


def test_pending_refund(box: Box) -> None:
    box.order(refund_delay_ms=1)
    intent = box.pay("pendingRefund", capture_method="automatic")
    assert box.stripe.v1.refunds.create({"payment_intent": intent.id}).status == "pending"
    until(lambda: "refund.updated" in box.receiver.types())


def test_dispute_follows_the_capture(box: Box) -> None:
    box.order(dispute_delay_ms=1)
    intent = box.pay("createDispute")
    assert not box.stripe.v1.disputes.list().data
    box.stripe.v1.payment_intents.capture(intent.id)
    until(lambda: "charge.dispute.created" in box.receiver.types())
    dispute = box.stripe.v1.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 4999, "fraudulent")
    assert box.stripe.v1.charges.retrieve(str(intent.latest_charge)).disputed is True
    box.order(close_dispute={"dispute_id": dispute.id, "status": "won"})
    until(lambda: "charge.dispute.closed" in box.receiver.types())
    assert box.ledger(intent.id)["disputed"] == 0


def test_return_url_is_demanded_as_stripe_does(box: Box) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        box.stripe.v1.payment_intents.create(
            {"amount": 100, "currency": "gbp", "confirm": True, "payment_method": "pm_card_visa"}
        )
    assert caught.value.param == "return_url"
    assert not box.stripe.v1.payment_intents.list().data


def test_the_fingerprint_tells_cards_apart(box: Box) -> None:
    def fingerprint(card: str) -> str:
        charge = box.pay(card, expand=["latest_charge"]).latest_charge
        assert isinstance(charge, stripe.Charge)
        details = charge.payment_method_details
        assert details is not None
        assert details.card is not None
        return str(details.card.fingerprint)

    assert fingerprint("visa") == fingerprint("visa") != fingerprint("mastercard")


def test_an_outdated_authentication_moves_nothing(box: Box) -> None:
    """Another tab tries another card: what is then answered in the first one must not charge a second time."""
    first = box.pay("authenticationRequired", return_url="https://shop.test/back")
    assert first.next_action is not None
    assert first.next_action.redirect_to_url is not None
    old = str(first.next_action.redirect_to_url.url)
    again: stripe.PaymentIntent = box.stripe.v1.payment_intents.confirm(
        first.id, {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.test/back"}
    )
    assert again.next_action is not None
    assert again.next_action.redirect_to_url is not None
    answer = box.http.post(old, data={"decision": "approve"})
    assert answer.headers["location"].endswith("&redirect_status=failed")
    assert not box.stripe.v1.charges.list().data
    box.http.post(str(again.next_action.redirect_to_url.url), data={"decision": "approve"})
    assert len(box.stripe.v1.charges.list().data) == 1
