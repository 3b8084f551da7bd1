"""Every kind of answer, grown, shrunk and full of words of tomorrow, through the SDK and the adapter: an object of ours
or ``PspError``, nothing else; and what is not known is never taken for an end."""

import asyncio
import copy
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paylink.config import StripeSettings
from paylink.psp import stripe_mapping as mapping
from paylink.psp.base import (
    DisputeStatus,
    ProviderDispute,
    ProviderEvent,
    ProviderPayment,
    ProviderRefund,
    ProviderReview,
    ProviderStatus,
    PspError,
    PspOutcomeUnknown,
    RefundStatus,
    Subject,
    WebhookRefused,
)
from paylink.psp.stripe import StripePsp

from .payloads import CHARGE, INTENT, charge, declined, dispute, event, intent, refund, review
from .test_stripe_webhooks import received

SETTINGS = StripeSettings(
    secret_key="sk_test_x", publishable_key="pk_test_x", webhook_secrets=(), api_base="http://127.0.0.1:9", js_url=""
)
TOMORROW = "a_word_of_tomorrow"
# What may be left out without the object being no answer any more.
ESSENTIAL = {"id", "object", "amount", "currency", "created"}
OLD = {"charges": {"object": "list", "data": [charge()]}, "latest_charge": None}

Ask = Callable[[StripePsp], Awaitable[Any]]
SHAPES: dict[str, tuple[Callable[[], dict[str, Any]], Ask, type]] = {
    "payment_intent": (intent, lambda psp: psp.get_payment(INTENT), ProviderPayment),
    "declined": (lambda: declined("card_declined", "lost_card"), lambda psp: psp.get_payment(INTENT), ProviderPayment),
    "of 2020": (lambda: intent(**OLD), lambda psp: psp.get_payment(INTENT), ProviderPayment),
    "only named": (lambda: intent(latest_charge=CHARGE), lambda psp: psp.get_payment(INTENT), ProviderPayment),
    "refund": (refund, lambda psp: psp.get_refund("re_3Test"), ProviderRefund),
    "dispute": (dispute, lambda psp: psp.get_dispute("du_1Test"), ProviderDispute),
    "review": (review, lambda psp: psp.get_review("prv_1Test"), ProviderReview),
}


class Wire:
    """What the adapter makes of an answer; the wire is the only part that is not real."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._psp = StripePsp(SETTINGS, name="stripe", try_seconds=5, call_seconds=5)
        runner.run(self._psp._transport.close_async())
        self._psp._transport._client = httpx.AsyncClient(transport=httpx.MockTransport(self._serve))
        self._raw: Any = None
        self._charge: Any = None

    def answered(self, raw: dict[str, Any], ask: Ask, *, of_charge: Any = None) -> Any:
        self._raw, self._charge = raw, of_charge or charge()
        return self._runner.run(_awaited(ask(self._psp)))

    def close(self) -> None:
        self._runner.run(self._psp.close())

    def _serve(self, request: httpx.Request) -> httpx.Response:
        body = self._charge if "/charges/" in request.url.path else self._raw
        return httpx.Response(200, content=json.dumps(body), headers={"Request-Id": "req_1"})


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with asyncio.Runner() as runner:
        made = Wire(runner)
        yield made
        made.close()


def places(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in it."""
    inner = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [place for key, value in inner for place in ((*path, key), *places(value, (*path, key)))]


def at(raw: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        raw = raw[key]
    return raw


def change(raw: dict[str, Any], draw: st.DataObject) -> None:
    """One change that Stripe may make any day: a new key, a new word, a field that is gone, or nothing in it."""
    place = draw.draw(st.sampled_from(places(raw)))
    holder, key = at(raw, place[:-1]), place[-1]
    kind = draw.draw(st.sampled_from(["grow", "word", "drop", "null"]))
    if kind == "grow":
        target = holder[key] if isinstance(holder[key], dict) else raw
        target[TOMORROW] = draw.draw(st.sampled_from([{"object": TOMORROW, "id": "x"}, [1], TOMORROW, None, 7]))
    elif kind == "word" and isinstance(holder[key], str) and key not in {"id", "currency"}:
        holder[key] = TOMORROW
    elif kind == "null":
        holder[key] = None
    elif kind == "drop" and isinstance(holder, dict):
        del holder[key]


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=60, deadline=None)
@given(draw=st.data(), times=st.integers(1, 6))
def test_a_changed_answer_is_read_or_is_none(wire: Wire, name: str, draw: st.DataObject, times: int) -> None:
    make, ask, kind = SHAPES[name]
    raw = copy.deepcopy(make())
    for _ in range(times):
        change(raw, draw)
    about = charge()
    change(about, draw)
    try:
        found = wire.answered(raw, ask, of_charge=about)
    except PspError:
        return
    assert isinstance(found, kind)
    # A word of tomorrow is no end: it keeps us asking.
    if raw.get("status") == TOMORROW:
        pending = {ProviderStatus.PROCESSING, RefundStatus.PENDING, DisputeStatus.UNDER_REVIEW}
        assert isinstance(found, ProviderReview) or found.status in pending


