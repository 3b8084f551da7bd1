"""Conversations of a merchant with visitors of their sites: found, listed, written to, and forgotten.

What only the visitor's own browser may do is in ``visitors``.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal, PrincipalKind, own
from paylink.channels.base import ChannelName, DeliveryStatus, FinalRefusal, Message, TemporaryFault
from paylink.channels.models import ChannelAccount
from paylink.chats.feed import BELL
from paylink.chats.models import Chat, ChatMessage, Sender
from paylink.consent import service as consent
from paylink.db import CommitFailed, Database, signal, table
from paylink.delivery.models import Purpose
from paylink.errors import NotFound
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import ALPHABET, lowest_id, new_id

URL_PURPOSE: Final = "chat-message-url"
# For so long after the visitor was last here their code finds the chat; whoever comes back later gets a new one.
CODE_LIFE: Final = timedelta(hours=24)
# A browser that is open asks at least every half minute.
ONLINE: Final = timedelta(seconds=45)
SILENT: Final = timedelta(days=90)
MESSAGE_PREFIX: Final = "msg"

_chats = table(Chat)
_messages = table(ChatMessage)


def find(session: Session, merchant_id: str, address: str) -> Chat | None:
    """By its id, or by the six digits that the visitor says. Two with the same digits are none: a payment link in the
    wrong conversation is worse than asking again."""
    query = sa.select(Chat).where(Chat.merchant_id == merchant_id)
    if address.startswith("cht_"):
        return session.scalars(query.where(Chat.id == address)).one_or_none()
    code = "".join(address.split())
    found = session.scalars(query.where(Chat.code == code, Chat.seen_at > utcnow() - CODE_LIFE).limit(2)).all()
    return found[0] if len(found) == 1 else None


def get(session: Session, principal: Principal, chat_id: str) -> Chat:
    chat = session.scalars(
        sa.select(Chat).where(Chat.id == chat_id, own(principal, Chat.__table__.c.merchant_id))
    ).one_or_none()
    if chat is None:
        raise NotFound("No such chat")
    return chat


def newest(
    session: Session, principal: Principal, *, limit: int, code: str | None = None, after: Chat | None = None
) -> list[Chat]:
    """Those whose visitors were here last come first. ``after``: the last one of the page before."""
    if code is not None:
        found = find(session, principal.merchant_id, code)
        return [found] if found is not None else []
    query = sa.select(Chat).where(own(principal, _chats.c.merchant_id))
    if after is not None:
        query = query.where(sa.tuple_(_chats.c.seen_at, _chats.c.id) < sa.tuple_(after.seen_at, after.id))
    return list(session.scalars(query.order_by(Chat.seen_at.desc(), Chat.id.desc()).limit(limit)))


def last_messages(session: Session, chat_ids: Sequence[str]) -> dict[str, ChatMessage]:
    """The newest message of each chat that has any."""
    last = sa.select(sa.func.max(_messages.c.id)).where(_messages.c.chat_id.in_(chat_ids)).group_by(_messages.c.chat_id)
    return {one.chat_id: one for one in session.scalars(sa.select(ChatMessage).where(ChatMessage.id.in_(last)))}


def messages(
    session: Session, chat_id: str, *, limit: int, after: str | None = None, before: str | None = None
) -> list[ChatMessage]:
    """In the order they were written: those that follow ``after``, or the newest ones ``before``."""
    query = sa.select(ChatMessage).where(ChatMessage.chat_id == chat_id)
    if after is not None:
        return list(session.scalars(query.where(ChatMessage.id > after).order_by(ChatMessage.id).limit(limit)))
    if before is not None:
        query = query.where(ChatMessage.id < before)
    return list(reversed(session.scalars(query.order_by(ChatMessage.id.desc()).limit(limit)).all()))


def answer(session: Session, principal: Principal, chat_id: str, *, text: str) -> ChatMessage:
    """What an agent, or a program with a key, writes to the visitor, who reads the agent's name with it."""
    chat = get(session, principal, chat_id)
    name = principal.name if principal.kind is PrincipalKind.AGENT else None
    return write(session, chat.id, sender=Sender.AGENT, text=text, name=name)


