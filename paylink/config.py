"""Settings: environment variables with the prefix ``PAYLINK_``, ``.env`` read too.

``Settings`` refuses what is unsafe in production when it is built, so a process that started is one that may run.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from paylink.kit.crypto import Keyring

DEVELOPMENT_SECRET = "development-only-secret-never-for-production"  # noqa: S105 - refused in production
MIN_SECRET_LENGTH = 32
# A file, as each thread of the process opens it anew; or a server, and its name without the @ of a password that was
# not percent-encoded.
DATABASE_URL: Final = re.compile(
    r"sqlite:///(?!:memory:|file:)[^?]+"
    r"|postgres(ql(\+psycopg)?)?://([^@]*@)?(\[[^\]]+\]|[^@:/?\[]*)(:\d{1,5})?([/?][^@]*)?"
)
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class PspName(StrEnum):
    SANDBOX = "sandbox"
    STRIPE = "stripe"


class UnsafeSettings(ValueError):
    """The settings contradict each other or are not safe for the environment they name: a line for each reason."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("\n".join(reasons))


class Settings(BaseSettings):
    """All that an operator can set. Addresses are ``host:port``, URLs have no trailing slash."""

    model_config = SettingsConfigDict(
        env_prefix="PAYLINK_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    env: Environment = Environment.DEVELOPMENT
    database_url: str = "sqlite:///var/paylink.db"
    redis_url: SecretStr | None = None
    secret_keys: Annotated[list[SecretStr], NoDecode] = [SecretStr(DEVELOPMENT_SECRET)]
    rate_limits: bool = True

    console_bind: str = "127.0.0.1:8000"
    checkout_bind: str = "127.0.0.1:8001"
    sandbox_bind: str = "127.0.0.1:8002"
    console_url: str = ""
    checkout_url: str = ""
    sandbox_url: str = ""
    # Whose X-Forwarded-For is believed: addresses or networks, comma-separated. Empty: the peer's own address counts.
    trusted_proxies: str = ""

    # Which private hosts a merchant's channel accounts may lead to, such as the operator's own SMS gateway: names or
    # networks, comma-separated. In development all may be.
    private_channel_hosts: str = ""

    psp: PspName = PspName.SANDBOX
    stripe_secret_key: SecretStr = SecretStr("")
    stripe_publishable_key: str = ""
    # Comma-separated, so that a secret can be rotated without losing what was signed with the old one.
    stripe_webhook_secret: SecretStr = SecretStr("")
    # "acct_…", where callbacks come through a platform's endpoint, which names the account each is about.
    stripe_account: str = ""
    stripe_api_base: str = ""
    stripe_js_url: str = ""

    # Empty: a file beside the SQLite database, so that a new database begins with an empty inbox and ledger.
    sandbox_database_url: str = ""

    # Names this process to the job system. It must stay the same over a restart and differ between processes.
    node_id: str = ""
    # Jobs that one process works on at the same time.
    job_concurrency: int = 16
    log_level: str = "INFO"
    log_json: bool | None = None

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("console_url", "checkout_url", "sandbox_url", "stripe_api_base", mode="after")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_binds(cls, data: dict[str, object]) -> dict[str, object]:
        """URLs default to the addresses the process listens on, which is right on one's own machine."""
        for name, default in (("console", 8000), ("checkout", 8001), ("sandbox", 8002)):
            if not data.get(f"{name}_url"):
                bind = str(data.get(f"{name}_bind"))
                data[f"{name}_url"] = f"http://{bind if _is_bind(bind) else f'127.0.0.1:{default}'}"
        return data

    @property
    def sandbox_database(self) -> str:
        if self.sandbox_database_url or self.sqlite_path is None:
            return self.sandbox_database_url or "sqlite:///var/sandbox.db"
        return f"sqlite:///{self.sqlite_path.with_name(f'{self.sqlite_path.stem}-sandbox.db')}"

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        reasons = [*self._weak(), *self._malformed()]
        if self.production:
            reasons += self._unsafe_in_production()
        if reasons:
            raise UnsafeSettings(*reasons)
        return self

    def _weak(self) -> Iterator[str]:
        if not self.secret_keys:
            yield "PAYLINK_SECRET_KEYS is empty"
        if short := [k for k in self.secret_keys if len(k.get_secret_value()) < MIN_SECRET_LENGTH]:
            yield (
                f"PAYLINK_SECRET_KEYS: {len(short)} of {len(self.secret_keys)} have fewer than "
                f"{MIN_SECRET_LENGTH} characters"
            )
        if self.psp is PspName.STRIPE and not self.stripe_secret_key.get_secret_value():
            yield "PAYLINK_PSP=stripe needs PAYLINK_STRIPE_SECRET_KEY"

    def _malformed(self) -> Iterator[str]:
        """Shows no value: there may be a password in it."""
        if not DATABASE_URL.fullmatch(self.database_url):
            yield (
                "PAYLINK_DATABASE_URL must be sqlite:///path/of/a/file or postgresql://user:password@host/database, "
                "special characters of the password percent-encoded"
            )
        if self.redis_url and not _is_url(self.redis_url.get_secret_value(), "redis", "rediss"):
            yield "PAYLINK_REDIS_URL must be redis://host or rediss://host"
        for name in ("console_bind", "checkout_bind", "sandbox_bind"):
            if not _is_bind(getattr(self, name)):
                yield f"PAYLINK_{name.upper()} must be host:port, such as 127.0.0.1:8000"
        for name in ("console_url", "checkout_url", "stripe_api_base", "stripe_js_url"):
            schemes = ("https",) if self.production else ("http", "https")
            if (url := getattr(self, name)) and not _is_url(url, *schemes):
                wanted = "an https:// address in production" if self.production else "an http:// or https:// address"
                yield f"PAYLINK_{name.upper()} must be {wanted}"
        if not self.production and not _is_url(self.sandbox_url, "http", "https"):
            yield "PAYLINK_SANDBOX_URL must be an http:// or https:// address"

    def _unsafe_in_production(self) -> Iterator[str]:
        if any(k.get_secret_value() == DEVELOPMENT_SECRET for k in self.secret_keys):
            yield "PAYLINK_SECRET_KEYS is the development default: set your own in production"
        if not self.rate_limits:
            yield "PAYLINK_RATE_LIMITS=off is for development only"
        if (console := _origin(self.console_url)) and console == _origin(self.checkout_url):
            yield "PAYLINK_CHECKOUT_URL must have another origin than PAYLINK_CONSOLE_URL: customers are kept apart"
        if self.psp is PspName.SANDBOX:
            yield "PAYLINK_PSP=sandbox moves no money: production needs a real provider"
            return
        secret, publishable = self.stripe_secret_key.get_secret_value(), self.stripe_publishable_key
        if not publishable:
            yield "PAYLINK_STRIPE_PUBLISHABLE_KEY is missing: there would be no card fields"
        elif secret and _mode(secret, "sk", "rk") != _mode(publishable, "pk"):
            yield (
                "PAYLINK_STRIPE_SECRET_KEY (sk_…) and PAYLINK_STRIPE_PUBLISHABLE_KEY (pk_…) must be "
                "both live keys or both test keys"
            )
        if not self._webhook_secrets:
            yield "PAYLINK_STRIPE_WEBHOOK_SECRET is missing: callbacks would be refused"

    @property
    def production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring([key.get_secret_value() for key in self.secret_keys])

    @property
    def _webhook_secrets(self) -> tuple[str, ...]:
        return tuple(s.strip() for s in self.stripe_webhook_secret.get_secret_value().split(",") if s.strip())

    @cached_property
    def stripe(self) -> "StripeSettings":
        """What the Stripe adapter needs; in the sandbox every value is derived, so that nothing must be set."""
        if self.psp is PspName.STRIPE:
            return StripeSettings(
                secret_key=self.stripe_secret_key.get_secret_value(),
                publishable_key=self.stripe_publishable_key,
                webhook_secrets=self._webhook_secrets,
                api_base=self.stripe_api_base or "https://api.stripe.com",
                js_url=self.stripe_js_url or "https://js.stripe.com/endive/stripe.js",
                account=self.stripe_account or None,
            )
        derive = self.keyring.derive_text
        return StripeSettings(
            secret_key=self.stripe_secret_key.get_secret_value() or f"sk_test_{derive('sandbox-secret-key')}",
            publishable_key=self.stripe_publishable_key or f"pk_test_{derive('sandbox-publishable-key')}",
            webhook_secrets=self._webhook_secrets or (f"whsec_{derive('sandbox-webhook-secret')}",),
            api_base=self.stripe_api_base or self.sandbox_url,
            js_url=self.stripe_js_url or f"{self.sandbox_url}/stripe.js",
            account=self.stripe_account or None,
        )

    @cached_property
    def sandbox_messaging_secret(self) -> str:
        """Signs what the sandbox's carrier reports to ``/webhooks/messaging/sandbox``."""
        return self.keyring.derive_text("sandbox-messaging-secret")

    @cached_property
    def sqlite_path(self) -> Path | None:
        """The database file, ``None`` on PostgreSQL."""
        return Path(self.database_url.removeprefix("sqlite:///")) if self.sqlite else None


class StripeSettings:
    """Keys and addresses of one Stripe account. Its repr shows no secret."""

    def __init__(
        self,
        *,
        secret_key: str,
        publishable_key: str,
        webhook_secrets: tuple[str, ...],
        api_base: str,
        js_url: str,
        account: str | None = None,
    ) -> None:
        self.secret_key = secret_key
        self.publishable_key = publishable_key
        self.webhook_secrets = webhook_secrets
        self.api_base = api_base
        self.js_url = js_url
        # Whose callbacks are ours; None: those that name no account, as an endpoint of one's own account sends them.
        self.account = account

    def __repr__(self) -> str:
        return f"StripeSettings(api_base={self.api_base!r}, js_url={self.js_url!r})"

    @property
    def livemode(self) -> bool:
        return self.secret_key.startswith(("sk_live_", "rk_live_"))


def _is_bind(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(host and colon and re.fullmatch(r"[0-9]{1,5}", port)) and int(port) < 1 << 16


def _is_url(text: str, *schemes: str) -> bool:
    origin = _origin(text)
    return origin is not None and origin[0] in schemes


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; ``None`` where one of them is missing or wrong."""
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _mode(key: str, *kinds: str) -> str | None:
    """``live`` or ``test``, of a key of one of these kinds: ``sk_live_…``."""
    kind, _, rest = key.partition("_")
    return rest.partition("_")[0] if kind in kinds else None
