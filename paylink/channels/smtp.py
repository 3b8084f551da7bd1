"""E-mail by SMTP: one message to one person, over TLS, signed, with a return address of its own.

A message is the mail server's once it has answered the end of DATA. If the connection is lost before that answer,
nobody can know whether it was taken: it is tried again, with the same ``Message-ID``, so that a mailbox that got both
can tell. Two copies are the lesser evil; a customer who waits for a link must get one.
"""

import re
import ssl
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

import aiosmtplib
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from paylink.channels import bounces, mail_codes
from paylink.channels.base import (
    Callback,
    CallbackRefused,
    Capabilities,
    ChannelError,
    DeliveryStatus,
    FinalRefusal,
    Message,
    Parsed,
    TemporaryFault,
)
from paylink.channels.mail import Letterhead, Mail, Mailbox, Signer, Unmailable, Verp, compose
from paylink.channels.smtp_pool import Pool

CONNECT_S: Final = 10.0
COMMAND_S: Final = 20.0
# RFC 5321 would wait ten minutes for the answer to DATA. An agent does not.
DATA_S: Final = 60.0
# The shortest time that servers who put strangers off let them wait (greylisting, RFC 6647).
GREYLISTED_S: Final = 300.0
BUSY_S: Final = 60.0
SHORTEST_BOUNCE_KEY: Final = 16
# "bounces+dlv_…26….…16…": what remains of 64 characters for the first part.
LONGEST_BOUNCE_LOCAL: Final = 12

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,251}[A-Za-z0-9])?")
_SELECTOR: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


class Security(StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


def _address(text: str) -> str:
    return Mailbox.of(text).address if text else text


Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=254)]
Address = Annotated[Text, AfterValidator(_address)]


class SmtpConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    host: Text = Field(title="Mail server", description="Its name, as its certificate says, such as smtp.example.com")
    port: int = Field(587, ge=1, le=65535, title="Port", description="587 for STARTTLS, 465 for TLS from the start")
    security: Security = Field(
        Security.STARTTLS,
        title="Encryption",
        description="STARTTLS begins in the clear, then insists on TLS. None is for a server on your own network",
    )
    username: Text = Field("", title="User name", description="Empty if the server knows us by our address")
    password: SecretStr = Field(SecretStr(""), title="Password")
    sender_address: Address = Field(title="Sender's address", description="People see it, such as pay@example.com")
    sender_name: Text = Field("", title="Sender's name", description="Empty for the merchant's name")
    reply_to: Address = Field("", title="Answers go to", description="Empty for the sender's address")
    dkim_domain: Text = Field("", title="DKIM domain", description="Empty if your mail server signs")
    dkim_selector: Text = Field("", title="DKIM selector", description="Names the key in DNS: <selector>._domainkey")
    dkim_private_key: SecretStr = Field(
        SecretStr(""),
        title="DKIM private key",
        description="RSA or Ed25519, PEM without a password",
        json_schema_extra={"format": "multiline"},
    )
    bounce_address: Address = Field(
        "",
        title="Bounce address",
        description="Such as bounces@example.com; its server must pass on mail to bounces+anything@ to our callback",
    )
    bounce_key: SecretStr = Field(
        SecretStr(""), title="Bounce key", description="A secret of your choice, 16 characters or more"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not _HOST.fullmatch(self.host):
            raise ValueError("The mail server's name is not right")
        if bool(self.username) != bool(self.password.get_secret_value()):
            raise ValueError("A user name needs a password, and a password a user name")
        if self.security is Security.NONE and not _own_network(self.host):
            raise ValueError("Without encryption only a server on your own network can be used")
        if not self.sender_address:
            raise ValueError("The sender's address is missing")
        self._check_dkim()
        self._check_bounces()
        return self

    def _check_dkim(self) -> None:
        given = (self.dkim_domain, self.dkim_selector, self.dkim_private_key.get_secret_value())
        if not any(given):
            return
        if not all(given):
            raise ValueError("DKIM needs its domain, its selector and its private key")
        if not _SELECTOR.fullmatch(self.dkim_selector):
            raise ValueError("The DKIM selector is not right")
        try:
            self.signer()
        except UnicodeError:
            raise ValueError("The DKIM domain is not right") from None
        except ValueError as error:
            raise ValueError(f"The DKIM private key {error}") from None

    def _check_bounces(self) -> None:
        key = self.bounce_key.get_secret_value()
        if bool(self.bounce_address) != bool(key):
            raise ValueError("A bounce address needs a bounce key, and a bounce key an address")
        if key and len(key) < SHORTEST_BOUNCE_KEY:
            raise ValueError(f"The bounce key must have {SHORTEST_BOUNCE_KEY} characters or more")
        if len(self.bounce_address.rpartition("@")[0]) > LONGEST_BOUNCE_LOCAL:
            raise ValueError(f"The bounce address may have {LONGEST_BOUNCE_LOCAL} characters before the @")

    def signer(self) -> Signer | None:
        if not self.dkim_domain:
            return None
        key = self.dkim_private_key.get_secret_value()
        return Signer(domain=self.dkim_domain, selector=self.dkim_selector, private_key=key)

    def verp(self) -> Verp | None:
        if not self.bounce_address:
            return None
        return Verp(self.bounce_address, self.bounce_key.get_secret_value().encode())


class SmtpChannel:
    Config: ClassVar[type[BaseModel]] = SmtpConfig
    name = "smtp"
    # A server that takes a mail does not say what becomes of it, unless it comes back.
    capabilities: ClassVar = Capabilities(replies=True)

    def __init__(self, config: SmtpConfig, *, callback_url: str, ca_file: Path | None = None) -> None:
        """``ca_file``: trusted instead of the system's own, for a server that a test brings along."""
        self._config = config
        self._callback_url = callback_url
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._verp = config.verp()
        self._letterhead = Letterhead(
            sender=Mailbox.of(config.sender_address),
            name=config.sender_name or None,
            reply_to=Mailbox.of(config.reply_to) if config.reply_to else None,
            verp=self._verp,
            signer=config.signer(),
        )
        self._pool = Pool(self._connect)

    @property
    def callback_address(self) -> str | None:
        """Where the mail server pipes what comes back, with its key: a secret. ``None`` without a bounce address."""
        return f"{self._callback_url}?key={self._callback_key()}" if self._verp else None

    async def send(self, message: Message) -> str:
        """Returns the ``Message-ID``, in its angle brackets."""
        try:
            mail = compose(message, self._letterhead, now=datetime.now(UTC))
        except Unmailable as error:
            raise FinalRefusal(str(error)) from error
        try:
            async with self._pool.connection() as client:
                await _hand_over(client, mail)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise _fault(error) from error
        return mail.message_id

    def parse_callback(self, callback: Callback) -> Parsed:
        if self._verp is None:
            raise CallbackRefused("this account has no bounce address")
        return bounces.read(callback, key=self._callback_key(), verp=self._verp)

    async def close(self) -> None:
        await self._pool.close()

    def _callback_key(self) -> str:
        return bounces.callback_key(self._callback_url, self._config.bounce_key.get_secret_value().encode())

    async def _connect(self) -> aiosmtplib.SMTP:
        config = self._config
        if self._context is None and config.security is not Security.NONE:
            self._context = ssl.create_default_context(cafile=self._ca_file)
        client = aiosmtplib.SMTP(
            hostname=config.host,
            port=config.port,
            local_hostname=self._letterhead.sender.domain,
            timeout=COMMAND_S,
            use_tls=config.security is Security.TLS,
            start_tls=config.security is Security.STARTTLS,
            tls_context=self._context,
        )
        try:
            await client.connect(timeout=CONNECT_S)
            if config.security is Security.NONE:
                _check_near(str(client.get_transport_info("peername")[0]))
            if config.username:
                await _sign_in(client, config)
        except BaseException:
            client.close()
            raise
        return client


def _check_near(peer: str) -> None:
    """What the name led to: a name can be given any address."""
    if not _own_network(peer):
        raise FinalRefusal("Without encryption only a server on your own network can be used")


async def _sign_in(client: aiosmtplib.SMTP, config: SmtpConfig) -> None:
    try:
        await client.login(config.username, config.password.get_secret_value())
    except aiosmtplib.SMTPResponseException as error:
        if error.code >= 500:
            raise FinalRefusal("The mail server refuses our sign-in", code=_code(error)) from error
        raise


async def _hand_over(client: aiosmtplib.SMTP, mail: Mail) -> None:
    encoding, options = ("utf-8", ["SMTPUTF8", "BODY=8BITMIME"]) if mail.utf8 else ("ascii", [])
    await client.ehlo() if client.last_ehlo_response is None else None
    if mail.utf8 and not client.supports_extension("smtputf8"):
        raise FinalRefusal("The mail server cannot send to addresses like this one", code="smtputf8")
    await client.mail(mail.sender, options=options, encoding=encoding)
    await client.rcpt(mail.recipient, encoding=encoding)
    try:
        await client.data(mail.content, timeout=DATA_S)
    except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError) as error:
        raise TemporaryFault("The connection was lost at the end: it is not known whether it was taken") from error


