"""A merchant's accounts with providers of channels: kept, put in order, and chosen from."""

import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from paylink.accounts.scope import Principal, own
from paylink.audit import service as audit
from paylink.audit.models import Action
from paylink.channels.base import ChannelName
from paylink.channels.fields import revealed
from paylink.channels.models import ChannelAccount
from paylink.channels.providers import PROVIDERS, Provider
from paylink.db import table
from paylink.errors import Conflict, FieldError, Invalid, NotFound, plainly
from paylink.kit.cards import contains_issued_card_number
from paylink.kit.clock import utcnow
from paylink.kit.crypto import Keyring
from paylink.kit.ids import new_id

CONFIG_PURPOSE: Final = "channel-account"
# Enough for any merchant, and a bound on what one can make us keep connections for.
MAX_ACCOUNTS: Final = 50
# What an agent shows, reads out or pastes needs no account.
BY_HAND: Final = frozenset({ChannelName.CHAT, ChannelName.QR, ChannelName.OTHER})

_accounts = table(ChannelAccount)


def choose(
    session: Session, merchant_id: str, channel: str, *, account_id: str | None = None, to: str | None = None
) -> str | None:
    """The account to send by: the one asked for, or the first that is switched on and takes addresses like ``to``.

    ``None`` when there is none, so that only the sandbox or an agent's hand can carry it. Raises ``Invalid`` under
    ``via`` for one that cannot be used.
    """
    query = sa.select(ChannelAccount).where(
        ChannelAccount.merchant_id == merchant_id,
        ChannelAccount.channel == channel,
        ChannelAccount.disabled_at.is_(None),
    )
    if account_id is not None:
        found = session.scalars(query.where(ChannelAccount.id == account_id)).one_or_none()
        if found is None:
            raise Invalid.one("via", "no_such_account", "Is not an account of this channel that is switched on")
        if not _takes(found, to):
            raise Invalid.one("to", "address_of_another_account", "Cannot be reached by this account")
        return found.id
    ordered = session.scalars(query.order_by(ChannelAccount.position, ChannelAccount.id))
    return next((account.id for account in ordered if _takes(account, to)), None)


def _takes(account: ChannelAccount, to: str | None) -> bool:
    """An adapter whose addresses look unlike those of others of its channel says which are its own."""
    provider = PROVIDERS.get(account.provider)
    if provider is None:
        return False
    takes = getattr(provider.load(), "takes", None)
    return to is None or takes is None or bool(takes(to))


def available(session: Session, merchant_id: str) -> dict[str, bool]:
    """By channel: whether the merchant has an account that is switched on. What needs none is not counted."""
    query = sa.select(ChannelAccount.channel).where(
        ChannelAccount.merchant_id == merchant_id, ChannelAccount.disabled_at.is_(None)
    )
    found = set(session.scalars(query.distinct()))
    return {name.value: name.value in found for name in ChannelName}


def all_of(session: Session, merchant_id: str) -> list[ChannelAccount]:
    """By channel, in the order they are tried."""
    query = sa.select(ChannelAccount).where(ChannelAccount.merchant_id == merchant_id)
    order = (ChannelAccount.channel, ChannelAccount.position, ChannelAccount.id)
    return list(session.scalars(query.order_by(*order)))


def get(session: Session, principal: Principal, account_id: str, *, lock: bool = False) -> ChannelAccount:
    query = sa.select(ChannelAccount).where(ChannelAccount.id == account_id, own(principal, _accounts.c.merchant_id))
    found = session.scalars(query.with_for_update() if lock else query).one_or_none()
    if found is None:
        raise NotFound("No such channel account")
    return found


def add(
    session: Session, keyring: Keyring, principal: Principal, *, provider: Provider, name: str, config: BaseModel
) -> ChannelAccount:
    """The last of its channel. Raises ``Conflict`` when there are too many."""
    siblings = all_of(session, principal.merchant_id)
    if len(siblings) >= MAX_ACCOUNTS:
        raise Conflict(f"A merchant can have {MAX_ACCOUNTS} channel accounts at most", code="too_many_accounts")
    last = max((one.position for one in siblings if one.channel == provider.channel), default=-1)
    account_id = new_id("chn")
    account = ChannelAccount(
        id=account_id,
        merchant_id=principal.merchant_id,
        channel=provider.channel.value,
        provider=provider.name,
        name=name,
        config_sealed=_seal(keyring, account_id, config),
        position=last + 1,
        disabled_at=None,
    )
    session.add(account)
    session.flush()
    audit.note(session, keyring, principal, Action.CHANNEL_ADDED, subject=account_id, details=_facts(account))
    return account


