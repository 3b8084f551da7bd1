"""Asking providers for news that call nobody: in order, again after a fault, and by several workers at once."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from paylink.accounts.models import Merchant
from paylink.channels import polling
from paylink.channels.base import Capabilities, ChannelName, FinalRefusal, Parsed, Reply, TemporaryFault
from paylink.channels.models import ChannelAccount
from paylink.channels.outside import Allowed
from paylink.channels.polling import Poller
from paylink.channels.providers import PROVIDERS, Adapter, Provider
from paylink.channels.service import CONFIG_PURPOSE
from paylink.channels.switchboard import Switchboard
from paylink.db import Database
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id

KEYRING = Keyring(["0123456789abcdef0123456789abcdef"])


class Config(BaseModel):
    bot: str
    homeserver_url: str = "https://93.184.216.34"


@dataclass
class Provided:
    """What a provider has to tell, and how far it was told that it was heard. ``told``: all questions, in order."""

    news: dict[str, deque[tuple[str, Parsed] | Exception]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    told: list[tuple[str, str, str | None]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def note(self, bot: str, what: str, since: str | None) -> None:
        self.told.append((bot, what, since))
        async with self.changed:
            self.changed.notify_all()

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(check)

    def heard(self, bot: str) -> list[tuple[str, str | None]]:
        return [(what, since) for name, what, since in self.told if name == bot]


class Adapted:
    """An adapter without a network. ``provided`` is every account's."""

    name = "matrix"
    Config: ClassVar = Config
    capabilities: ClassVar = Capabilities(read=True, replies=True)
    provided: ClassVar[Provided]

    def __init__(self, config: Config, *, callback_url: str) -> None:
        self.bot = config.bot

    async def resume(self) -> str | None:
        return self.provided.kept.get(self.bot)

    async def keep(self, since: str) -> None:
        self.provided.kept[self.bot] = since
        await self.provided.note(self.bot, "keep", since)

    async def poll(self, since: str | None) -> tuple[str, Parsed]:
        await self.provided.note(self.bot, "poll", since)
        waiting = self.provided.news.get(self.bot)
        if not waiting:
            await asyncio.Event().wait()
        found = cast("deque[Any]", waiting).popleft()
        if isinstance(found, Exception):
            raise found
        return cast("tuple[str, Parsed]", found)

    async def close(self) -> None:
        return None


