"""A page that waits: what it offers, and that it comes to the truth whatever tab, device or answer was lost."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from paylink.accounts.models import Merchant
from paylink.kit.clock import utcnow
from paylink.psp.base import ProviderStatus
from tests.checkout.world import Page, World

WAITS = ProviderStatus.REQUIRES_ACTION


async def asked(world: World) -> tuple[str, str, Page]:
    """A page whose customer was sent to their bank."""
    link_id, token = await world.link()
    page = await world.browser().open(token)
    await page.call("payments")
    world.provider.set(world.provider.last(), status=WAITS)
    await page.call("refresh")
    return link_id, token, page


async def test_a_new_tab_of_the_same_browser_can_go_on_or_begin_anew(world: World) -> None:
    _, token, page = await asked(world)
    tab = await page.browser.open(token)
    assert (tab.data["state"], tab.data["offer"], tab.data["waiting"]) == ("in_progress", "resume", True)
    assert ">Continue</button>" in tab.text
    assert ">Start again</button>" in tab.text
    answer = await tab.call("resume")
    assert answer.json() == {"client_secret": "pi_0_secret_shh"}
    assert answer.headers["cache-control"] == "no-store"
    assert (await tab.call("restart")).json() == {"state": "payable", "offer": None, "decline": None, "card": None}
    assert world.provider.calls.count("cancel") == 1
    # What the first tab still holds is worth nothing, and it says so.
    assert (await page.call("resume")).json()["code"] == "payment_not_waiting"
    assert (await tab.call("payments")).json()["client_secret"] == "pi_1_secret_shh"


async def test_the_secret_is_in_no_page_and_no_status(world: World) -> None:
    link_id, token, page = await asked(world)
    seen = [(await page.reload()).text, str(await page.status()), (await page.call("refresh")).text]
    other = await world.browser().open(token)
    seen += [other.text, str(await other.status()), (await other.call("resume")).text]
    seen += [str(await world.events(link_id))]
    assert not [text for text in seen if "secret_shh" in text]


@pytest.mark.parametrize("call", ["resume", "restart"])
async def test_only_the_links_own_page_may_ask(world: World, call: str) -> None:
    _, _, page = await asked(world)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Paylink-Nonce": "x.y"}, {"Content-Type": "text/plain"}):
        assert (await page.call(call, headers=headers)).status_code in {403, 415}
    assert (await page.call(call, {"payment": "pay_1"})).status_code == 422
    assert (await page.browser.get(f"{page.data['base']}/{call}")).status_code == 405
    page.browser.http.cookies.clear()
    assert (await page.call(call)).json()["code"] == "no_session"
    assert "cancel" not in world.provider.calls


async def test_another_device_may_pay_here_instead_once_the_first_was_left(world: World) -> None:
    link_id, token, page = await asked(world)
    other = await world.browser().open(token)
    assert (other.data["state"], other.data["offer"]) == ("elsewhere", None)
    assert "Pay here instead" not in other.text
    assert (await other.call("restart")).json()["code"] == "payment_in_progress"
    await world.left(link_id)
    # The status says so before a reload does, so that the page can show the button.
    assert (await other.status())["offer"] == "take_over"
    assert ">Pay here instead</button>" in (await other.reload()).text
    assert (await other.call("restart")).json()["state"] == "payable"
    assert (await other.call("payments")).status_code == 200
    assert (await page.reload()).heading == "This link is being paid on another device"


async def test_the_other_device_turns_to_paid_though_the_first_was_closed(world: World) -> None:
    _, token, _page = await asked(world)
    other = await world.browser().open(token)
    world.provider.authorise()
    # No callback, and nobody at the first device: it is asked for here.
    world.app.state.checkout.asked._done.clear()
    said = (await other.call("refresh")).json()
    assert said == {"state": "paid", "offer": None, "decline": None, "card": None}
    assert (await other.reload()).heading == "Already paid"


async def test_back_from_the_bank_in_a_browser_without_the_cookie(world: World) -> None:
    link_id, token, page = await asked(world)
    stranger = world.browser()
    address = f"/pay/{link_id}/return?payment_intent=pi_0&payment_intent_client_secret=pi_0_secret_shh"
    answer = await stranger.get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{link_id}")
    told = await stranger.get(answer.headers["location"])
    assert told.status_code == 403
    assert "Please open your link again" in told.text
    world.provider.authorise()
    opened = await stranger.open(token)
    assert opened.heading == "This link is being paid on another device"
    world.app.state.checkout.asked._done.clear()
    assert (await opened.call("refresh")).json()["state"] == "paid"
    assert (await page.reload()).heading == "Payment complete"


@pytest.mark.parametrize(
    ("status", "heading"),
    [
        (ProviderStatus.REQUIRES_CAPTURE, "Payment complete"),
        (WAITS, "Your payment is not finished yet"),
        (ProviderStatus.PROCESSING, "Your payment is being processed"),
    ],
)
async def test_pay_pressed_again_after_a_lost_answer(world: World, status: ProviderStatus, heading: str) -> None:
    _, token = await world.link()
    page = await world.browser().open(token)
    await page.call("payments")
    if status is ProviderStatus.REQUIRES_CAPTURE:
        world.provider.authorise()
    else:
        world.provider.set(world.provider.last(), status=status)
    answer = await page.call("payments")
    assert (answer.status_code, answer.json()["code"]) == (409, "payment_in_progress")
    assert (await page.reload()).heading == heading
    assert world.provider.calls.count("create") == 1


async def test_payments_that_are_paused_say_so_and_go_on_by_themselves(world: World) -> None:
    _, token = await world.link()
    browser = world.browser()
    page = await browser.open(token)
    await pause(world, timedelta(minutes=7))
    answer = await page.call("payments")
    assert (answer.status_code, answer.json()["code"]) == (503, "payments_paused")
    assert 410 < int(answer.headers["retry-after"]) <= 420
    paused = await page.reload()
    assert paused.heading == "Payments are paused for a moment"
    assert "Please try again in a few minutes" in paused.text
    assert (paused.data["state"], paused.data["waiting"]) == ("paused", True)
    await pause(world, timedelta(0))
    assert (await paused.call("refresh")).json()["state"] == "payable"


async def test_whoever_tries_to_end_attempts_by_the_dozen_is_stopped(limited: World) -> None:
    _, _, page = await asked(limited)
    answers = [(await page.call("resume")).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]
    answers = [(await page.call("restart")).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]


async def pause(world: World, lasting: timedelta) -> None:
    values = {"payments_paused_until": utcnow() + lasting}
    update = sa.update(Merchant).where(Merchant.id == world.merchant_id).values(values)
    await world.db.transact(lambda session: session.execute(update) and None)
