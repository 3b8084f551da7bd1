"""Which channel a message goes out by: each merchant's accounts as ready adapters, built when they are first needed."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, cast

import structlog

from paylink.channels import service
from paylink.channels.base import Channel, ChannelName, FinalRefusal, Message
from paylink.channels.models import ChannelAccount
from paylink.channels.outside import ANYWHERE, Allowed, Guarded
from paylink.channels.providers import PROVIDERS
from paylink.db import Database
from paylink.kit.crypto import Keyring, SealBroken

log = structlog.get_logger(__name__)

# Called with the id of the account it goes out by: whose chats these are.
Poster = Callable[[str, Message], Awaitable[str]]
WEBCHAT: Final = "webchat"
# Adapters kept ready, each with its connections. Past it the one that was used longest ago is closed.
KEPT: Final = 256
# An adapter that was replaced may still be sending: it is closed when it surely is done.
RETIRED_S: Final = 300.0
# What the sandbox's phone and mailbox take.
SANDBOX_CARRIES: Final = frozenset({ChannelName.SMS, ChannelName.EMAIL, ChannelName.WHATSAPP, ChannelName.CHAT})


async def nowhere(account_id: str, message: Message) -> str:
    raise NoSuchChannel


class NoSuchChannel(FinalRefusal):
    """There is no such account, or none that is switched on."""

    def __init__(self) -> None:
        super().__init__("This channel is not set up", code="channel_unavailable")


@dataclass(frozen=True, slots=True)
class Connected:
    """An account with its adapter, for a callback."""

    account: ChannelAccount
    channel: Channel


class Switchboard:
    """``sandbox``: what carries where no account is named; ``None`` in production. ``poster`` puts a message into a
    web chat. ``allowed``: the private places that addresses in accounts may lead to."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        *,
        console_url: str = "",
        allowed: Allowed = ANYWHERE,
        sandbox: Channel | None = None,
        poster: Poster = nowhere,
    ) -> None:
        self._db = db
        self._keyring = keyring
        self._console_url = console_url
        self._poster = poster
        self.allowed = allowed
        self.sandbox = sandbox
        self._ready: OrderedDict[str, tuple[datetime, Channel]] = OrderedDict()
        self._retired: deque[tuple[float, Channel]] = deque()

    async def channel(self, account_id: str | None, channel: str) -> Channel:
        """Raises ``NoSuchChannel`` when there is none, when it is another channel's, or when it is switched off."""
        if account_id is None:
            if self.sandbox is None or channel not in SANDBOX_CARRIES:
                raise NoSuchChannel
            return self.sandbox
        account = await self._db.read(lambda session: session.get(ChannelAccount, account_id))
        if account is None or account.channel != channel or account.disabled_at is not None:
            raise NoSuchChannel
        return await self.of(account)

    async def by_provider_account(self, provider: str, account_id: str) -> Connected | None:
        """For a callback: its account, switched on or not, since what was sent before is still reported."""
        account = await self._db.read(lambda session: session.get(ChannelAccount, account_id))
        if account is None or account.provider != provider:
            return None
        return Connected(account, await self.of(account))

    async def of(self, account: ChannelAccount) -> Channel:
        """The account's adapter as it is configured now. Raises ``NoSuchChannel`` for one that cannot be built."""
        kept = self._ready.get(account.id)
        if kept is not None and kept[0] == account.updated_at:
            self._ready.move_to_end(account.id)
            return kept[1]
        made = self._build(account)
        self._ready[account.id] = (account.updated_at, made)
        self._ready.move_to_end(account.id)
        if kept is not None:
            self._retire(kept[1])
        while len(self._ready) > KEPT:
            _, (_, oldest) = self._ready.popitem(last=False)
            self._retire(oldest)
        await self._close_retired(before=time.monotonic() - RETIRED_S)
        return made

    def _retire(self, channel: Channel) -> None:
        self._retired.append((time.monotonic(), channel))

    async def _close_retired(self, *, before: float) -> None:
        while self._retired and self._retired[0][0] <= before:
            await self._retired.popleft()[1].close()

    async def close(self) -> None:
        for _, channel in self._ready.values():
            self._retire(channel)
        self._ready.clear()
        await self._close_retired(before=math.inf)
        if self.sandbox is not None:
            await self.sandbox.close()

    def _build(self, account: ChannelAccount) -> Channel:
        provider = PROVIDERS.get(account.provider)
        if provider is None:
            raise NoSuchChannel
        adapter = provider.load()
        try:
            config = adapter.Config.model_validate(service.config_of(self._keyring, account))
        except (SealBroken, ValueError) as error:
            log.warning("channel_account_unreadable", account=account.id, error=type(error).__name__)
            raise NoSuchChannel from error
        # The one provider that is ourselves: what it sends stays in our database.
        more: dict[str, Any] = {"poster": partial(self._poster, account.id)} if account.provider == WEBCHAT else {}
        made = adapter(config, callback_url=service.callback_url(self._console_url, account), **more)
        return made if self.allowed.everything else cast(Channel, Guarded(made, config, allowed=self.allowed))
