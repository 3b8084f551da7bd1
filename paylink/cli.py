"""``paylink``: serve, worker, migrate, seed, merchant, agent, doctor, audit, reconcile, openapi."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from paylink import __version__
from paylink.audit.cli import commands as audit_commands
from paylink.config import Settings, UnsafeSettings
from paylink.db import CommitFailed, Database
from paylink.doctor_command import command as doctor_domain_command
from paylink.kit import logs
from paylink.kit.terminal import fail
from paylink.main import Role, refuse_unsafe, serve
from paylink.people_command import agent_commands, merchant_commands
from paylink.reconcile_command import command as reconcile_command
from paylink.schema import is_current
from paylink.schema import migrate as bring_up
from paylink.seed import Seeded
from paylink.seed import seed as plant

SWITCH_S: Final = 0.0005
WORKER_NICE: Final = 10

# Local variables hold secrets: no traceback shows them.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
doctor_app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
out = Console()


def _say_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Secure omnichannel payment links."""


@app.command("serve")
def serve_command(
    role: Annotated[Role, typer.Option(help="Which part this process serves")] = Role.ALL,
    demo: Annotated[bool, typer.Option("--demo", help="Plant the demo merchant and print its sign-in")] = False,
) -> None:
    """Serve: everything in one process by default."""
    settings = load(role)
    if role is not Role.SANDBOX:
        _prepare(settings, migrating=settings.sqlite and role is Role.ALL)
    seeded = _plant(settings) if demo else None
    _run(settings, role, seeded)


@app.command()
def worker() -> None:
    """Background work alone; `serve --role all` includes it."""
    settings = load(Role.WORKER)
    _prepare(settings, migrating=False)
    _run(settings, Role.WORKER, None)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    _prepare(load(), migrating=True)
    out.print("The database is at the newest schema.")


@app.command()
def seed(as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False) -> None:
    """A demo merchant, once; run again, the same merchant with fresh secrets."""
    settings = load()
    _prepare(settings, migrating=settings.sqlite)
    seeded = _plant(settings)
    if as_json:
        sys.stdout.write(json.dumps(seeded.form(settings)) + "\n")
    else:
        out.print(_welcome(settings, seeded))


@doctor_app.callback(invoke_without_command=True)
def doctor(context: typer.Context) -> None:
    """Say what is configured, reachable, safe to go live, and what is not."""
    if context.invoked_subcommand is not None:
        return
    from paylink.doctor import examine  # noqa: PLC0415 - opens connections; only this command needs it

    settings = load()
    table = Table("", "What", "Finding", box=None)
    findings = asyncio.run(examine(settings))
    for finding in findings:
        table.add_row({"ok": "✓", "warn": "!", "bad": "✗"}[finding.level], finding.what, Text(finding.text))
    out.print(table)
    if any(finding.level == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
def openapi(
    path: Annotated[Path | None, typer.Argument(help="Where to write it; standard output if left out")] = None,
) -> None:
    """Print the API's OpenAPI document."""
    from paylink.openapi import document  # noqa: PLC0415 - builds the whole application

    text = json.dumps(document(), indent=2) + "\n"
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text)


def load(role: Role | None = None) -> Settings:
    """The settings, or an end with what is wrong with them."""
    if role is not None:
        os.environ.setdefault("PAYLINK_ROLE", role.value)
    try:
        settings = Settings()
        if role is not None:
            refuse_unsafe(settings, role)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        fail("\n".join(_words(problem["loc"], problem["msg"]) for problem in problems))
    except UnsafeSettings as error:
        fail(str(error))
    json_lines = settings.log_json if settings.log_json is not None else settings.production
    logs.configure(level=settings.log_level, json=json_lines)
    return settings


def _run(settings: Settings, role: Role, seeded: Seeded | None) -> None:
    def ready() -> None:
        if seeded is not None:
            out.print(_welcome(settings, seeded))

    # Event loop, database threads and jobs share one interpreter: five milliseconds, Python's own, are a long wait.
    sys.setswitchinterval(SWITCH_S)
    if role is Role.WORKER:
        # Nobody waits for a job as somebody waits for an answer, should they share a processor.
        os.nice(WORKER_NICE)
    try:
        with suppress(KeyboardInterrupt):
            uvloop.run(serve(settings, role, ready=ready))
    except UnsafeSettings as error:
        fail(str(error))
    except (SQLAlchemyError, CommitFailed) as error:
        _fail_with_database(settings, error)


def _prepare(settings: Settings, *, migrating: bool) -> None:
    """Makes sure that the database is there and at the newest schema, or ends with what is wrong with it."""
    with _database(settings) as db:
        # Asked before it is migrated as well: the job system would tell of a database that is away at length.
        if not db.transact_sync(is_current) and not migrating:
            fail("The database is not at the newest schema: run `paylink migrate`")
        if migrating:
            bring_up(db)


def _plant(settings: Settings) -> Seeded:
    if settings.production:
        fail("A demo merchant has no place in production")
    with _database(settings) as db:
        return plant(db, settings.keyring)


@contextmanager
def _migrated(settings: Settings) -> Iterator[Database]:
    """For commands that somebody gives first of all: a new SQLite file is brought up on the way."""
    _prepare(settings, migrating=settings.sqlite)
    with _database(settings) as db:
        yield db


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    try:
        with closing(Database(settings.database_url)) as db:
            yield db
    except (SQLAlchemyError, CommitFailed, OSError) as error:
        _fail_with_database(settings, error)


def _welcome(settings: Settings, seeded: Seeded) -> Panel:
    lines: list[tuple[str, Any]] = [
        ("Console", settings.console_url),
        ("Customer's page", f"{settings.checkout_url}/p/…"),
        ("Sandbox phone and mailbox", f"{settings.sandbox_url}/inbox"),
        ("Sign in as", seeded.email),
        ("Password", seeded.password),
        ("API key", seeded.api_key),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, value in lines:
        grid.add_row(name, f"[bold]{value}[/bold]")
    return Panel(grid, title="paylink", expand=False, padding=(1, 2))


def _words(name: tuple[int | str, ...], message: str) -> str:
    variable = f"PAYLINK_{'_'.join(map(str, name)).upper()}: " if name else ""
    return variable + message.removeprefix("Value error, ")


def _fail_with_database(settings: Settings, error: Exception) -> NoReturn:
    from paylink.doctor import database_trouble  # noqa: PLC0415 - see the doctor

    fail(f"PAYLINK_DATABASE_URL: {database_trouble(settings, error)}")


app.add_typer(audit_commands(load), name="audit")
app.add_typer(merchant_commands(load, _migrated), name="merchant")
app.add_typer(agent_commands(load, _migrated), name="agent")
app.command("reconcile")(reconcile_command(load))
doctor_app.command("domain")(doctor_domain_command(load))
app.add_typer(doctor_app, name="doctor")

if __name__ == "__main__":
    app()