class _Provider(Provider):
    def load(self) -> Adapter:
        return cast(Adapter, Adapted)


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch) -> Provided:
    monkeypatch.setitem(PROVIDERS, "matrix", _Provider("matrix", ChannelName.CHAT, "Scripted", ""))
    monkeypatch.setattr(polling, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(polling, "BREATH_S", 0.0)
    Adapted.provided = Provided()
    return Adapted.provided


@dataclass
class World:
    db: Database
    merchant_id: str
    switchboard: Switchboard
    stored: list[tuple[str, str, str]] = field(default_factory=list)
    # Raised instead of storing, the next time.
    fault: Exception | None = None

    async def store(self, provider: str, account_id: str, parsed: Parsed) -> None:
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.stored += [(provider, account_id, reply.text) for reply in parsed.replies]

    def account(self, bot: str, *, provider: str = "matrix", **config: str) -> str:
        account_id = new_id("chn")
        sealed = KEYRING.seal(json.dumps({"bot": bot, **config}).encode(), purpose=CONFIG_PURPOSE, bound_to=account_id)
        row = ChannelAccount(
            id=account_id,
            merchant_id=self.merchant_id,
            channel="chat",
            provider=provider,
            name=bot,
            config_sealed=sealed,
            position=0,
        )
        self.db.transact_sync(lambda session: session.add(row))
        return account_id

    def change(self, account_id: str, **values: Any) -> None:
        update = sa.update(ChannelAccount).where(ChannelAccount.id == account_id)
        self.db.transact_sync(lambda session: session.execute(update.values(updated_at=utcnow(), **values)))

    def poller(self) -> Poller:
        return Poller(self.db, self.switchboard, self.store)


BOTH = pytest.mark.parametrize("world", ["sqlite_database", "postgres_database"], indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """On SQLite, or as ``BOTH`` says."""
    db = Database(request.getfixturevalue(getattr(request, "param", "sqlite_database")))
    merchant_id = new_id("mer")

    def plant(session: Session) -> None:
        session.add(Merchant(id=merchant_id, name="Acme"))

    db.transact_sync(plant)
    yield World(db, merchant_id, Switchboard(db, KEYRING))
    db.close()


@pytest.fixture
async def poller(world: World, provided: Provided) -> AsyncIterator[Poller]:
    poller = world.poller()
    yield poller
    await poller.close()


def says(text: str) -> Parsed:
    return Parsed(replies=[Reply(id=f"${text}", sender="@ann:x", text=text, occurred_at=utcnow())])


@BOTH
async def test_news_are_stored_before_it_is_kept_that_they_were_heard(
    world: World, provided: Provided, poller: Poller
) -> None:
    account_id = world.account("bot")
    provided.news["bot"] = deque([("s1", Parsed()), ("s2", says("one")), ("s3", Parsed()), ("s4", says("two"))])
    await poller.look()
    await provided.until(lambda: ("poll", "s4") in provided.heard("bot"))
    assert provided.heard("bot") == [
        ("poll", None),
        ("keep", "s1"),  # where to begin
        ("poll", "s1"),
        ("keep", "s2"),
        ("poll", "s2"),
        ("poll", "s3"),  # nothing new is nothing to keep
        ("keep", "s4"),
        ("poll", "s4"),
    ]
    assert world.stored == [("matrix", account_id, "one"), ("matrix", account_id, "two")]


async def test_what_could_not_be_stored_is_heard_again(world: World, provided: Provided, poller: Poller) -> None:
    world.account("bot")
    provided.kept["bot"] = "s1"
    provided.news["bot"] = deque([("s2", says("STOP")), ("s2", says("STOP"))])
    world.fault = RuntimeError("the database is away")
    await poller.look()
    await provided.until(lambda: ("poll", "s2") in provided.heard("bot"))
    assert provided.heard("bot") == [("poll", "s1"), ("poll", "s1"), ("keep", "s2"), ("poll", "s2")]
    assert [text for _, _, text in world.stored] == ["STOP"]


async def test_a_worker_goes_on_where_another_ended(world: World, provided: Provided, poller: Poller) -> None:
    world.account("bot")
    provided.news["bot"] = deque([("s1", Parsed()), ("s2", says("one"))])
    await poller.look()
    await provided.until(lambda: ("poll", "s2") in provided.heard("bot"))
    await poller.close()
    provided.told.clear()
    await poller.look()
    await provided.until(lambda: bool(provided.told))
    assert provided.heard("bot") == [("poll", "s2")]


@pytest.mark.parametrize(
    "fault", [TemporaryFault("busy"), TemporaryFault("busy", retry_after_s=0.02), FinalRefusal("no"), KeyError("odd")]
)
async def test_after_a_fault_it_is_asked_again_where_it_was(
    world: World, provided: Provided, poller: Poller, fault: Exception
) -> None:
    world.account("bot")
    world.account("other")
    provided.kept["bot"] = "s1"
    provided.news["bot"] = deque([fault, fault, ("s2", says("STOP"))])
    await poller.look()
    await provided.until(lambda: ("poll", "s2") in provided.heard("bot"))
    assert provided.heard("bot") == [("poll", "s1")] * 3 + [("keep", "s2"), ("poll", "s2")]
    assert provided.heard("other") == [("poll", None)]


async def test_the_pause_after_faults_grows_and_is_as_long_as_asked(
    world: World, provided: Provided, poller: Poller, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(polling.asyncio, "sleep", sleep)
    monkeypatch.setattr(polling, "FIRST_PAUSE_S", 1.0)
    monkeypatch.setattr(polling, "BREATH_S", 0.5)
    world.account("bot")
    asked = [None, 60.0, None, 9999.0, None]
    faults: list[Any] = [TemporaryFault("busy", retry_after_s=wait_s) for wait_s in asked]
    provided.news["bot"] = deque([*faults, ("s1", Parsed()), FinalRefusal("no"), ("s2", Parsed())])
    await poller.look()
    await provided.until(lambda: ("poll", "s2") in provided.heard("bot"))
    assert slept == [1.0, 60.0, 4.0, 300.0, 16.0, 0.5, 1.0, 0.5]


@BOTH
async def test_an_account_that_is_new_is_asked_and_one_that_is_switched_off_no_more(
    world: World, provided: Provided, poller: Poller
) -> None:
    world.account("texts", provider="kannel")
    await poller.look()
    first = world.account("first")
    await poller.look()
    await provided.until(lambda: bool(provided.heard("first")))
    world.account("second")
    world.change(first, disabled_at=utcnow())
    await poller.look()
    await provided.until(lambda: bool(provided.heard("second")))
    await poller.look()
    assert [task.get_name().startswith("poll-") for task in poller._tasks.values()] == [True]
    world.change(first, disabled_at=None)
    await poller.look()
    await provided.until(lambda: len(provided.heard("first")) == 2)
    assert provided.heard("texts") == []


async def test_an_account_with_other_settings_is_asked_anew(world: World, provided: Provided, poller: Poller) -> None:
    account_id = world.account("before")
    provided.kept |= {"before": "b7", "after": "a3"}
    await poller.look()
    await provided.until(lambda: bool(provided.heard("before")))
    sealed = KEYRING.seal(b'{"bot": "after"}', purpose=CONFIG_PURPOSE, bound_to=account_id)
    world.change(account_id, config_sealed=sealed)
    await poller.look()
    await provided.until(lambda: bool(provided.heard("after")))
    assert (provided.heard("before"), provided.heard("after")) == ([("poll", "b7")], [("poll", "a3")])
    assert len(poller._tasks) == 1


async def test_an_account_that_cannot_be_opened_does_not_keep_others_from_being_asked(
    world: World, provided: Provided, poller: Poller
) -> None:
    broken = world.account("broken")
    world.change(broken, config_sealed=b"not a seal")
    world.account("bot")
    for _ in range(3):
        await poller.look()
    await provided.until(lambda: bool(provided.heard("bot")))
    assert provided.heard("broken") == []


async def test_where_an_account_may_not_lead_it_is_not_asked(world: World, provided: Provided) -> None:
    """In production, a homeserver in the operator's own network would be a way into it."""
    world.switchboard = Switchboard(world.db, KEYRING, allowed=Allowed())
    inside = world.account("inside", homeserver_url="https://127.0.0.1")
    provided.news["outside"] = deque([("s1", Parsed())])
    poller = world.poller()
    with pytest.raises(FinalRefusal, match="private network"):
        await poller._once(inside, None)
    assert await poller._once(world.account("outside"), None) == "s1"
    assert [bot for bot, _, _ in provided.told] == ["outside"] * 2