def write(
    session: Session,
    chat_id: str,
    *,
    sender: Sender,
    text: str,
    name: str | None = None,
    delivery_id: str | None = None,
    url: str = "",
    keyring: Keyring | None = None,
) -> ChatMessage:
    """Appends under the chat's lock, so that whoever has read up to one message has missed none before it."""
    session.execute(sa.select(_chats.c.id).where(_chats.c.id == chat_id).with_for_update())
    if delivery_id is not None:
        before = session.scalars(sa.select(ChatMessage).where(ChatMessage.delivery_id == delivery_id)).one_or_none()
        if before is not None:
            return before
    last = session.scalar(sa.select(sa.func.max(_messages.c.id)).where(_messages.c.chat_id == chat_id))
    message_id = _id_after(last)
    sealed = keyring.seal(url.encode(), purpose=URL_PURPOSE, bound_to=message_id) if keyring and url else None
    message = ChatMessage(
        id=message_id,
        chat_id=chat_id,
        sender=sender.value,
        name=name,
        text=text,
        delivery_id=delivery_id,
        url_sealed=sealed,
        created_at=utcnow(),
    )
    session.add(message)
    session.flush()
    signal(session, BELL)
    return message


Poster = Callable[[str, Message], Awaitable[str]]


def poster(db: Database, keyring: Keyring) -> Poster:
    """What puts a message into a chat of the merchant whose account (its id first) it goes out by."""

    async def post(account_id: str, message: Message) -> str:
        try:
            return await db.transact(lambda session: _post(session, keyring, account_id, message))
        except (DBAPIError, CommitFailed) as error:
            raise TemporaryFault("The chat could not be written to") from error

    return post


def _post(session: Session, keyring: Keyring, account_id: str, message: Message) -> str:
    """Once per message id, which is the delivery's. The link's address is kept sealed, its text names our site only."""
    merchant_id = session.scalar(sa.select(ChannelAccount.merchant_id).where(ChannelAccount.id == account_id))
    chat = find(session, merchant_id, message.to) if merchant_id else None
    if chat is None:
        raise FinalRefusal("No visitor has this chat open; ask them for the code they see", code="no_such_chat")
    # The address that was asked about before may have been the code; what was written is kept by the chat's id.
    if consent.blocked(session, chat.merchant_id, ChannelName.CHAT, chat.id, purpose=Purpose.LINK):
        raise FinalRefusal("The visitor asked for no more messages", code="stop", status=DeliveryStatus.OPTED_OUT)
    text = message.text
    if message.url:
        text = text.replace(message.url, urlsplit(message.url).hostname or "")
    written = write(
        session,
        chat.id,
        sender=Sender.SYSTEM,
        text=text,
        delivery_id=message.id,
        url=message.url,
        keyring=keyring,
    )
    return written.id


def prune(session: Session, *, limit: int = 500) -> int:
    """Deletes chats in which nothing was heard of either side for ``SILENT``; how many there were."""
    since = utcnow() - SILENT
    said = sa.select(_messages.c.id).where(
        _messages.c.chat_id == _chats.c.id, _messages.c.id >= lowest_id(MESSAGE_PREFIX, since)
    )
    silent = sa.select(_chats.c.id).where(_chats.c.seen_at < since, ~said.exists()).limit(limit).with_for_update()
    gone = list(session.scalars(silent))
    for place in (_messages.c.chat_id, _chats.c.id):
        session.execute(sa.delete(place.table).where(place.in_(gone)))
    return len(gone)


def is_online(chat: Chat) -> bool:
    return chat.seen_at > utcnow() - ONLINE


def _id_after(last: str | None) -> str:
    """A new id, higher than the chat's last one even where that was made by a clock ahead of ours."""
    made = new_id(MESSAGE_PREFIX)
    if last is None or made > last:
        return made
    kept = last.rstrip(ALPHABET[-1])
    raised = ALPHABET[ALPHABET.index(kept[-1]) + 1]
    return kept[:-1] + raised + ALPHABET[0] * (len(last) - len(kept))
