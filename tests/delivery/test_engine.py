"""A delivery from its row to its carrier: what is sent, what is not and why, and what a refusal says."""

import pytest
import sqlalchemy as sa

from paylink.audit.models import AuditEntry
from paylink.channels import service as accounts
from paylink.channels.base import DeliveryStatus, FinalRefusal, TemporaryFault
from paylink.channels.providers import PROVIDERS
from paylink.consent import service as consent
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.delivery import sending, service
from paylink.delivery.models import Purpose
from paylink.delivery.service import Wanted
from paylink.messages.models import MessageTemplate
from tests.channels.acme import AcmeConfig, acme
from tests.delivery.engine import CHECKOUT, EMAIL, PHONE, Desk

BUSY = TemporaryFault("The carrier is busy")


async def test_a_text_goes_out_with_all_that_its_carrier_may_need(desk: Desk) -> None:
    delivery_id = desk.text()
    assert await desk.run(delivery_id) is None
    (message,) = desk.carrier.messages
    found = desk.get(delivery_id)
    assert (found.status, found.provider, found.provider_message_id) == ("sent", "fake", f"fake-{delivery_id}")
    assert (found.attempts, found.last_fault, found.locale, found.token_sealed) == (1, None, "en", None)
    assert (message.id, message.channel, message.to) == (delivery_id, "sms", PHONE)
    assert (message.merchant, message.locale, message.thread) == ("Acme Heating", "en", found.link_id)
    assert message.url.startswith(f"{CHECKOUT}/p/")
    assert message.url in message.text
    assert message.parts["merchant"] == "Acme Heating"
    assert message.parts["amount"] == "£49.99"
    assert message.parts["words"] in message.text
    assert dict(message.headers) == {}
    assert desk.types(delivery_id) == ["delivery.queued", "delivery.sent"]
    door = desk.db.read_sync(
        lambda session: service.find_by_token(session, desk.keyring, message.url.rpartition("/")[2])
    )
    assert door == service.Door(found.link_id, delivery_id, found.merchant_id, "sms")


async def test_it_is_sent_once(desk: Desk) -> None:
    delivery_id = desk.text()
    for _ in range(3):
        await desk.run(delivery_id)
    assert len(desk.carrier.messages) == 1
    assert await desk.run("dlv_x") is None


@pytest.mark.parametrize(
    ("own", "link", "person", "written"),
    [("de", "fr", "es", "de"), (None, "fr", "es", "fr"), (None, None, "pl", "pl"), (None, None, None, "en")],
)
async def test_the_language_is_that_of_the_delivery_the_link_or_the_customer(
    desk: Desk, own: str | None, link: str | None, person: str | None, written: str
) -> None:
    (added,) = desk.send(Wanted("email", EMAIL, locale=own), locale=link, person=person)
    await desk.run(added.row["id"])
    assert desk.carrier.messages[0].locale == written
    assert desk.get(added.row["id"]).locale == written


async def test_a_merchants_own_words_are_used(desk: Desk) -> None:
    words = {"merchant_id": desk.agent.merchant_id, "channel": "sms", "language": "en", "updated_by": "agt_x"}
    template = MessageTemplate(id="tpl_x", **words, text="Hello {{ name }}, {{ agent }} sends you {{ url }}")
    desk.db.transact_sync(lambda session: session.add(template))
    await desk.run(desk.text())
    assert desk.carrier.messages[0].text.strip() == f"Hello Ann, Sam sends you {desk.carrier.messages[0].url}"


async def test_only_reminders_carry_the_way_to_stop_them(desk: Desk) -> None:
    (added,) = desk.send(Wanted("email", EMAIL))
    desk.change(added.row["id"], purpose=Purpose.REMINDER.value)
    await desk.run(added.row["id"])
    headers = desk.carrier.messages[0].headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["List-Unsubscribe"].startswith(f"<{CHECKOUT}/unsubscribe/")


async def test_it_goes_out_by_the_first_account_and_says_so_before_it_does(desk: Desk) -> None:
    """A carrier's report may be faster than our own note of what it said: the row must name the account by then."""
    with acme() as seen:
        (first, second) = (add_account(desk, name) for name in ("First", "Second"))
        delivery_id = desk.text()
        seen.fault = BUSY
        assert await desk.run(delivery_id) is not None
        assert (desk.get(delivery_id).account_id, desk.get(delivery_id).status) == (first, "queued")
        seen.fault = None
        assert await desk.run(delivery_id) is None
        (added,) = desk.send(Wanted("sms", PHONE, account_id=second))
        await desk.run(added.row["id"])
        assert [secret for secret, _ in seen.messages] == ["token-First", "token-Second"]
    assert (desk.get(delivery_id).provider, desk.get(added.row["id"]).account_id) == ("acme", second)
    assert desk.carrier.messages == []


