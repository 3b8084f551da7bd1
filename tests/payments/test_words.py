"""Whose words a decline is told in: ours, from a closed list. What the provider tells the seller stays there."""

import json
from collections.abc import Awaitable
from typing import Any

import pytest
import stripe

from paylink.payments import customer
from paylink.payments.advice import ADVICE
from paylink.payments.schemas import payment_form
from paylink.psp import stripe_mapping
from paylink.psp.stripe import StripePsp
from tests.api.world import everything_in
from tests.payments.world import World

SELLERS_WORDS = "Stripe blocked this payment as too risky: do not tell the thief"


@pytest.mark.parametrize("card", ["chargeDeclinedLostCard", "radarBlock", "riskLevelHighest", "riskLevelElevated"])
async def test_the_providers_words_for_the_seller_reach_nobody(
    world: World, card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, planted = StripePsp._call, []

    async def call(psp: StripePsp, request: Awaitable[stripe.StripeObject]) -> Any:
        raw = await plain(psp, request)
        planted.append(plant(raw))
        return raw

    monkeypatch.setattr(StripePsp, "_call", call)
    link_id = await world.link()
    payment = await world.pay(link_id, card)
    assert sum(planted) > 0
    view = await world.db.read(lambda session: customer.view(session, link_id, session_id="cks_1"))
    told = [event.data for event in await world.events(link_id)]
    shown = json.dumps([payment_form(payment, disputes=[], receipt=None), told], default=str) + repr(view)
    assert "too risky" not in shown
    assert b"too risky" not in everything_in(world.db)


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("chargeDeclinedLostCard", "lost_card"),
        ("chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("radarBlock", "fraudulent"),
        ("chargeDeclined", "a_code_of_tomorrow"),
    ],
)
async def test_what_agent_and_customer_are_told_stands_in_the_list(
    world: World, card: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code not in ADVICE:
        monkeypatch.setattr(stripe_mapping, "code_of", lambda *_args: code)
    link_id = await world.link()
    payment = await world.pay(link_id, card)
    failed = await world.told_of(link_id, "payment.failed")
    assert failed["decline_code"] == code
    assert failed["advice"] in {advice.agent for advice in ADVICE.values()}
    assert payment_form(payment, disputes=[], receipt=None)["advice"] == failed["advice"]
    view = await world.db.read(lambda session: customer.view(session, link_id, session_id="cks_1"))
    assert view.decline in {advice.customer for advice in ADVICE.values()}


def plant(raw: Any) -> int:
    """Puts the seller's words wherever the provider has words; into how many places."""
    if isinstance(raw, list):
        return sum(plant(one) for one in raw)
    if not isinstance(raw, dict):
        return 0
    count = 0
    for name, value in raw.items():
        if name in {"seller_message", "failure_message", "message", "advice_code", "network_decline_code"}:
            raw[name], count = SELLERS_WORDS, count + 1
        else:
            count += plant(value)
    return count
