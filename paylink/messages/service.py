"""A merchant's own templates: found, judged before they are kept, and written down with who changed them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal, own
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.channels import service as accounts
from paylink.channels.base import ChannelName
from paylink.channels.models import ChannelAccount
from paylink.channels.providers import PROVIDERS
from paylink.db import table
from paylink.errors import Invalid, NotFound
from paylink.kit import i18n
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id
from paylink.messages import custom
from paylink.messages.custom import TemplateFault
from paylink.messages.models import MessageTemplate
from paylink.messages.render import Facts, Rendered, fill, values_of

# Channels that carry words; a QR code carries its address alone.
CHANNELS: Final = (
    ChannelName.SMS,
    ChannelName.EMAIL,
    ChannelName.WHATSAPP,
    ChannelName.CHAT,
    ChannelName.OTHER,
)
INSERT: Final = {"sqlite": sqlite_insert, "postgresql": postgres_insert}

_templates = table(MessageTemplate)


def template_for(session: Session, merchant_id: str, channel: str, locale: str) -> MessageTemplate | None:
    """The merchant's own words for ``channel`` in the language of ``locale``; ``None`` where ours are to be used."""
    query = sa.select(MessageTemplate).where(
        MessageTemplate.merchant_id == merchant_id,
        MessageTemplate.channel == channel,
        MessageTemplate.language == i18n.choose(locale),
    )
    return session.scalars(query).one_or_none()


def takes_replies(session: Session, merchant_id: str, channel: str) -> bool:
    """Whether an answer to a message by ``channel`` reaches us, as the merchant's accounts stand now."""
    account_id = accounts.choose(session, merchant_id, channel)
    account = session.get(ChannelAccount, account_id) if account_id else None
    provider = PROVIDERS.get(account.provider) if account else None
    return provider is not None and provider.load().capabilities.replies


def own_templates(session: Session, principal: Principal) -> Sequence[MessageTemplate]:
    return session.scalars(sa.select(MessageTemplate).where(own(principal, _templates.c.merchant_id))).all()


def put(
    session: Session,
    principal: Principal,
    keyring: Keyring,
    *,
    channel: ChannelName,
    language: str,
    subject: str | None,
    text: str,
    mjml: str | None,
) -> MessageTemplate:
    """Keeps a template that ``judged`` let pass, in place of the one there was."""
    now = utcnow()
    words = {"subject": subject, "text": text, "mjml": mjml, "updated_by": principal.actor, "updated_at": now}
    place = {"merchant_id": principal.merchant_id, "channel": channel.value, "language": language}
    insert: Any = INSERT[session.get_bind().dialect.name]
    statement = insert(_templates).values(id=new_id("mtp"), created_at=now, **place, **words)
    written = statement.on_conflict_do_update(index_elements=list(place), set_=words).returning(_templates.c.id)
    template_id = session.execute(written).scalar_one()
    _note(session, principal, keyring, template_id, channel, language, "changed")
    return session.scalars(sa.select(MessageTemplate).where(MessageTemplate.id == template_id)).one()


def remove(session: Session, principal: Principal, keyring: Keyring, *, channel: ChannelName, language: str) -> None:
    """Back to our own words. Raises ``NotFound`` when they are used already."""
    gone = session.execute(
        sa.delete(_templates)
        .where(
            own(principal, _templates.c.merchant_id),
            _templates.c.channel == channel.value,
            _templates.c.language == language,
        )
        .returning(_templates.c.id)
    ).scalar_one_or_none()
    if gone is None:
        raise NotFound("There is no template of your own for this channel and language")
    _note(session, principal, keyring, gone, channel, language, "removed")


def judged(
    channel: ChannelName, language: str, *, merchant: str, url: str, subject: str | None, text: str, mjml: str | None
) -> Rendered:
    """How the template reads with everything there is to say. Raises ``Invalid`` with the line and what is wrong.

    It is filled in twice, the second time with no more than every link has, so that it cannot fail for some link only.
    """
    if channel is not ChannelName.EMAIL and (subject or mjml):
        field = "subject" if subject else "mjml"
        raise Invalid.one(field, "not_for_this_channel", "Only an e-mail has a subject and a layout")
    bare = Facts(merchant=merchant, amount=4999, currency="GBP", url=url, expires_at=utcnow() + timedelta(days=1))
    for facts in (bare, _full(bare)):
        values = values_of(channel, facts, language)
        with _at("subject"):
            custom.fill(subject or "", values)
        with _at("mjml"):
            html = custom.page(mjml, values) if mjml else url
        with _at("text"):
            rendered = fill(channel, values, subject=subject, text=text, mjml=mjml)
        if url not in html:
            raise Invalid.one("mjml", "template_invalid", "The layout must hold the link: {{ url }}")
        if subject and not rendered.subject:
            raise Invalid.one("subject", "template_invalid", "The subject is empty for a link without a description")
    return rendered


def _full(bare: Facts) -> Facts:
    return Facts(
        merchant=bare.merchant,
        amount=bare.amount,
        currency=bare.currency,
        url=bare.url,
        expires_at=bare.expires_at,
        description="Boiler repair",
        reference="INV-1042",
        name="Alex",
        words="amber river seven",
        agent="Sam",
        replies=True,
    )


@contextmanager
def _at(field: str) -> Iterator[None]:
    try:
        yield
    except TemplateFault as fault:
        raise Invalid.one(field, "template_invalid", f"Line {fault.line}: {fault.what}") from None


def _note(
    session: Session,
    principal: Principal,
    keyring: Keyring,
    template_id: str,
    channel: ChannelName,
    language: str,
    what: str,
) -> None:
    details = {"channel": channel.value, "language": language, "what": what}
    audit.note(session, keyring, principal, Action.TEMPLATE_CHANGED, subject=template_id, details=details)
