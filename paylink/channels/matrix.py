"""Matrix: messages of a bot into rooms and to people, by the client-server API v3 of any homeserver.

A message is sent under our id as its transaction id, so a homeserver takes it once. Nothing calls us back: what people
read and write comes from ``/sync``, which ``polling`` asks for; how far it has come, the homeserver itself keeps in the
bot's account data. The bot has no keys: it does not read what is written in encrypted rooms.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from html import escape
from typing import Any, ClassVar, Final
from urllib.parse import quote
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from paylink.channels import matrix_sync
from paylink.channels.base import (
    Callback,
    CallbackRefused,
    Capabilities,
    ChannelError,
    FinalRefusal,
    Message,
    Parsed,
    Reply,
    Report,
    TemporaryFault,
)
from paylink.channels.http import Answer, Caller, Unusable
from paylink.channels.matrix_sync import Direct, Heard

CLIENT: Final = "/_matrix/client/v3"
# How long a homeserver may hold a question for news, and what the way may take on top.
NEWS_S: Final = 25.0
WAY_S: Final = 20.0
# A room's news are up to fifty messages of up to 64 KiB; in practice some kilobytes.
LARGEST_NEWS: Final = 8 * 1024 * 1024
# How far back one receipt is followed: it says of everything above it that it was read.
READ_BACK: Final = 20
# The longest identifier of the specification.
MAX_ID: Final = 255

_ROOM: Final = re.compile(r"![^\s]+")
_ALIAS: Final = re.compile(r"#[^\s:]+:[^\s]+")
_USER: Final = re.compile(r"@[^\s:]+:[^\s]+")
_PRESENT: Final = frozenset({"join", "invite"})

_LOGIN: Final = "The homeserver does not accept the account's access token; put a new one into its settings"
_TEMPORARY: Final = {
    "M_LIMIT_EXCEEDED": "The homeserver asks us to wait",
    "M_UNKNOWN_TOKEN": _LOGIN,
    "M_MISSING_TOKEN": _LOGIN,
    "M_USER_LOCKED": "The homeserver has locked the bot's account for now",
    "M_RESOURCE_LIMIT_EXCEEDED": "The homeserver has reached a limit of its operator",
}
_FINAL: Final = {
    "M_FORBIDDEN": "The bot may not write there: invite it into the room, and let it send messages",
    "M_NOT_FOUND": "There is no such room or person",
    "M_UNRECOGNIZED": "The address in the account's settings is not that of a Matrix homeserver",
    "M_USER_DEACTIVATED": "The bot's account was closed",
    "M_USER_SUSPENDED": "The homeserver has suspended the bot's account",
    "M_TOO_LARGE": "The message is too long for Matrix",
    "M_CONSENT_NOT_GIVEN": "The bot's account has yet to accept the homeserver's terms",
    "M_INVALID_PARAM": "The homeserver does not take this address",
}


class MatrixConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    homeserver_url: str = Field(
        title="Homeserver",
        description="Its client address, such as https://matrix.example.com",
        pattern=r"^https?://[^\s?#]+[^\s?#/]$",
        max_length=300,
        json_schema_extra={"format": "uri"},
    )
    access_token: SecretStr = Field(
        title="Access token", description="Of an account made for this, not of a person's own", min_length=8
    )


class MatrixChannel:
    Config: ClassVar[type[BaseModel]] = MatrixConfig
    name = "matrix"
    capabilities: ClassVar = Capabilities(read=True, replies=True)

    def __init__(self, config: MatrixConfig, *, callback_url: str) -> None:
        """``callback_url`` is never called; it names this account among all that may use the bot."""
        headers = {"Authorization": f"Bearer {config.access_token.get_secret_value()}"}
        base = config.homeserver_url
        self._caller = Caller("The homeserver", base_url=base, headers=headers)
        self._news = Caller(
            "The homeserver", base_url=base, headers=headers, total_s=NEWS_S + WAY_S, largest=LARGEST_NEWS
        )
        self._since_key = f"dev.paylink.since.{hashlib.sha256(callback_url.encode()).hexdigest()[:16]}"
        self._me: str | None = None
        # Two first messages to one person make one room.
        self._opening: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @staticmethod
    def takes(to: str) -> bool:
        """A person, a room, or a room's alias; anything else is for another provider of chats."""
        return any(form.fullmatch(to) for form in (_USER, _ROOM, _ALIAS))

    async def send(self, message: Message) -> str:
        room = await self._room(message.to)
        path, content = f"/rooms/{_part(room)}/send/m.room.message/{_part(message.id)}", _content(message)
        try:
            answer = await self._ask("PUT", path, content)
        except FinalRefusal as refusal:
            if refusal.code != "M_FORBIDDEN" or not await self._joined(message.to if message.to[0] == "#" else room):
                raise
            answer = await self._ask("PUT", path, content)
        return _id(answer, "event_id")

    def parse_callback(self, callback: Callback) -> Parsed:
        raise CallbackRefused("Matrix calls nobody back")

    async def poll(self, since: str | None) -> tuple[str, Parsed]:
        """What is new after ``since``, at the latest after ``NEWS_S``, and where it ends. Without ``since`` where to
        begin, and what of ours was read by now: what was written before is not for us. Raises ``ChannelError``."""
        params: dict[str, Any] = {"filter": json.dumps(matrix_sync.filter_for(await self._who())), "timeout": 0}
        if since is not None:
            params |= {"since": since, "timeout": int(NEWS_S * 1000)}
        answer = await self._ask("GET", "/sync", params=params | {"set_presence": "offline"}, caller=self._news)
        content = answer.content
        after = content.get("next_batch")
        if not isinstance(after, str) or not 0 < len(after) <= 1000:
            raise TemporaryFault("The homeserver's news cannot be read")
        heard = matrix_sync.heard(content, me=await self._who())
        reports = await self._reports(heard)
        if since is None:
            return after, Parsed(reports=[report for report in reports if report.reference])
        return after, Parsed(reports=reports, replies=await self._replies(heard))

    async def resume(self) -> str | None:
        """Where an earlier poll ended that was kept."""
        found = (await self._account_data(self._since_key)).get("since")
        return found if isinstance(found, str) and 0 < len(found) <= 1000 else None

    async def keep(self, since: str) -> None:
        """To be called once all that came before ``since`` is stored."""
        await self._keep_account_data(self._since_key, {"since": since})

    async def close(self) -> None:
        await self._caller.close()
        await self._news.close()

    async def _room(self, to: str) -> str:
        """The room of an address. A person is met in a room of two, made when there is none yet."""
        if len(to) > MAX_ID:
            raise FinalRefusal("This is no address on Matrix")
        if _ROOM.fullmatch(to):
            return to
        if _ALIAS.fullmatch(to):
            return _id(await self._ask("GET", f"/directory/room/{_part(to)}"), "room_id")
        if not _USER.fullmatch(to):
            raise FinalRefusal("An address on Matrix is a person (@ann:example.com) or a room (#name:example.com)")
        lock = self._opening.setdefault(to, asyncio.Lock())
        async with lock:
            return await self._direct_room(to)

    async def _joined(self, room: str) -> bool:
        """Whether the bot was let in: who has a message sent here has most likely invited it."""
        try:
            await self._ask("POST", f"/join/{_part(room)}", {})
        except FinalRefusal:
            return False
        return True

    async def _direct_room(self, user: str) -> str:
        for room in reversed((await self._direct()).rooms_of(user)):
            if await self._is_in(room, user):
                return room
        # A homeserver invites whoever it is told to: of people who do not exist, only their profile tells.
        await self._ask("GET", f"/profile/{_part(user)}")
        wanted = {
            "is_direct": True,
            "invite": [user],
            "preset": "trusted_private_chat",
            # Homeservers would fetch the link, to show what is behind it.
            "initial_state": [{"type": "org.matrix.room.preview_urls", "state_key": "", "content": {"disable": True}}],
        }
        room = _id(await self._ask("POST", "/createRoom", wanted), "room_id")
        # Read anew: another process may have added to it meanwhile.
        await self._keep_account_data("m.direct", (await self._direct()).with_room(user, room))
        return room

    async def _is_in(self, room: str, user: str) -> bool:
        """Whether the person, and the bot that may know, are still in the room."""
        try:
            answer = await self._ask("GET", f"/rooms/{_part(room)}/state/m.room.member/{_part(user)}")
        except FinalRefusal:
            return False
        return answer.content.get("membership") in _PRESENT

    async def _reports(self, heard: Heard) -> list[Report]:
        """A receipt stands at the last message that was seen; ours above it were seen as well."""
        found = []
        for receipt in heard.receipts:
            params = {"limit": 2 * READ_BACK, "filter": json.dumps(matrix_sync.ours_only(await self._who()))}
            path = f"/rooms/{_part(receipt.room)}/context/{_part(receipt.event)}"
            try:
                answer = await self._ask("GET", path, params=params, caller=self._news)
            except FinalRefusal:  # not there any more, or not for the bot to see
                continue
            found += matrix_sync.read_by(receipt, answer.content, me=await self._who())
        return found

    async def _replies(self, heard: Heard) -> list[Reply]:
        """Under each address by which messages come to where it was written: a STOP holds for all of them."""
        if not heard.messages:
            return []
        direct = await self._direct()
        aliases = {one.room: await self._aliases(one.room) for one in heard.messages if not direct.has(one.room)}
        return [reply for one in heard.messages for reply in one.replies([*aliases.get(one.room, ())], direct)]

    async def _aliases(self, room: str) -> list[str]:
        try:
            found = (await self._ask("GET", f"/rooms/{_part(room)}/aliases")).content.get("aliases")
        except FinalRefusal:
            return []
        return [one for one in found if isinstance(one, str)][:10] if isinstance(found, list) else []

    async def _direct(self) -> Direct:
        return Direct.of(await self._account_data("m.direct"))

    async def _account_data(self, kind: str) -> dict[str, Any]:
        try:
            return (await self._ask("GET", await self._account_data_path(kind))).content
        except FinalRefusal as refusal:
            if refusal.code != "M_NOT_FOUND":
                raise
            return {}

    async def _keep_account_data(self, kind: str, content: dict[str, Any]) -> None:
        await self._ask("PUT", await self._account_data_path(kind), content)

    async def _account_data_path(self, kind: str) -> str:
        return f"/user/{_part(await self._who())}/account_data/{_part(kind)}"

    async def _who(self) -> str:
        if self._me is None:
            self._me = _id(await self._ask("GET", "/account/whoami"), "user_id")
        return self._me

    async def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        params: dict[str, Any] | None = None,
        caller: Caller | None = None,
    ) -> Answer:
        """Raises ``ChannelError`` with the words for Matrix's code."""
        options = {name: value for name, value in (("json", body), ("params", params)) if value is not None}
        try:
            answer = await (caller or self._caller).request(method, f"{CLIENT}{path}", **options)
        except Unusable as fault:
            raise _refusal(fault.answer) from None
        if not answer.ok:
            raise _refusal(answer)
        return answer


