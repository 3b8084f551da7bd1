"""``paylink``: serve, worker, migrate, seed, doctor, audit, reconcile, openapi."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import structlog
import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from paylink.audit.cli import commands as audit_commands
from paylink.config import Settings, UnsafeSettings
from paylink.db import Database
from paylink.doctor_command import command as doctor_domain_command
from paylink.kit import logs
from paylink.main import Role, serve
from paylink.reconcile_command import command as reconcile_command
from paylink.schema import migrate as bring_up
from paylink.seed import Seeded
from paylink.seed import seed as plant

log = structlog.get_logger(__name__)

SWITCH_S: Final = 0.0005
WORKER_NICE: Final = 10

# Local variables hold secrets: no traceback shows them.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Secure omnichannel payment links.",
)
doctor_app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
out = Console()
err = Console(stderr=True)


@app.command("serve")
def serve_command(
    role: Annotated[Role, typer.Option(help="Which part this process serves")] = Role.ALL,
    demo: Annotated[bool, typer.Option("--demo", help="Plant the demo merchant and print its sign-in")] = False,
) -> None:
    """Serve: everything in one process by default."""
    settings = load(role)
    if settings.sqlite and role is Role.ALL:
        _migrate(settings)
    seeded = _plant(settings) if demo else None
    _run(settings, role, seeded)


@app.command()
def worker() -> None:
    """Background work alone; `serve --role all` includes it."""
    settings = load(Role.WORKER)
    _run(settings, Role.WORKER, None)


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    _migrate(load())
    out.print("The database is at the newest schema.")


@app.command()
def seed(as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False) -> None:
    """A demo merchant, once; run again, the same merchant with fresh secrets."""
    settings = load()
    if settings.sqlite:
        _migrate(settings)
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
        table.add_row({"ok": "✓", "warn": "!", "bad": "✗"}[finding.level], finding.what, finding.text)
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
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "PAYLINK_" + "_".join(str(part) for part in problem["loc"]).upper() + ": " if problem["loc"] else ""
            err.print(f"[red]✗[/red] {name}{problem['msg'].removeprefix('Value error, ')}")
        raise typer.Exit(2) from None
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
        _fail(str(error))
    except SQLAlchemyError:
        log.exception("database_error")
        _fail("The database does not answer as it should: is it there, and is it migrated (`paylink migrate`)?")


def _migrate(settings: Settings) -> None:
    db = Database(settings.database_url)
    try:
        bring_up(db)
    finally:
        db.close()


def _plant(settings: Settings) -> Seeded:
    if settings.production:
        _fail("A demo merchant has no place in production")
    db = Database(settings.database_url)
    try:
        return plant(db, settings.keyring)
    finally:
        db.close()


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


def _fail(message: str) -> NoReturn:
    err.print(f"[red]✗[/red] {message}")
    raise typer.Exit(2)


app.add_typer(audit_commands(load), name="audit")
app.command("reconcile")(reconcile_command(load))
doctor_app.command("domain")(doctor_domain_command(load))
app.add_typer(doctor_app, name="doctor")

if __name__ == "__main__":
    app()
