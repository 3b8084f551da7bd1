"""What an operator's slip ends in: one line that says what to correct, and never a traceback."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from paylink import __version__
from paylink.cli import app
from paylink.kit import logs
from tests.services import free_port

Run = Callable[..., Result]
COMMANDS = [("serve",), ("serve", "--role", "api"), ("worker",), ("migrate",), ("seed",)]
on_all_commands = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """A command in an empty folder, with these settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAYLINK_ROLE", "")  # the commands set it

    def ran(*command: str, **settings: str) -> Result:
        for name, value in settings.items():
            monkeypatch.setenv(f"PAYLINK_{name.upper()}", value)
        return CliRunner().invoke(app, list(command))

    yield ran
    logs.configure(level="CRITICAL", json=False)


def told(result: Result) -> str:
    """The one line the command ended with."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.output.splitlines()
    assert line.startswith("✗ ")
    return line


@on_all_commands
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/proc/nobody/may/paylink.db", "No such file"),
        ("file/paylink.db", "exists"),
        ("folder", "unable to open"),
        ("file", "not a database"),
    ],
)
def test_a_file_that_cannot_be_the_database(run: Run, command: tuple[str, ...], path: str, says: str) -> None:
    Path("file").write_text("A shopping list is no database. " * 100)
    Path("folder").mkdir()
    line = told(run(*command, database_url=f"sqlite:///{path}"))
    assert path.removesuffix("/paylink.db") in line
    assert says in line


@on_all_commands
def test_a_postgresql_that_is_down(run: Run, command: tuple[str, ...]) -> None:
    port = free_port()
    line = told(run(*command, database_url=f"postgres://paylink:hunter2@127.0.0.1:{port}/shop"))
    assert f"127.0.0.1:{port}/shop" in line
    assert "refused" in line
    assert "hunter2" not in line


@pytest.mark.parametrize("command", [("serve",), ("serve", "--role", "api"), ("worker",), ("seed",)], ids=" ".join)
def test_a_database_that_is_not_migrated(run: Run, command: tuple[str, ...], postgres_url: str) -> None:
    assert "paylink migrate" in told(run(*command, database_url=postgres_url))


def test_postgres_is_another_word_for_postgresql(run: Run, postgres_database: str) -> None:
    url = postgres_database.replace("postgresql://", "postgres://")
    for command in ("migrate", "seed"):
        ran = run(command, database_url=url)
        assert ran.exit_code == 0, ran.output
    assert "PostgreSQL: answers" in run("doctor", database_url=url).output


@on_all_commands
def test_a_wrong_setting(run: Run, command: tuple[str, ...]) -> None:
    assert "PAYLINK_CONSOLE_BIND" in told(run(*command, console_bind="127.0.0.1:99999"))


def test_two_parts_at_one_address_leave_the_database_alone(run: Run) -> None:
    assert "PAYLINK_CHECKOUT_BIND" in told(run("serve", checkout_bind="127.0.0.1:8000"))
    assert not Path("var").exists()


@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_production_tells_every_reason_in_a_line_of_its_own(run: Run, command: str) -> None:
    ran = run(command, env="production", psp="stripe", stripe_secret_key="sk_live_x", rate_limits="off")
    assert ran.exit_code == 2
    lines = ran.output.splitlines()
    for name in (
        *("SECRET_KEYS", "RATE_LIMITS", "CONSOLE_URL", "CHECKOUT_URL"),
        *("STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"),
    ):
        assert any(line.startswith(f"✗ PAYLINK_{name}") for line in lines), lines
    assert all(line.startswith("✗ ") for line in lines)


@pytest.mark.parametrize("path", ["/proc/nobody/may/paylink.db", "file"])
def test_the_doctor_survives_what_it_finds(run: Run, path: str) -> None:
    Path("file").write_text("A shopping list is no database. " * 100)
    ran = run("doctor", database_url=f"sqlite:///{path}")
    assert ran.exit_code == 1
    assert "Console" in ran.output


def test_the_version(run: Run) -> None:
    assert run("--version").output == f"{__version__}\n"