@pytest.mark.parametrize("name", SHAPES)
def test_any_optional_field_may_be_gone_or_empty(wire: Wire, name: str) -> None:
    make, ask, kind = SHAPES[name]
    for place in places(make()):
        if len(place) == 1 and place[0] in ESSENTIAL:
            continue
        gone, empty = copy.deepcopy(make()), copy.deepcopy(make())
        at(empty, place[:-1])[place[-1]] = None
        holder = at(gone, place[:-1])
        if isinstance(holder, dict):
            del holder[place[-1]]
        for raw in (gone, empty):
            assert isinstance(wire.answered(raw, ask), kind), place


@settings(max_examples=100, deadline=None)
@given(draw=st.data(), times=st.integers(1, 6), about=st.sampled_from([intent, charge, refund, dispute, review]))
def test_a_changed_event_is_read_or_refused(
    draw: st.DataObject, times: int, about: Callable[[], dict[str, Any]]
) -> None:
    raw = copy.deepcopy(event(about()))
    for _ in range(times):
        change(raw, draw)
    try:
        found = received(json.dumps(raw).encode())
    except WebhookRefused:
        return
    assert isinstance(found, ProviderEvent)


def test_an_event_of_tomorrow_is_about_nothing_we_know() -> None:
    found = received(json.dumps(event({"object": TOMORROW, "id": "x"}, type="payment_intent.teleported")).encode())
    assert (found.subject, found.type) == (Subject.OTHER, "payment_intent.teleported")


def test_everything_of_a_dispute() -> None:
    assert mapping.dispute(dispute()) == ProviderDispute(
        id="du_1Test",
        status=DisputeStatus.NEEDS_RESPONSE,
        amount=4999,
        currency="GBP",
        payment_id=INTENT,
        livemode=False,
        opened_at=datetime.fromtimestamp(1_795_000_000, UTC),
        reason="fraudulent",
        evidence_due_at=datetime.fromtimestamp(1_795_777_600, UTC),
    )


@pytest.mark.parametrize("status", list(DisputeStatus))
def test_dispute_statuses(status: DisputeStatus) -> None:
    assert mapping.dispute(dispute(status=status.value)).status is status


@pytest.mark.parametrize("status", [TOMORROW, None, 7, {}])
def test_a_dispute_of_tomorrow_is_under_review(status: Any) -> None:
    assert mapping.dispute(dispute(status=status)).status is DisputeStatus.UNDER_REVIEW


@pytest.mark.parametrize("missing", ["id", "amount", "currency", "created"])
def test_no_dispute_without_the_essentials(missing: str) -> None:
    raw = dispute()
    del raw[missing]
    with pytest.raises(PspOutcomeUnknown):
        mapping.dispute(raw)


@pytest.mark.parametrize(
    ("reason", "approved"),
    [
        ("approved", True),
        ("refunded", False),
        ("refunded_as_fraud", False),
        ("disputed", False),
        ("canceled", False),
        ("payment_never_settled", False),
        ("acknowledged", None),
        ("redacted", None),
        (TOMORROW, None),
    ],
)
def test_what_became_of_a_review(reason: str, approved: bool | None) -> None:
    closed = mapping.review(review(closed_reason=reason, reason=reason))
    assert closed == ProviderReview("prv_1Test", approved, reason, INTENT, livemode=False)
    # The word alone is nothing while the review is open, or does not say that it is not.
    for still in (True, None, "false", 0):
        assert mapping.review(review(open=still, closed_reason=reason, reason=reason)).approved is None


@pytest.mark.parametrize("reason", ["Approved!", 7, {}, TOMORROW])
def test_a_word_that_is_none_is_not_made_good_by_another(reason: Any) -> None:
    assert mapping.review(review(closed_reason=reason, reason="approved")).approved is None


def test_a_review_of_an_older_version_names_its_end_elsewhere() -> None:
    raw = review(reason="refunded_as_fraud")
    del raw["closed_reason"]
    assert mapping.review(raw).approved is False


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1_795_604_800, datetime.fromtimestamp(1_795_604_800, UTC)),
        (None, None),
        (0, None),
        (10**30, None),
        ("1795604800", None),
        (True, None),
    ],
)
def test_until_when_the_money_is_held(seconds: Any, expected: datetime | None) -> None:
    details = {"type": "card", "card": {"brand": "visa", "capture_before": seconds}}
    raw = intent(latest_charge=charge(payment_method_details=details))
    assert mapping.payment(raw, mapping.charge_of(raw)).capture_before == expected


def test_when_it_was_made() -> None:
    assert mapping.payment(intent(), None).created_at == datetime.fromtimestamp(1_795_000_000, UTC)


def test_the_charge_is_found_wherever_a_version_keeps_it(wire: Wire) -> None:
    """As an object, as an id, and in the list of versions before 2022-11-15."""
    listed = intent(**OLD)
    del listed["latest_charge"]
    for raw in (intent(), intent(latest_charge=CHARGE), intent(**OLD), listed):
        found = wire.answered(raw, lambda psp: psp.get_payment(INTENT))
        assert (found.charge_id, found.card and found.card.last4) == (CHARGE, "4242")
