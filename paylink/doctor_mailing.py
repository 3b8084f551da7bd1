"""How mail of a domain goes out: from the SMTP accounts there are, and from what the operator says."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

import dns.exception
import dns.resolver
import sqlalchemy as sa
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from paylink.channels.mail import Mailbox, Unmailable, read_key
from paylink.channels.models import ChannelAccount
from paylink.channels.service import config_of
from paylink.channels.smtp import SmtpConfig
from paylink.config import Settings
from paylink.db import Database
from paylink.doctor_domain import Advice, Mailing, PublicKey, examine_domain
from paylink.kit.crypto import Keyring, SealBroken

PATIENCE_S: Final = 5.0
LONGEST_KEY_FILE: Final = 64 * 1024
log = structlog.get_logger(__name__)


class Unusable(ValueError):
    """What the operator gave. The text is for them."""


def examine(
    settings: Settings, domain: str, *, given: dict[str, str], key: Path | None = None, nameserver: str | None = None
) -> list[Advice]:
    """``given``: fields of ``Mailing`` that count more than what the accounts say. Raises ``Unusable``."""
    name = _domain(domain)
    resolver = _resolver(nameserver)
    changes = {**given, **({} if key is None else {"key": _key(key)})}
    mailings = [replace(one, **changes) for one in _configured(settings, name)]  # type: ignore[arg-type]
    # Accounts that send alike are told of once.
    return list(dict.fromkeys(advice for one in mailings for advice in examine_domain(one, resolver)))


def mailing_of(config: SmtpConfig) -> Mailing:
    key = config.dkim_private_key.get_secret_value()
    bounces = config.bounce_address or config.sender_address
    return Mailing(
        domain=Mailbox.of(config.sender_address).domain,
        dkim_domain=config.dkim_domain or None,
        selector=config.dkim_selector or None,
        key=read_key(key).public_key() if key else None,
        envelope=Mailbox.of(bounces).domain,
    )


def _configured(settings: Settings, domain: str) -> list[Mailing]:
    """How the accounts of all merchants send from ``domain``; the domain alone when there is none."""
    db = Database(settings.database_url)
    try:
        found = asyncio.run(db.read(lambda session: _accounts(session, settings.keyring)))
    except SQLAlchemyError:
        log.warning("database_unreachable", consequence="only what is given here is looked at")
        found = []
    finally:
        db.close()
    return [one for one in map(mailing_of, found) if one.domain == domain] or [Mailing(domain)]


def _accounts(session: Session, keyring: Keyring) -> list[SmtpConfig]:
    found = []
    for account in session.scalars(sa.select(ChannelAccount).where(ChannelAccount.provider == "smtp")):
        try:
            found.append(SmtpConfig.model_validate(config_of(keyring, account)))
        except (SealBroken, ValueError):
            log.warning("channel_account_unreadable", account=account.id)
    return found


def _domain(text: str) -> str:
    try:
        return Mailbox.of(f"postmaster@{text}").domain.lower()
    except Unmailable:
        raise Unusable("This is not the domain of an e-mail address") from None


def _key(path: Path) -> PublicKey:
    try:
        content = path.read_bytes()[:LONGEST_KEY_FILE]
        if b"PUBLIC KEY" not in content:
            return read_key(content.decode()).public_key()
        key = serialization.load_pem_public_key(content)
    except OSError as error:
        raise Unusable(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Unusable(f"{path} {error}") from None
    if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
        raise Unusable(f"{path} must hold an RSA or an Ed25519 key")
    return key


def _resolver(nameserver: str | None) -> dns.resolver.Resolver:
    try:
        resolver = dns.resolver.Resolver(configure=nameserver is None)
        if nameserver is not None:
            address, _, port = nameserver.partition("#")
            resolver.nameservers = [address]
            resolver.port = int(port or 53)
    except (ValueError, dns.exception.DNSException):
        raise Unusable("No name server can be asked; give one with --nameserver") from None
    resolver.lifetime = PATIENCE_S
    return resolver