def change(
    session: Session,
    keyring: Keyring,
    principal: Principal,
    account: ChannelAccount,
    *,
    name: str | None = None,
    config: BaseModel | None = None,
    enabled: bool | None = None,
    position: int | None = None,
) -> ChannelAccount:
    """``position``: its new place among those of its channel, 0 is the first. The audit says which settings changed,
    never to what."""
    changed: list[str] = []
    if name is not None and name != account.name:
        account.name = name
        changed.append("name")
    if enabled is not None and enabled != (account.disabled_at is None):
        account.disabled_at = None if enabled else utcnow()
        changed.append("enabled" if enabled else "disabled")
    if config is not None:
        before, after = config_of(keyring, account), revealed(config)
        different = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        if different:
            account.config_sealed = _seal(keyring, account.id, config)
            changed += [f"config.{key}" for key in different]
    session.flush()
    if position is not None and _move(session, account, position):
        changed.append("position")
    if changed:
        details = _facts(account) | {"changed": changed}
        audit.note(session, keyring, principal, Action.CHANNEL_CHANGED, subject=account.id, details=details)
    return account


def remove(session: Session, keyring: Keyring, principal: Principal, account: ChannelAccount) -> None:
    session.delete(account)
    session.flush()
    audit.note(session, keyring, principal, Action.CHANNEL_REMOVED, subject=account.id, details=_facts(account))


def _move(session: Session, account: ChannelAccount, position: int) -> bool:
    """Numbers those of its channel anew. Their ``updated_at`` stays: nothing of how they send has changed."""
    before = [one for one in all_of(session, account.merchant_id) if one.channel == account.channel]
    after = [one for one in before if one.id != account.id]
    after.insert(position, account)
    for place, one in enumerate(after):
        values = {"position": place, "updated_at": one.updated_at}
        session.execute(sa.update(_accounts).where(_accounts.c.id == one.id).values(values))
    session.refresh(account)
    return before != after


def checked(provider: Provider, values: Mapping[str, Any]) -> BaseModel:
    """What was asked for as the provider's settings. Raises ``Invalid`` under ``config.…``, without the values."""
    model = provider.load().Config
    wrong = [
        FieldError(
            f"config.{name}", "card_number_not_allowed", "Looks like it contains a card number; please remove it"
        )
        for name in model.model_fields
        if contains_issued_card_number(str(values.get(name, "")))
    ]
    if wrong:
        raise Invalid(wrong)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise Invalid(
            [
                FieldError(_field(model, one["loc"]), one["type"], plainly(one["type"], one["msg"]))
                for one in error.errors(include_input=False, include_url=False, include_context=False)
            ]
        ) from None


def callback_url(console_url: str, account: ChannelAccount) -> str:
    return f"{console_url}/webhooks/messaging/{account.provider}/{account.id}"


def config_of(keyring: Keyring, account: ChannelAccount) -> dict[str, Any]:
    """With its secrets. Raises ``SealBroken``."""
    opened = json.loads(keyring.unseal(account.config_sealed, purpose=CONFIG_PURPOSE, bound_to=account.id))
    return dict(opened)


def _seal(keyring: Keyring, account_id: str, config: BaseModel) -> bytes:
    return keyring.seal(json.dumps(revealed(config)).encode(), purpose=CONFIG_PURPOSE, bound_to=account_id)


def _facts(account: ChannelAccount) -> dict[str, Any]:
    return {"channel": account.channel, "provider": account.provider, "name": account.name}


def _field(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    """A name that the provider does not have is the caller's own text, and is not repeated."""
    known = [str(part) for part in place if isinstance(part, int) or part in model.model_fields]
    return ".".join(["config", *known])
