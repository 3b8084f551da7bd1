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
    "stripe_publishable_key": "pk_live_x",
    "stripe_webhook_secret": "whsec_x",
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
        ("checkout_url", "https://pay.example:443/pay", "origin"),
        ("stripe_secret_key", "", "PAYLINK_STRIPE_SECRET_KEY"),
        ("stripe_secret_key", "rk_test_x", "both live keys or both test keys"),
        ("stripe_publishable_key", "", "PAYLINK_STRIPE_PUBLISHABLE_KEY"),
        ("stripe_publishable_key", "pk_test_x", "both live keys or both test keys"),
        ("stripe_publishable_key", "sk_live_x", "both live keys or both test keys"),
        ("stripe_webhook_secret", "", "PAYLINK_STRIPE_WEBHOOK_SECRET"),
        ("stripe_webhook_secret", " , ", "PAYLINK_STRIPE_WEBHOOK_SECRET"),
        ("stripe_api_base", "http://stripe.example", "PAYLINK_STRIPE_API_BASE"),
        ("stripe_js_url", "http://stripe.example/s.js", "PAYLINK_STRIPE_JS_URL"),
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


def test_every_reason_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(env="production", rate_limits=False)
    told = str(refused.value)
    for name in ("SECRET_KEYS", "PSP", "RATE_LIMITS", "CONSOLE_URL", "CHECKOUT_URL"):
        assert f"PAYLINK_{name}" in told


WRONG = [
    *(
        ("database_url", url)
        for url in (
            *("", "nonsense", "mysql://root@db/x", "sqlite://", "sqlite:///", "sqlite:///:memory:"),
            *("sqlite:///file::memory:?uri=true", "sqlite:///x.db?mode=ro", "postgresql://db:port/x"),
            *("postgresql://paylink:p@ss@db/x", "postgresql+asyncpg://db/x"),
        )
    ),
    *(("redis_url", url) for url in ("nonsense", "http://cache", "redis://", "redis://cache:port")),
    *((f"{app}_url", url) for app in ("console", "checkout", "sandbox") for url in ("foo", "ftp://foo", "http://")),
    *(
        (f"{app}_bind", address)
        for app in ("console", "checkout", "sandbox")
        for address in ("foo", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1")
    ),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_is_wrong_is_named_once_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**{name: value})
    (problem,) = refused.value.errors(include_input=False)
    (line,) = problem["msg"].splitlines()
    assert line.startswith(f"Value error, PAYLINK_{name.upper()} must be ")
    assert "p@ss" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("database_url", url)
            for url in (
                *("sqlite:///x.db", "sqlite:////var/lib/x.db", "postgres://db/x", "postgresql+psycopg://db/x"),
                *("postgresql://paylink:a%40b/c@[::1]:5432/x?sslmode=require", "postgresql:///x?host=/run/postgresql"),
            )
        ),
        ("redis_url", "rediss://:secret@cache:6380/1"),
        ("console_bind", "[::1]:8000"),
        ("console_bind", "localhost:8000"),
        ("console_url", "http://[::1]:8000/"),
    ],
)
def test_what_is_right_is_taken(name: str, value: str) -> None:
    Settings(**{name: value})


@pytest.mark.parametrize("name", ["LOG_JSON", "RATE_LIMITS", "ENV", "JOB_CONCURRENCY", "DATABASE_URL", "REDIS_URL"])
def test_an_empty_value_is_as_good_as_none(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = Settings()
    monkeypatch.setenv(f"PAYLINK_{name}", "")
    assert Settings() == expected
    monkeypatch.delenv(f"PAYLINK_{name}")
    (tmp_path / ".env").write_text(f"PAYLINK_{name}=\n")
    assert Settings() == expected


@pytest.mark.parametrize("apps", [("console", "checkout"), ("console", "sandbox"), ("checkout", "sandbox")])
def test_two_parts_of_one_process_do_not_listen_at_one_address(apps: tuple[str, str]) -> None:
    settings = Settings(**{f"{app}_bind": "127.0.0.1:9000" for app in apps})
    with pytest.raises(UnsafeSettings, match=r"both 127\.0\.0\.1:9000") as refused:
        refuse_unsafe(settings, Role.ALL)
    for app in apps:
        assert f"PAYLINK_{app.upper()}_BIND" in str(refused.value)
    refuse_unsafe(settings, Role.WORKER)


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
