"""The customer's receipt: to whom, what it says, and that it is sent once whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from paylink.channels.base import Channel, Message, TemporaryFault
from paylink.channels.sandbox import SandboxChannel
from paylink.channels.switchboard import Switchboard
from paylink.consent import service as consent
from paylink.consent.models import SuppressionReason, SuppressionScope
from paylink.customers.service import Contact
from paylink.delivery.models import Delivery
from paylink.jobs import TryAgain
from paylink.kit import gsm7
from paylink.kit.clock import utcnow
from paylink.kit.ids import new_id
from paylink.messages.render import ReceiptFacts, render_receipt
from paylink.payments import service
from paylink.payments.models import Payment, PaymentStatus, Receipt
from paylink.payments.receipts import RECEIPT_JOB, ReceiptSender, facts_of
from paylink.payments.refunds import refund
from tests.payments.test_settling import give_up
from tests.payments.world import World

NOW = datetime(2026, 11, 21, 17, 48, 39, tzinfo=UTC)
FACTS = ReceiptFacts(
    merchant="Acme Heating",
    amount=4999,
    currency="GBP",
    paid_at=NOW,
    payment="pay_01m7zz6yqzrwpqerw1pw8gcq45",
    description="Boiler <repair>",
    reference="INV-1042",
    card="Visa ending in 4242",
    left=1000,
    name="Zoë",
)


class Lost:
    """A carrier that takes the message; the process ends before it has heard so."""

    name = "lost"

    def __init__(self, carrier: Channel) -> None:
        self._carrier = carrier

    async def send(self, message: Message) -> str:
        await self._carrier.send(message)
        raise ConnectionAbortedError


class Away:
    name = "away"

    async def send(self, _message: Message) -> str:
        raise TemporaryFault("The carrier could not be reached")


@dataclass
class Desk:
    """The world's receipts, and the job that sends them, run by hand."""

    world: World
    carrier: SandboxChannel

    async def receipts(self) -> list[Receipt]:
        query = sa.select(Receipt).where(Receipt.merchant_id == self.world.merchant_id).order_by(Receipt.id)
        return await self.world.db.read(lambda session: list(session.scalars(query)))

    async def send(self, carrier: Any = None) -> list[Receipt]:
        """Runs the job of every receipt, as the worker would."""
        carrier = carrier or self.carrier
        sender = ReceiptSender(self.world.db, Switchboard(self.world.db, self.world.ctx.keyring, sandbox=carrier))
        for receipt in await self.receipts():
            assert await self.world.jobs(RECEIPT_JOB, receipt.id) == [f"{RECEIPT_JOB}:{receipt.id}"]
            await sender.send(receipt.id)
        return await self.receipts()

    async def inbox(self, to: str) -> list[dict[str, Any]]:
        url = f"{self.world.ctx.settings.sandbox_url}/inbox/messages"
        async with httpx.AsyncClient(trust_env=False) as client:
            return list((await client.get(url, params={"to": to})).json())

    async def deliver(self, link_id: str, channel: str, to: str | None, *, status: str = "sent") -> None:
        row = {"id": new_id("dlv"), "link_id": link_id, "merchant_id": self.world.merchant_id, "channel": channel}
        door = Delivery(**row, address=to, status=status, token_hash=uuid4().bytes)
        await self.world.db.transact(lambda session: session.add(door))


@pytest.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    settings = world.ctx.settings
    carrier = SandboxChannel(settings.sandbox_url, settings.sandbox_messaging_secret)
    yield Desk(world, carrier)
    await carrier.close()


def someone(name: str = "zoe") -> str:
    return f"{name}+{uuid4().hex}@example.com"


async def test_who_has_opted_out_gets_no_receipt_either(world: World, desk: Desk) -> None:
    email = someone()
    said = {"scope": SuppressionScope.ALL, "reason": SuppressionReason.AGENT, "by": "agent:agt_x"}
    await world.db.transact(lambda s: consent.suppress(s, world.merchant_id, "email", email, **said) and None)
    started = await world.start(await world.link(contact=Contact(name="Zoë", email=email)))
    await world.confirm(started.payment_id)
    await world.callback(started.payment_id)
    (receipt,) = await desk.send()
    assert (receipt.status, await desk.inbox(email)) == ("failed", [])
    assert "asked for no more e-mails" in str(receipt.failure_reason)


async def test_one_receipt_however_many_hear_of_the_payment(world: World, desk: Desk) -> None:
    email = someone()
    link_id = await world.link(contact=Contact(name="Zoë", email=email), reference="INV-1042", description="Boiler")
    started = await world.start(link_id)
    await world.confirm(started.payment_id)
    await asyncio.gather(
        *(world.callback(started.payment_id) for _ in range(6)),
        *(service.refresh(world.ctx, started.payment_id) for _ in range(6)),
    )
    (receipt,) = await desk.send()
    await desk.send()
    assert (receipt.payment_id, receipt.channel, receipt.to, receipt.status) == (
        started.payment_id,
        "email",
        email,
        "sent",
    )
    assert receipt.sent_at is not None
    (mail,) = await desk.inbox(email)
    assert mail["subject"] == "Receipt from Acme Heating: £49.99 (GBP)"
    for part in ("£49.99 (GBP)", "INV-1042", "Boiler", "Visa ending in 4242", "Zoë", "Acme Heating", "UTC"):
        assert part in mail["text"]
        assert part in mail["html"]
    assert started.payment_id in mail["text"]
    assert "Still to pay" not in mail["text"] + mail["html"]
    said = {"receipt": receipt.id, "payment": started.payment_id, "channel": "email", "to": "z•••@example.com"}
    assert await world.told_of(link_id, "receipt.sent") == said
    assert email not in str([event.data for event in await world.events(link_id)])


