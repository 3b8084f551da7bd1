"""Faults on the way and answers that are none: which of the port's errors each becomes."""

import asyncio
import logging
from typing import Any

import pytest

from paylink.psp.base import NewPayment, PspBusy, PspError, PspOutcomeUnknown, PspRefused
from paylink.psp.stripe import StripePsp

from .payloads import INTENT, error, intent
from .server import Answer, Behaviour, CutOff, Drip, Reset, Silence, StripeServer

NEW = NewPayment(amount=4999, currency="GBP", description="", metadata={}, idempotency_key="pay_1:create")
CARD = "4242424242424242"


async def _failure(psp: StripePsp, server: StripeServer, *script: Behaviour) -> PspError:
    server.play(*script)
    with pytest.raises(PspError) as caught:
        await psp.create_payment(NEW)
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (402, error("card_error", "card_declined", decline_code="insufficient_funds"), "insufficient_funds"),
        (402, error("card_error", "expired_card"), "expired_card"),
        (400, error("invalid_request_error", "payment_intent_unexpected_state"), "payment_intent_unexpected_state"),
        (400, error("invalid_request_error", "amount_too_small"), "amount_too_small"),
        (400, error("invalid_request_error"), "invalid_request_error"),
        (404, error("invalid_request_error", "resource_missing"), "resource_missing"),
        (400, error("idempotency_error"), "idempotency_error"),
        (401, error("invalid_request_error", "api_key_expired"), "authentication"),
        (403, error("invalid_request_error", "secret_key_required"), "authentication"),
    ],
)
async def test_a_clear_no(server: StripeServer, psp: StripePsp, status: int, body: Any, code: str) -> None:
    failure = await _failure(psp, server, Answer(body, status))
    assert (type(failure), failure.code) == (PspRefused, code)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "tries"),
    [
        (429, error("invalid_request_error", "rate_limit"), 1),
        (429, error("invalid_request_error", "lock_timeout"), 1),
        (400, error("invalid_request_error", "rate_limit"), 1),
        (400, error("invalid_request_error", "lock_timeout"), 1),
        (409, error("api_error"), 3),
    ],
)
async def test_come_back_later(server: StripeServer, psp: StripePsp, status: int, body: Any, tries: int) -> None:
    failure = await _failure(psp, server, Answer(body, status))
    assert type(failure) is PspBusy
    assert len(server.requests) == tries


@pytest.mark.parametrize("fault", [Reset(), CutOff(), Answer(error("api_error"), 500), Answer(b"<html>", 503)])
async def test_no_answer_is_unknown_and_keeps_its_key(server: StripeServer, psp: StripePsp, fault: Behaviour) -> None:
    failure = await _failure(psp, server, fault)
    assert type(failure) is PspOutcomeUnknown
    assert [r.key for r in server.requests] == ["pay_1:create"] * 3


async def test_a_second_try_may_succeed(server: StripeServer, psp: StripePsp) -> None:
    server.play(Reset(), Answer(error("api_error"), 500), Answer(intent()))
    assert (await psp.create_payment(NEW)).id == INTENT
    assert [r.key for r in server.requests] == ["pay_1:create"] * 3


@pytest.mark.parametrize("first", [Reset(), Answer(error("api_error"), 500)])
async def test_busy_after_a_lost_try_is_unknown(server: StripeServer, psp: StripePsp, first: Behaviour) -> None:
    """The lost try may have had its effect: "nothing happened" cannot be said any more."""
    busy = Answer(error("invalid_request_error", "lock_timeout"), 429)
    assert type(await _failure(psp, server, first, busy)) is PspOutcomeUnknown
    assert type(await _failure(psp, server, busy)) is PspBusy


async def test_the_same_call_still_at_work_is_unknown(server: StripeServer, psp: StripePsp) -> None:
    failure = await _failure(psp, server, Answer(error("idempotency_error", "idempotency_key_in_use"), 409))
    assert type(failure) is PspOutcomeUnknown


async def test_no_more_tries_where_stripe_says_so(server: StripeServer, psp: StripePsp) -> None:
    answer = Answer(error("api_error"), 500, {"Stripe-Should-Retry": "false"})
    assert type(await _failure(psp, server, answer)) is PspOutcomeUnknown
    assert len(server.requests) == 1


async def test_silence_ends_in_time(server: StripeServer) -> None:
    psp = StripePsp(server.settings, name="stripe", try_seconds=0.5, call_seconds=10)
    assert type(await _failure(psp, server, Silence())) is PspOutcomeUnknown
    assert [r.key for r in server.requests] == ["pay_1:create"] * 3
    await psp.close()


async def test_a_dripping_answer_ends_in_time(server: StripeServer) -> None:
    psp = StripePsp(server.settings, name="stripe", try_seconds=5, call_seconds=0.3)
    async with asyncio.timeout(5):
        assert type(await _failure(psp, server, Drip())) is PspOutcomeUnknown
    await psp.close()


async def test_nobody_listens(server: StripeServer) -> None:
    settings = server.settings
    settings.api_base = "http://127.0.0.1:1"
    psp = StripePsp(settings, name="stripe")
    with pytest.raises(PspOutcomeUnknown):
        await psp.get_payment(INTENT)
    await psp.close()


@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 402, 404, 408, 409, 418, 424, 429, 500, 502])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"7",
        b"{",
        b'{"error": "text"}',
        b'{"error": []}',
        b'{"error": {"code": 7, "type": [], "decline_code": {}}}',
        b'{"object": "payment_intent"}',
        b'{"object": "list", "data": [], "url": 3}',
        b'{"id": "pi_1", "object": "payment_intent", "amount": "9", "currency": "gbp"}',
        b'{"id": "pi_1", "object": "payment_intent", "amount": 9, "currency": "nothing"}',
        b"[" * 50_000,
    ],
)
async def test_an_odd_answer_is_an_error_of_the_port(
    server: StripeServer, psp: StripePsp, status: int, body: bytes
) -> None:
    failure = await _failure(psp, server, Answer(body, status))
    if status < 400 or status >= 500:
        assert type(failure) is PspOutcomeUnknown


async def test_says_nothing_that_stripe_said(
    server: StripeServer, psp: StripePsp, caplog: pytest.LogCaptureFixture
) -> None:
    """Stripe's texts quote what they were given, and the SDK's quote answers that are not JSON."""
    caplog.set_level(logging.DEBUG)
    bodies = [Answer(error("card_error", CARD), 402), Answer(f"<{CARD}>".encode(), 400), Answer(f"<{CARD}>".encode())]
    for answer in bodies:
        failure = await _failure(psp, server, answer)
        assert CARD not in f"{failure} {failure.code} {failure.__cause__}"
        assert failure.__suppress_context__
    server.play(Answer(intent()))
    await psp.get_payment(INTENT)
    for secret in (CARD, "_secret_", "sk_test_"):
        assert secret not in caplog.text


def test_names_no_secret_of_its_own(server: StripeServer) -> None:
    assert "sk_test" not in repr(StripePsp(server.settings, name="stripe"))
