"""Which adapter a message goes out by: built once, built anew when its account changes, closed when nobody needs it."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.accounts.scope import Principal, PrincipalKind
from paylink.channels import service, switchboard
from paylink.channels.base import Message
from paylink.channels.models import ChannelAccount
from paylink.channels.outside import Allowed, Guarded
from paylink.channels.providers import PROVIDERS
from paylink.channels.switchboard import NoSuchChannel, Switchboard
from paylink.db import Database
from paylink.errors import Invalid
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id
from tests.channels.acme import AcmeChannel, AcmeConfig, Seen, acme

KEYRING = Keyring(["k" * 32])


@pytest.fixture(autouse=True)
def provider() -> Iterator[Seen]:
    with acme() as seen:
        yield seen


class Shop:
    def __init__(self, db: Database) -> None:
        self.db = db
        merchant_id = new_id("mer")
        db.transact_sync(lambda session: session.add(Merchant(id=merchant_id, name="Shop")))
        self.agent = Principal(PrincipalKind.AGENT, "agt_1", "Ann", merchant_id, "ses_1")

    def add(self, provider: str = "acme", **config: Any) -> str:
        found = PROVIDERS[provider]
        made = service.checked(found, config or {"token": "first-token", "sender": "Shop"})
        return self.db.transact_sync(
            lambda session: service.add(session, KEYRING, self.agent, provider=found, name="One", config=made)
        ).id

    def change(self, account_id: str, **changes: Any) -> None:
        def work(session: Session) -> None:
            account = service.get(session, self.agent, account_id, lock=True)
            service.change(session, KEYRING, self.agent, account, **changes)

        self.db.transact_sync(work)

    def choose(self, channel: str, **options: Any) -> str | None:
        return self.db.read_sync(lambda session: service.choose(session, self.agent.merchant_id, channel, **options))


@pytest.fixture
def shop(db: Database) -> Shop:
    return Shop(db)


def token(channel: Any) -> str:
    assert isinstance(channel, AcmeChannel)
    return channel.config.token.get_secret_value()


async def test_an_adapter_is_built_once_and_anew_when_its_account_changes(shop: Shop, provider: Seen) -> None:
    board = Switchboard(shop.db, KEYRING, console_url="https://console.example")
    account_id = shop.add()
    first = await board.channel(account_id, "sms")
    assert first is await board.channel(account_id, "sms")
    assert (token(first), provider.built) == ("first-token", 1)
    assert first.callback_url == f"https://console.example/webhooks/messaging/acme/{account_id}"  # type: ignore[attr-defined]
    shop.change(account_id, config=AcmeConfig.model_validate({"token": "second-token", "sender": "Shop"}))
    assert token(await board.channel(account_id, "sms")) == "second-token"
    # A message may be on its way by the old one.
    assert (provider.built, provider.closed) == (2, 0)
    await board.close()
    assert provider.closed == 2


async def test_what_nobody_sends_by_any_more_is_closed(
    shop: Shop, provider: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchboard, "KEPT", 2)
    monkeypatch.setattr(switchboard, "RETIRED_S", 0.0)
    board = Switchboard(shop.db, KEYRING)
    one, two, three = (shop.add() for _ in range(3))
    for account_id in (one, two, one, three):
        await board.channel(account_id, "sms")
    assert (provider.built, provider.closed) == (3, 1)
    await board.channel(one, "sms")
    assert provider.built == 3
    await board.channel(two, "sms")
    assert provider.built == 4
    await board.close()


async def test_what_cannot_be_sent_by_is_no_channel(shop: Shop) -> None:
    board = Switchboard(shop.db, KEYRING)
    off, other = shop.add(), shop.add()
    shop.change(off, enabled=False)
    for account_id, channel in ((None, "sms"), ("chn_never", "sms"), (off, "sms"), (other, "email")):
        with pytest.raises(NoSuchChannel):
            await board.channel(account_id, channel)
    # What was sent by it before is still reported.
    assert (await board.by_provider_account("acme", off)) is not None
    assert await board.by_provider_account("twilio", off) is None
    with pytest.raises(NoSuchChannel):
        await Switchboard(shop.db, Keyring(["x" * 32])).channel(other, "sms")
    moved = sa.update(ChannelAccount).where(ChannelAccount.id == other)
    stolen = shop.db.read_sync(lambda session: session.get_one(ChannelAccount, off)).config_sealed
    shop.db.transact_sync(lambda session: session.execute(moved.values(config_sealed=stolen)) and None)
    with pytest.raises(NoSuchChannel):
        await board.channel(other, "sms")


async def test_in_development_the_sandbox_carries_what_no_account_does(shop: Shop) -> None:
    sandbox = AcmeChannel(AcmeConfig.model_validate({"token": "sandbox-token", "sender": "x"}), callback_url="")
    board = Switchboard(shop.db, KEYRING, sandbox=sandbox)
    assert await board.channel(None, "email") is sandbox
    with pytest.raises(NoSuchChannel):
        await board.channel(None, "qr")
    assert token(await board.channel(shop.add(), "sms")) == "first-token"
    await board.close()


async def test_in_production_adapters_are_guarded(shop: Shop) -> None:
    board = Switchboard(shop.db, KEYRING, allowed=Allowed())
    account_id = shop.add(token="first-token", sender="x", base_url="http://10.0.0.1")
    channel = await board.channel(account_id, "sms")
    assert isinstance(channel, Guarded)
    with pytest.raises(Exception, match="base_url"):
        await channel.send(Message(id="x", channel="sms", to="+447700900123", text="x"))
    await board.close()


async def test_a_web_chat_is_told_whose_it_is(shop: Shop) -> None:
    posted: list[tuple[str, str]] = []

    async def poster(account_id: str, message: Message) -> str:
        posted.append((account_id, message.to))
        return "msg_1"

    board = Switchboard(shop.db, KEYRING, poster=poster)
    account_id = shop.add("webchat", title="Chat")
    channel = await board.channel(account_id, "chat")
    assert await channel.send(Message(id="x", channel="chat", to="cht_1", text="x")) == "msg_1"
    assert posted == [(account_id, "cht_1")]


def test_an_account_is_chosen_that_takes_the_address(shop: Shop) -> None:
    web = shop.add("webchat", title="Chat")
    matrix = shop.add("matrix", homeserver_url="https://matrix.example", access_token="syt_secret_token_of_the_bot")
    for to, account_id in (
        ("cht_1", web),
        ("123456", web),
        ("!room:example.org", matrix),
        ("@ann:example.org", matrix),
    ):
        assert shop.choose("chat", to=to) == account_id
    assert shop.choose("chat") == web
    assert shop.choose("chat", to="@ann:example.org", account_id=matrix) == matrix
    with pytest.raises(Invalid, match="to:"):
        shop.choose("chat", to="@ann:example.org", account_id=web)