async def test_a_process_that_ends_between_sending_and_writing_it_down_sends_once(world: World, desk: Desk) -> None:
    email = someone()
    link_id = await world.link(contact=Contact(email=email))
    await world.pay(link_id)
    with pytest.raises(ConnectionAbortedError):
        await desk.send(Lost(desk.carrier))
    assert len(await desk.inbox(email)) == 1
    assert "receipt.sent" not in await world.told(link_id)
    (receipt,) = await desk.send()
    assert receipt.status == "sent"
    assert len(await desk.inbox(email)) == 1
    assert (await world.told(link_id)).count("receipt.sent") == 1


async def test_two_nodes_that_send_at_once_tell_of_it_once(world: World, desk: Desk) -> None:
    email = someone()
    link_id = await world.link(contact=Contact(email=email))
    await world.pay(link_id)
    await asyncio.gather(*(desk.send() for _ in range(5)))
    assert len(await desk.inbox(email)) == 1
    assert (await world.told(link_id)).count("receipt.sent") == 1


MAIL, TEXT, OTHER = "anna@example.com", "+447700900123", "+447700900456"


@pytest.mark.parametrize(
    ("contact", "deliveries", "expected"),
    [
        ({"email": MAIL, "phone": TEXT}, [("sms", OTHER)], ("email", MAIL)),
        ({"phone": TEXT}, [("email", MAIL)], ("email", MAIL)),
        ({"phone": TEXT}, [("sms", OTHER)], ("sms", TEXT)),
        ({"phone": "+442079460123"}, [], None),
        ({"phone": "+442079460123"}, [("sms", OTHER)], ("sms", OTHER)),
        ({"name": "Anna"}, [("sms", TEXT), ("sms", OTHER)], ("sms", OTHER)),
        (None, [("email", MAIL)], ("email", MAIL)),
        (None, [("chat", "@anna"), ("qr", None)], None),
        (None, [], None),
    ],
)
async def test_where_it_goes(
    world: World,
    desk: Desk,
    contact: dict[str, str] | None,
    deliveries: list[tuple[str, str | None]],
    expected: tuple[str, str] | None,
) -> None:
    link_id = await world.link(contact=Contact(**contact) if contact else None)
    for channel, to in deliveries:
        await desk.deliver(link_id, channel, to)
    assert (await world.pay(link_id)).status == PaymentStatus.SUCCEEDED
    assert [(one.channel, one.to) for one in await desk.receipts()] == ([expected] if expected else [])


@pytest.mark.parametrize("status", ["failed", "bounced", "opted_out", "expired"])
async def test_an_address_that_took_no_link_is_no_place_for_a_receipt(world: World, desk: Desk, status: str) -> None:
    link_id = await world.link()
    await desk.deliver(link_id, "email", MAIL, status=status)
    await world.pay(link_id)
    assert await desk.receipts() == []


async def test_every_part_has_its_own(world: World, desk: Desk) -> None:
    email = someone()
    link_id = await world.link(contact=Contact(email=email))
    held = await world.pay(link_id, "riskLevelElevated")
    assert await desk.receipts() == []
    await world.stripe.capture(str(held.psp_payment_id), amount=3000, currency="GBP", idempotency_key=held.id)
    await world.callback(held.id)
    await desk.send()
    rest = await world.pay(link_id)
    await desk.send()
    first, second = await desk.inbox(email)
    assert "Amount paid: £30.00 (GBP)" in first["text"]
    assert "Still to pay: £19.99 (GBP)" in first["text"]
    assert "Amount paid: £19.99 (GBP)" in second["text"]
    assert "Still to pay" not in second["text"]
    assert [one.payment_id for one in await desk.receipts()] == [held.id, rest.id]


async def test_money_that_comes_late_has_one_too(world: World, desk: Desk) -> None:
    email = someone()
    link_id = await world.link(contact=Contact(email=email))
    started = await world.start(link_id)
    await world.db.transact(lambda session: give_up(session, started.payment_id, PaymentStatus.CANCELED))
    await world.confirm(started.payment_id)
    psp_id = str((await world.payment(started.payment_id)).psp_payment_id)
    await world.stripe.capture(psp_id, amount=4999, currency="GBP", idempotency_key=link_id)
    await world.callback(started.payment_id)
    assert "payment.succeeded_late" in await world.told(link_id)
    await desk.send()
    assert len(await desk.inbox(email)) == 1