def _fault(error: Exception) -> ChannelError:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refusal(error)
    if isinstance(error.__cause__, ssl.SSLCertVerificationError) or isinstance(error, ssl.SSLCertVerificationError):
        # It may be renewed, or somebody is in between: either way nothing was said to it.
        return TemporaryFault("The mail server's certificate is not right", code="certificate", retry_after_s=BUSY_S)
    if isinstance(error, aiosmtplib.SMTPConnectError | aiosmtplib.SMTPTimeoutError | OSError):
        return TemporaryFault("The mail server could not be reached, or did not answer in time")
    # STARTTLS or AUTH is not on offer: a wrong setting, or somebody in between who hides it.
    return TemporaryFault("The mail server does not offer what the account's settings ask for", code="not_offered")


def _refusal(error: aiosmtplib.SMTPResponseException) -> ChannelError:
    status, code = mail_codes.find_status(error.message), _code(error)
    if error.code < 400:
        return TemporaryFault("The mail server does not answer as a mail server does")
    if error.code < 500 or isinstance(error, aiosmtplib.SMTPHeloError):
        # Said of the mail: come back later. Said of the connection: it is busy.
        later = BUSY_S if error.code == aiosmtplib.SMTPStatus.domain_unavailable else GREYLISTED_S
        words = mail_codes.in_words(None, error.message, otherwise="The mail server asks to come back later")
        return TemporaryFault(words, code=code, retry_after_s=later)
    if isinstance(error, aiosmtplib.SMTPSenderRefused):
        words = mail_codes.in_words(None, error.message, otherwise="The mail server refuses the sender's address")
        return FinalRefusal(words, code=code)
    state = DeliveryStatus.FAILED
    if status is not None:
        state = mail_codes.state_of(status)
    elif isinstance(error, aiosmtplib.SMTPRecipientRefused):
        state = mail_codes.state_of_reply(error.code)
    return FinalRefusal(mail_codes.in_words(status, error.message), code=code, status=state)


def _code(error: aiosmtplib.SMTPResponseException) -> str:
    return mail_codes.find_status(error.message) or str(error.code)


def _own_network(host: str) -> bool:
    """Names are believed here and looked at again once they have led to an address."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return "." not in host or host.lower().endswith((".localhost", ".internal"))
    return address.is_private and not address.is_link_local
