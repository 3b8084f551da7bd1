"""The visitor's side of a chat: begun without a name or a cookie, known again by a secret their browser keeps."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from paylink.channels import service as channels
from paylink.channels.base import ChannelName, DeliveryStatus
from paylink.channels.models import ChannelAccount
from paylink.channels.webchat import WebChatChannel, WebChatConfig
from paylink.chats.models import Chat, ChatMessage, Sender
from paylink.chats.service import CODE_LIFE, URL_PURPOSE, write
from paylink.consent import service as consent
from paylink.db import table
from paylink.delivery import service as delivery
from paylink.delivery.models import Delivery
from paylink.errors import Forbidden, NotFound, NotSignedIn
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring, SealBroken, random_text
from paylink.kit.ids import new_id

HASH_PURPOSE: Final = "chat-secret"
SECRET_BYTES: Final = 24
SECRET_LENGTH: Final = 64
# The visitor's presence is written down no oftener.
TOUCH_EVERY: Final = timedelta(seconds=15)
# A merchant has few visitors at once beside a million codes.
DRAWS: Final = 20
PAGE: Final = 200

log = structlog.get_logger(__name__)
_messages = table(ChatMessage)
_chats = table(Chat)


@dataclass(frozen=True, slots=True)
class Begun:
    """``secret`` goes to the visitor's browser once and is not kept."""

    chat_id: str
    secret: str
    code: str

    def __repr__(self) -> str:
        return f"Begun({self.chat_id})"


@dataclass(frozen=True, slots=True)
class Line:
    """A message as the visitor gets it. ``url``: of the link it carries, while that door is open."""

    message: ChatMessage
    url: str | None

    def __repr__(self) -> str:
        return f"Line({self.message.id})"


def settings_of(session: Session, keyring: Keyring, account_id: str) -> WebChatConfig:
    """Raises ``NotFound`` for what is no web chat that is switched on."""
    return _config(keyring, _account(session, account_id))


def begin(
    session: Session, keyring: Keyring, account_id: str, *, site: str, name: str | None, locale: str | None
) -> Begun:
    """``site``: the origin of the page around the widget, as the visitor's browser told the widget's frame."""
    account = _account(session, account_id)
    if site not in _config(keyring, account).origins.splitlines():
        raise Forbidden("This chat may not be used on this site", code="site_not_allowed")
    begun = Begun(new_id("cht"), random_text(SECRET_BYTES), _free_code(session, account.merchant_id))
    session.add(
        Chat(
            id=begun.chat_id,
            merchant_id=account.merchant_id,
            account_id=account.id,
            secret_hash=keyring.digest(begun.secret, purpose=HASH_PURPOSE),
            code=begun.code,
            visitor_name=name,
            locale=locale,
            site=site,
        )
    )
    return begun


def known(session: Session, keyring: Keyring, account_id: str, secret: str) -> Chat:
    """The chat that the secret opens. Raises ``NotSignedIn``, in the same words for all that opens none."""
    query = (
        sa.select(Chat)
        .join(ChannelAccount, ChannelAccount.id == Chat.account_id)
        .where(
            Chat.secret_hash.in_(keyring.digests(secret[:SECRET_LENGTH], purpose=HASH_PURPOSE)),
            Chat.account_id == account_id,
            ChannelAccount.disabled_at.is_(None),
        )
    )
    chat = session.scalars(query).one_or_none()
    if chat is None:
        raise NotSignedIn("This conversation is over", code="chat_unknown")
    return chat


def stale(chat: Chat) -> bool:
    """Whether ``touch`` has something to write down."""
    return chat.seen_at < utcnow() - TOUCH_EVERY


def touch(session: Session, chat_id: str) -> None:
    """The visitor is here. After a long absence their code may be another's by now, so they get a new one."""
    row = session.execute(sa.select(_chats).where(_chats.c.id == chat_id).with_for_update()).one_or_none()
    if row is None:
        return
    away = row.seen_at < utcnow() - CODE_LIFE
    code = _free_code(session, row.merchant_id) if away else row.code
    session.execute(sa.update(_chats).where(_chats.c.id == chat_id).values(seen_at=utcnow(), code=code))


