"""Production refuses to start on what is not safe, and says what to set."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from paylink.config import DEVELOPMENT_SECRET, Settings, UnsafeSettings
from paylink.main import Role, refuse_unsafe

SAFE: dict[str, Any] = {
    "env": "production",
    "database_url": "postgresql://paylink@db/paylink",
    "secret_keys": "a secret of this shop's own and long enough",
    "psp": "stripe",
    "stripe_secret_key": "sk_live_x",
    "console_url": "https://pay.example",
    "checkout_url": "https://c.example",
}


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ENV", "SECRET_KEYS", "PSP", "RATE_LIMITS", "DATABASE_URL"):
        monkeypatch.delenv(f"PAYLINK_{name}", raising=False)


def test_what_is_safe_starts() -> None:
    settings = Settings(**SAFE)
    assert settings.production
    for role in Role:
        if role is not Role.SANDBOX:
            refuse_unsafe(settings, role)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("secret_keys", DEVELOPMENT_SECRET, "PAYLINK_SECRET_KEYS"),
        ("secret_keys", f"a secret of this shop's own and long enough,{DEVELOPMENT_SECRET}", "PAYLINK_SECRET_KEYS"),
        ("secret_keys", "short", "fewer than 32"),
        ("secret_keys", "a secret of this shop's own and long enough,short", "fewer than 32"),
        ("secret_keys", " , ", "PAYLINK_SECRET_KEYS is empty"),
        ("psp", "sandbox", "PAYLINK_PSP"),
        ("rate_limits", "off", "PAYLINK_RATE_LIMITS"),
        ("console_url", "http://pay.example", "PAYLINK_CONSOLE_URL"),
        ("checkout_url", "http://c.example", "PAYLINK_CHECKOUT_URL"),
        ("console_url", "", "PAYLINK_CONSOLE_URL"),
        ("stripe_secret_key", "", "PAYLINK_STRIPE_SECRET_KEY"),
    ],
)
def test_what_is_not_safe_does_not(name: str, value: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        Settings(**SAFE | {name: value})
    told = str(refused.value.errors(include_input=False))
    assert "a secret of this shop" not in told


def test_a_production_without_keys_does_not_start_on_the_default() -> None:
    with pytest.raises(ValidationError, match="development default"):
        Settings(**{name: value for name, value in SAFE.items() if name != "secret_keys"})


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ALL, Role.SANDBOX}])
def test_sqlite_serves_one_process(role: Role) -> None:
    settings = Settings(**SAFE | {"database_url": "sqlite:///x.db"})
    refuse_unsafe(settings, Role.ALL)
    with pytest.raises(UnsafeSettings, match="SQLite"):
        refuse_unsafe(settings, role)


def test_the_sandbox_never_runs_in_production() -> None:
    with pytest.raises(UnsafeSettings, match="sandbox"):
        refuse_unsafe(Settings(**SAFE), Role.SANDBOX)


def test_settings_show_no_secret() -> None:
    settings = Settings(**SAFE | {"redis_url": "redis://:hunter2@r/0", "stripe_webhook_secret": "whsec_x"})
    shown = repr(settings) + str(settings) + repr(settings.stripe) + repr(settings.keyring)
    for secret in ("a secret of this", "sk_live_x", "hunter2", "whsec_x"):
        assert secret not in shown


def test_keys_are_read_newest_first_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYLINK_SECRET_KEYS", f" {'n' * 32} , {'o' * 32} ,")
    assert [key.get_secret_value() for key in Settings().secret_keys] == ["n" * 32, "o" * 32]