async def test_a_declined_payment_has_none(world: World, desk: Desk) -> None:
    link_id = await world.link(contact=Contact(email=someone()))
    assert (await world.pay(link_id, "chargeDeclined")).status == PaymentStatus.FAILED
    assert await desk.receipts() == []


@pytest.mark.parametrize(("currency", "amount", "words"), [("JPY", 500, "JP¥500 (JPY)"), ("KWD", 5000, "KWD 5.000")])
async def test_amounts_have_the_decimals_of_their_currency(
    world: World, desk: Desk, currency: str, amount: int, words: str
) -> None:
    email = someone()
    await world.pay(await world.link(amount=amount, currency=currency, contact=Contact(email=email)))
    await desk.send()
    (mail,) = await desk.inbox(email)
    assert f"Amount paid: {words}\n" in mail["text"].replace("\u00a0", " ")


async def test_the_date_is_that_of_the_payment_whatever_happens_later(world: World) -> None:
    link_id = await world.link()
    paid = await world.pay(link_id)
    at = next(event.occurred_at for event in await world.events(link_id) if event.type == "payment.succeeded")
    await refund(world.ctx, world.agent, paid.id, amount=100, reason=None)
    await world.age(Payment, paid.id, updated_at=utcnow() + timedelta(days=3))
    facts = await world.db.read(lambda session: facts_of(session, session.get_one(Payment, paid.id)))
    assert facts.paid_at == at


async def test_an_address_that_is_refused_is_told_and_not_tried_again(world: World, desk: Desk) -> None:
    link_id = await world.link(contact=Contact(email=someone("fail")))
    await world.pay(link_id)
    (receipt,) = await desk.send()
    await desk.send()
    assert (receipt.status, receipt.sent_at) == ("failed", None)
    told = await world.told_of(link_id, "receipt.failed")
    assert (told["to"], told["reason"]) == ("f•••@example.com", "The carrier refused the address")


async def test_a_carrier_that_is_busy_is_tried_again(world: World, desk: Desk) -> None:
    email = someone("busy")
    link_id = await world.link(contact=Contact(email=email))
    await world.pay(link_id)
    for _ in range(2):
        with pytest.raises(TryAgain) as again:
            await desk.send()
        assert again.value.after_s is not None
        assert again.value.after_s >= 2
    assert [one.status for one in await desk.send()] == ["sent"]
    assert len(await desk.inbox(email)) == 1
    assert "receipt.failed" not in await world.told(link_id)


async def test_a_carrier_that_stays_away_is_given_up_in_the_end(world: World, desk: Desk) -> None:
    link_id = await world.link(contact=Contact(email=someone()))
    await world.pay(link_id)
    (receipt,) = await desk.receipts()
    for age, wait in ((timedelta(minutes=10), 600), (timedelta(hours=23), 3600)):
        await world.age(Receipt, receipt.id, created_at=utcnow() - age)  # type: ignore[arg-type]
        with pytest.raises(TryAgain) as again:
            await desk.send(Away())
        assert again.value.after_s == pytest.approx(wait, abs=5)
    await world.age(Receipt, receipt.id, created_at=utcnow() - timedelta(hours=25))  # type: ignore[arg-type]
    assert [one.status for one in await desk.send(Away())] == ["failed"]
    assert (await world.told_of(link_id, "receipt.failed"))["reason"] == "The carrier could not be reached"


async def test_without_a_carrier_it_is_told_so(world: World, desk: Desk) -> None:
    link_id = await world.link(contact=Contact(phone=TEXT))
    await world.pay(link_id)
    (receipt,) = await desk.receipts()
    await ReceiptSender(world.db, Switchboard(world.db, world.ctx.keyring)).send(receipt.id)
    told = await world.told_of(link_id, "receipt.failed")
    assert (told["channel"], told["to"], told["reason"]) == ("sms", "+44•••••0123", "This channel is not set up")


def test_a_text_message_is_short_and_in_the_gsm_alphabet() -> None:
    for facts in (FACTS, replace(FACTS, merchant="Émile’s", currency="INR", reference=None, left=None)):
        text = render_receipt("sms", facts).text
        counted = gsm7.count(text)
        assert counted.encoding == "GSM-7"
        assert counted.segments == 1, text
    long = replace(FACTS, merchant="M" * 200, reference="R" * 200)
    assert gsm7.count(render_receipt("sms", long).text).segments <= 2
    assert render_receipt("sms", FACTS).text == (
        "Acme Heating: 49.99 GBP received 21 Nov 2026 17:48 UTC, Visa ending in 4242. Ref INV-1042. "
        "Still to pay: 10.00 GBP. Receipt for pay_01m7zz6yqzrwpqerw1pw8gcq45"
    )


def test_what_people_wrote_cannot_become_markup() -> None:
    hostile = replace(FACTS, merchant="<b>Acme", reference="</td><script>", name="<img src=x>")
    html = render_receipt("email", hostile).html or ""
    for tag in ("<b>", "<script", "<img", "<repair>"):
        assert tag not in html
    assert "&lt;repair&gt;" in html
    lines = replace(FACTS, merchant="Acme\r\nBcc: all@example.com")
    assert "\n" not in (render_receipt("email", lines).subject or "")
