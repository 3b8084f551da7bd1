"""Callbacks: whose word is believed, for how long, and what is read from them."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import WebhookSignature

from paylink.psp.base import ProviderEvent, Subject, WebhookRefused
from paylink.psp.stripe import StripePsp
from paylink.psp.stripe_webhooks import TOLERANCE_SECONDS, parse

from .payloads import CHARGE, INTENT, charge, event, intent, refund
from .server import OLD_SECRET, SECRET, StripeServer
from .test_stripe_mapping import json_values

SECRETS = (SECRET, OLD_SECRET)


def sign(body: bytes, *, secret: str = SECRET, age: int = 0) -> str:
    """The SDK's own helper, so that it is not our reading of the scheme that is tested against itself."""
    stamp = int(time.time()) - age
    return str(WebhookSignature.generate_signature_header(body.decode(), secret, stamp))


def received(body: bytes, header: str | None = None, **options: Any) -> ProviderEvent:
    header = sign(body) if header is None else header
    return parse(body, {"stripe-signature": header}, secrets=options.get("secrets", SECRETS))


BODY = json.dumps(event(intent())).encode()


def test_reads_an_event() -> None:
    found = received(json.dumps(event(intent(), account="acct_1", livemode=True)).encode())
    assert found == ProviderEvent(
        id="evt_1",
        type="payment_intent.succeeded",
        subject=Subject.PAYMENT,
        payment_id=INTENT,
        object_id=INTENT,
        livemode=True,
        account="acct_1",
        created_at=datetime.fromtimestamp(1_795_000_000, UTC),
    )


async def test_the_adapter_uses_its_secrets(server: StripeServer) -> None:
    psp = StripePsp(server.settings, name="stripe")
    assert psp.parse_webhook(BODY, {"stripe-signature": sign(BODY)}).id == "evt_1"
    psp._settings.webhook_secrets = ()
    with pytest.raises(WebhookRefused):
        psp.parse_webhook(BODY, {"stripe-signature": sign(BODY)})


@pytest.mark.parametrize(
    ("about", "subject", "payment_id", "object_id"),
    [
        (intent(), Subject.PAYMENT, INTENT, INTENT),
        (charge(), Subject.PAYMENT, INTENT, CHARGE),
        (charge(payment_intent=intent()), Subject.PAYMENT, INTENT, CHARGE),
        (charge(payment_intent=None), Subject.PAYMENT, None, CHARGE),
        (refund(), Subject.REFUND, INTENT, "re_3Test"),
        ({"object": "review", "id": "prv_1", "payment_intent": INTENT}, Subject.REVIEW, INTENT, "prv_1"),
        ({"object": "dispute", "id": "du_1", "payment_intent": INTENT}, Subject.DISPUTE, INTENT, "du_1"),
        ({"object": "radar.early_fraud_warning", "id": "issfr_1"}, Subject.OTHER, None, "issfr_1"),
        ({"object": "balance"}, Subject.OTHER, None, None),
        ({"object": ["payment_intent"]}, Subject.OTHER, None, None),
        ({}, Subject.OTHER, None, None),
    ],
)
def test_what_it_is_about(about: dict[str, Any], subject: Subject, payment_id: str | None, object_id: Any) -> None:
    found = received(json.dumps(event(about)).encode())
    assert (found.subject, found.payment_id, found.object_id) == (subject, payment_id, object_id)


def test_either_secret_while_one_is_rotated() -> None:
    assert received(BODY, sign(BODY, secret=OLD_SECRET))
    both = f"{sign(BODY, secret='whsec_unknown')},{sign(BODY).rpartition(',')[2]}"
    assert received(BODY, both)


@pytest.mark.parametrize("age", [0, TOLERANCE_SECONDS - 5, 5 - TOLERANCE_SECONDS])
def test_in_time(age: int) -> None:
    assert received(BODY, sign(BODY, age=age))


@pytest.mark.parametrize("age", [TOLERANCE_SECONDS + 5, -TOLERANCE_SECONDS - 5, -(10**9), 10**9])
def test_out_of_time_in_either_direction(age: int) -> None:
    with pytest.raises(WebhookRefused):
        received(BODY, sign(BODY, age=age))


def test_a_later_stamp_does_not_hide_the_signed_one() -> None:
    future = sign(BODY, age=-TOLERANCE_SECONDS - 60)
    with pytest.raises(WebhookRefused):
        received(BODY, f"{future},t={int(time.time())}")
    with pytest.raises(WebhookRefused):
        received(BODY, f"t={int(time.time())},{future}")


@pytest.mark.parametrize(
    "header",
    ["", "garbage", "t=1", "v1=00", "t=,v1=", "t=x,v1=00", "t=1,v1=é", ",,,", f"t={'9' * 5000},v1=00", "t,v1", "="],
)
def test_no_signature(header: str) -> None:
    with pytest.raises(WebhookRefused):
        received(BODY, header)


def test_no_header_at_all() -> None:
    with pytest.raises(WebhookRefused):
        parse(BODY, {}, secrets=SECRETS)


@pytest.mark.parametrize("secrets", [(), ("",), (" ",), ("whsec_other",)])
def test_no_secret_of_ours(secrets: tuple[str, ...]) -> None:
    forged = sign(BODY, secret=secrets[0] if secrets and not secrets[0].strip() else SECRET)
    with pytest.raises(WebhookRefused):
        received(BODY, forged, secrets=secrets)


def test_a_body_written_anew_is_another_body() -> None:
    again = json.dumps(json.loads(BODY), indent=1).encode()
    with pytest.raises(WebhookRefused):
        received(again, sign(BODY))


@pytest.mark.parametrize(
    "raw",
    [
        {"id": "evt_1", "object": "v2.core.event", "type": "v1.x", "related_object": {"id": INTENT}},
        {**event(intent()), "object": "v2.core.event"},
        {**event(intent()), "id": None},
        {**event(intent()), "type": 7},
        {**event(intent()), "data": None},
        {**event(intent()), "data": {"object": []}},
        {**event(intent()), "created": 10**30},
        {"detail": event(intent())},
        [event(intent())],
        None,
        "text",
    ],
)
def test_signed_and_yet_no_event(raw: Any) -> None:
    with pytest.raises(WebhookRefused):
        received(json.dumps(raw).encode())


@pytest.mark.parametrize("body", ["", "{", "[" * 100_000, "\ud7ff"])
def test_signed_and_yet_no_json(body: str) -> None:
    with pytest.raises(WebhookRefused):
        received(body.encode())


def test_not_even_text() -> None:
    with pytest.raises(WebhookRefused):
        received(b"\xff\xfe", sign(b""))


@given(st.dictionaries(st.sampled_from(sorted(event({}))), json_values, max_size=4), json_values)
def test_noise_is_read_or_refused(changes: dict[str, Any], about: Any) -> None:
    body = json.dumps({**event(about), **changes}).encode()
    with suppress(WebhookRefused):
        assert isinstance(received(body), ProviderEvent)


@given(st.binary(max_size=60), st.text(max_size=60))
def test_noise_without_a_signature_is_refused(body: bytes, header: str) -> None:
    with pytest.raises(WebhookRefused):
        received(body, header)
