from collections.abc import AsyncIterator

import pytest
import stripe

from paylink.psp.stripe import StripePsp

from .server import StripeServer, stripe_server


@pytest.fixture(autouse=True)
def _no_pause_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0)
    monkeypatch.setattr(stripe.HTTPClient, "MAX_DELAY", 0)


@pytest.fixture
async def server() -> AsyncIterator[StripeServer]:
    async with stripe_server() as double:
        yield double


@pytest.fixture
async def psp(server: StripeServer) -> AsyncIterator[StripePsp]:
    adapter = StripePsp(server.settings, name="stripe", try_seconds=5, call_seconds=5)
    yield adapter
    await adapter.close()
