"""Settings: environment variables with the prefix ``PAYLINK_``, ``.env`` read too.

``Settings`` refuses what is unsafe in production when it is built, so a process that started is one that may run.
"""

from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from paylink.kit.crypto import Keyring

DEVELOPMENT_SECRET = "development-only-secret-never-for-production"  # noqa: S105 - refused in production
MIN_SECRET_LENGTH = 32


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class PspName(StrEnum):
    SANDBOX = "sandbox"
    STRIPE = "stripe"


class UnsafeSettings(ValueError):
    """The settings contradict each other or are not safe for the environment they name."""


class Settings(BaseSettings):
    """All that an operator can set. Addresses are ``host:port``, URLs have no trailing slash."""

    model_config = SettingsConfigDict(env_prefix="PAYLINK_", env_file=".env", extra="ignore", frozen=True)

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

    sandbox_database_url: str = "sqlite:///var/sandbox.db"

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
                data[f"{name}_url"] = f"http://{data.get(f'{name}_bind') or f'127.0.0.1:{default}'}"
        return data

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        if not self.secret_keys:
            raise UnsafeSettings("PAYLINK_SECRET_KEYS is empty")
        if short := [k for k in self.secret_keys if len(k.get_secret_value()) < MIN_SECRET_LENGTH]:
            raise UnsafeSettings(
                f"PAYLINK_SECRET_KEYS: {len(short)} of {len(self.secret_keys)} have fewer than "
                f"{MIN_SECRET_LENGTH} characters"
            )
        if self.production:
            self._refuse_unsafe_production()
        if self.psp is PspName.STRIPE and not self.stripe_secret_key.get_secret_value():
            raise UnsafeSettings("PAYLINK_PSP=stripe needs PAYLINK_STRIPE_SECRET_KEY")
        return self

    def _refuse_unsafe_production(self) -> None:
        if any(k.get_secret_value() == DEVELOPMENT_SECRET for k in self.secret_keys):
            raise UnsafeSettings("PAYLINK_SECRET_KEYS is the development default: set your own in production")
        if self.psp is PspName.SANDBOX:
            raise UnsafeSettings("PAYLINK_PSP=sandbox moves no money: production needs a real provider")
        if not self.rate_limits:
            raise UnsafeSettings("PAYLINK_RATE_LIMITS=off is for development only")
        for name in ("console_url", "checkout_url"):
            if not getattr(self, name).startswith("https://"):
                raise UnsafeSettings(f"PAYLINK_{name.upper()} must be an https:// address in production")

    @property
    def production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring([key.get_secret_value() for key in self.secret_keys])

    @cached_property
    def stripe(self) -> "StripeSettings":
        """What the Stripe adapter needs; in the sandbox every value is derived, so that nothing must be set."""
        if self.psp is PspName.STRIPE:
            secrets = tuple(s.strip() for s in self.stripe_webhook_secret.get_secret_value().split(",") if s.strip())
            return StripeSettings(
                secret_key=self.stripe_secret_key.get_secret_value(),
                publishable_key=self.stripe_publishable_key,
                webhook_secrets=secrets,
                api_base=self.stripe_api_base or "https://api.stripe.com",
                js_url=self.stripe_js_url or "https://js.stripe.com/endive/stripe.js",
                account=self.stripe_account or None,
            )
        derive = self.keyring.derive_text
        return StripeSettings(
            secret_key=self.stripe_secret_key.get_secret_value() or f"sk_test_{derive('sandbox-secret-key')}",
            publishable_key=self.stripe_publishable_key or f"pk_test_{derive('sandbox-publishable-key')}",
            webhook_secrets=tuple(filter(None, self.stripe_webhook_secret.get_secret_value().split(",")))
            or (f"whsec_{derive('sandbox-webhook-secret')}",),
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