def _refusal(answer: Answer) -> ChannelError:
    content = answer.content
    given = content.get("errcode")
    code = given if isinstance(given, str) and re.fullmatch(r"[A-Z0-9_.]{1,64}", given) else None
    wait = content.get("retry_after_ms")
    wait_s = wait / 1000 if isinstance(wait, int) and 0 < wait < 10**8 else answer.retry_after_s
    if code in _TEMPORARY:
        return TemporaryFault(_TEMPORARY[code], code=code, retry_after_s=wait_s)
    if answer.status == 401:
        return TemporaryFault(_LOGIN, code=code)
    if not 400 <= answer.status < 500 or answer.status in {408, 425, 429}:
        return TemporaryFault("The homeserver had a fault", code=code, retry_after_s=wait_s)
    otherwise = _FINAL["M_NOT_FOUND"] if answer.status == 404 else "The homeserver refused the message"
    return FinalRefusal(_FINAL.get(code or "", otherwise), code=code)


def _content(message: Message) -> dict[str, Any]:
    """As text, and as HTML with the address as a link that can be tapped."""
    return {
        "msgtype": "m.text",
        "body": message.text,
        "format": "org.matrix.custom.html",
        "formatted_body": "".join(_html(message.text, message.url)).replace("\n", "<br>"),
    }


def _html(text: str, url: str) -> Iterator[str]:
    is_link = url.startswith(("https://", "http://")) and url in text
    before, found, after = text.partition(url) if is_link else (text, "", "")
    yield escape(before)
    if found:
        yield f'<a href="{escape(url)}">{escape(url)}</a>'
        yield escape(after)


def _id(answer: Answer, name: str) -> str:
    found = answer.content.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= MAX_ID:
        raise TemporaryFault("The homeserver's answer cannot be read")
    return found


def _part(text: str) -> str:
    """As one part of a path."""
    return quote(text, safe="")