async def test_an_account_that_was_switched_off_meanwhile_sends_nothing(desk: Desk) -> None:
    with acme() as seen:
        gone = add_account(desk, "Gone")
        (added,) = desk.send(Wanted("sms", PHONE, account_id=gone))
        desk.db.transact_sync(
            lambda s: accounts.change(s, desk.keyring, desk.agent, accounts.get(s, desk.agent, gone), enabled=False)
        )
        assert await desk.run(added.row["id"]) is None
        assert seen.messages == []
    assert (desk.get(added.row["id"]).status, desk.get(added.row["id"]).failure_reason) == (
        "failed",
        sending.ACCOUNT_GONE,
    )


async def test_a_channel_without_any_carrier_is_a_failure_and_not_a_try(desk: Desk) -> None:
    (added,) = desk.send(Wanted("fax", "1"))
    assert await desk.run(added.row["id"]) is None
    found = desk.get(added.row["id"])
    assert (found.status, found.attempts, found.failure_code) == ("failed", 0, "channel_unavailable")


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (SuppressionReason.STOP, "has opted out of texts; send it by another channel, or ask them to text START"),
        (SuppressionReason.PROVIDER, "has opted out of texts"),
        (SuppressionReason.BOUNCE, "ask for another address"),
        (SuppressionReason.AGENT, "asked for no more texts; send it by another channel"),
    ],
)
async def test_who_has_opted_out_is_not_written_to(desk: Desk, reason: SuppressionReason, says: str) -> None:
    suppress(desk, SuppressionScope.ALL, reason)
    delivery_id = desk.text()
    assert await desk.run(delivery_id) is None
    found = desk.get(delivery_id)
    assert (found.status, found.attempts, found.token_sealed) == ("opted_out", 0, None)
    assert says in str(found.failure_reason)
    assert desk.carrier.messages == []
    told = desk.told(delivery_id)[-1]
    assert (told.type, told.origin, told.data["reason"]) == ("delivery.opted_out", "system", found.failure_reason)
    assert len(desk.suppressed()) == 1  # what we knew already is no news


async def test_who_wants_no_reminders_gets_the_link_they_asked_for(desk: Desk) -> None:
    suppress(desk, SuppressionScope.REMINDERS, SuppressionReason.UNSUBSCRIBE)
    asked, reminder = desk.text(), desk.text()
    desk.change(reminder, purpose=Purpose.REMINDER.value)
    for delivery_id in (asked, reminder):
        await desk.run(delivery_id)
    assert [desk.get(one).status for one in (asked, reminder)] == ["sent", "opted_out"]
    assert "unsubscribed from texts" in str(desk.get(reminder).failure_reason)
    assert [one.scope for one in desk.suppressed()] == ["reminders"]


async def test_another_merchants_list_is_not_ours(desk: Desk) -> None:
    other = Desk(desk.db, desk.jobs)
    suppress(other, SuppressionScope.ALL, SuppressionReason.STOP)
    delivery_id = desk.text()
    await desk.run(delivery_id)
    assert desk.get(delivery_id).status == "sent"


@pytest.mark.parametrize(
    ("status", "code", "why"),
    [
        (DeliveryStatus.FAILED, "30003", None),
        (DeliveryStatus.BOUNCED, "5.1.1", SuppressionReason.BOUNCE),
        (DeliveryStatus.OPTED_OUT, "21610", SuppressionReason.PROVIDER),
    ],
)
async def test_a_refusal_for_good_is_kept_and_what_it_says_of_the_person_too(
    desk: Desk, status: DeliveryStatus, code: str, why: SuppressionReason | None
) -> None:
    desk.carrier.script = [FinalRefusal("No such number", code=code, status=status)]
    delivery_id = desk.text()
    assert await desk.run(delivery_id) is None
    found = desk.get(delivery_id)
    assert (found.status, found.failure_reason, found.failure_code) == (status, "No such number", code)
    assert (found.attempts, found.provider) == (1, "fake")
    assert desk.types(delivery_id) == ["delivery.queued", f"delivery.{status}"]
    assert [(one.address, one.reason, one.created_by) for one in desk.suppressed()] == (
        [(PHONE, why, "provider")] if why else []
    )
    query = sa.select(AuditEntry.action).where(AuditEntry.merchant_id == desk.agent.merchant_id)
    assert desk.db.read_sync(lambda s: list(s.scalars(query))) == (["suppression.added"] if why else [])


async def test_a_refusal_that_claims_to_be_none_is_a_failure(desk: Desk) -> None:
    desk.carrier.script = [FinalRefusal("odd", status=DeliveryStatus.SENT)]
    delivery_id = desk.text()
    await desk.run(delivery_id)
    assert desk.get(delivery_id).status == "failed"


def add_account(desk: Desk, name: str) -> str:
    config = AcmeConfig(token=f"token-{name}", sender="Shop")  # type: ignore[arg-type]
    return desk.db.transact_sync(
        lambda s: accounts.add(s, desk.keyring, desk.agent, provider=PROVIDERS["acme"], name=name, config=config).id
    )


def suppress(desk: Desk, scope: SuppressionScope, reason: SuppressionReason) -> None:
    said = {"scope": scope, "reason": reason, "by": "payer"}
    desk.db.transact_sync(lambda s: consent.suppress(s, desk.agent.merchant_id, "sms", PHONE, **said) and None)