def say(session: Session, keyring: Keyring, chat: Chat, *, text: str) -> ChatMessage:
    """``text`` is checked already. STOP and START are heard."""
    touch(session, chat.id)
    message = write(session, chat.id, sender=Sender.VISITOR, text=text)
    consent.replied(
        session,
        merchant_id=chat.merchant_id,
        channel=ChannelName.CHAT,
        address=chat.id,
        text=text,
        keyring=keyring,
    )
    return message


def lines(session: Session, keyring: Keyring, chat_id: str, *, after: str) -> list[Line]:
    """In order: what follows ``after``, or the newest ones where it is empty; ``PAGE`` at most."""
    query = (
        sa.select(ChatMessage, Delivery.withdrawn_at)
        .outerjoin(Delivery, Delivery.id == ChatMessage.delivery_id)
        .where(ChatMessage.chat_id == chat_id)
        .limit(PAGE)
    )
    if after:
        rows = list(session.execute(query.where(ChatMessage.id > after).order_by(ChatMessage.id)))
    else:
        rows = list(reversed(session.execute(query.order_by(ChatMessage.id.desc())).all()))
    return [Line(row[0], None if row[1] else _url(keyring, row[0])) for row in rows]


def received(session: Session, chat: Chat, *, up_to: str, read: bool) -> None:
    """The visitor's browser has what came up to this message, or has shown it on the screen (``read``)."""
    state = _messages.c.read_at if read else _messages.c.delivered_at
    moment = sa.literal(utcnow(), _messages.c.delivered_at.type)
    values = {"delivered_at": sa.func.coalesce(_messages.c.delivered_at, moment)} | (
        {"read_at": moment} if read else {}
    )
    changed = session.execute(
        sa.update(_messages)
        .where(
            _messages.c.chat_id == chat.id,
            _messages.c.sender != Sender.VISITOR.value,
            _messages.c.id <= up_to,
            state.is_(None),
        )
        .values(values)
        .returning(_messages.c.delivery_id)
    )
    status = DeliveryStatus.READ if read else DeliveryStatus.DELIVERED
    _tell(session, [row.delivery_id for row in changed if row.delivery_id], status)


def _tell(session: Session, delivery_ids: Sequence[str], status: DeliveryStatus) -> None:
    for delivery_id in sorted(delivery_ids):
        delivery.record(session, delivery_id, status)


def _account(session: Session, account_id: str) -> ChannelAccount:
    account = session.get(ChannelAccount, account_id)
    if account is None or account.provider != WebChatChannel.name or account.disabled_at is not None:
        raise NotFound("There is no such chat")
    return account


def _config(keyring: Keyring, account: ChannelAccount) -> WebChatConfig:
    try:
        return WebChatConfig.model_validate(channels.config_of(keyring, account))
    except (SealBroken, ValueError) as error:
        log.warning("channel_account_unreadable", account=account.id, error=type(error).__name__)
        raise NotFound("There is no such chat") from error


def _free_code(session: Session, merchant_id: str) -> str:
    """Six digits that no other visitor of the merchant's shows; the last draw is taken as it is, and finds none."""
    live = (Chat.merchant_id == merchant_id, Chat.seen_at > utcnow() - CODE_LIFE)
    code = ""
    for _ in range(DRAWS):
        code = f"{secrets.randbelow(10**6):06d}"
        if session.scalar(sa.select(Chat.id).where(*live, Chat.code == code).limit(1)) is None:
            break
    return code


def _url(keyring: Keyring, message: ChatMessage) -> str | None:
    if message.url_sealed is None:
        return None
    try:
        return keyring.unseal(message.url_sealed, purpose=URL_PURPOSE, bound_to=message.id).decode()
    except SealBroken:
        log.warning("chat_link_unreadable", message=message.id)
        return None
