"""Calls in bulk wait for their turn, and one that is told to come back later does."""

import asyncio
import time
from typing import Any

import pytest

from paylink.psp import paced
from paylink.psp.base import Psp, PspBusy
from paylink.psp.paced import Paced
from paylink.psp.stripe import StripePsp

from .payloads import INTENT, error, intent
from .server import Answer, StripeServer

BUSY = Answer(error("invalid_request_error", "lock_timeout"), 429)


async def test_so_many_a_second_however_many_ask_at_once(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(intent()))
    slow = Paced(psp, per_second=50)
    began = time.monotonic()
    await asyncio.gather(*(slow.get_payment(INTENT) for _ in range(11)))
    assert time.monotonic() - began >= 10 / 50
    assert len(server.requests) == 11


async def test_who_comes_late_does_not_get_the_turns_he_missed(server: StripeServer, psp: StripePsp) -> None:
    server.play(Answer(intent()))
    slow = Paced(psp, per_second=20)
    await slow.get_payment(INTENT)
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await asyncio.gather(*(slow.get_payment(INTENT) for _ in range(3)))
    assert time.monotonic() - began >= 2 / 20


async def test_busy_is_asked_again(server: StripeServer, psp: StripePsp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced, "PATIENCE_S", (0.01, 0.01))
    slow = Paced(psp, per_second=1000)
    server.play(BUSY, BUSY, Answer(intent()))
    assert (await slow.get_payment(INTENT)).id == INTENT
    server.play(BUSY)
    with pytest.raises(PspBusy):
        await slow.get_payment(INTENT)


async def test_every_call_of_the_port_is_passed_on(psp: StripePsp) -> None:
    slow: Psp = Paced(psp, per_second=1000)
    missing: dict[str, Any] = {name: None for name in dir(Psp) if not name.startswith("_") and not hasattr(slow, name)}
    assert not missing
    assert (slow.name, slow.livemode, slow.account) == (psp.name, psp.livemode, psp.account)
    assert slow.browser == psp.browser
    assert slow.charging("GBP") == psp.charging("GBP")
    await slow.close()
