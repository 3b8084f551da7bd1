"""``paylink audit``: verify the chains, read the entries."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from paylink.audit import service
from paylink.audit.models import AuditEntry
from paylink.audit.verify import Break, Fault, Verdict, merchants, verify
from paylink.config import Settings
from paylink.db import Database
from paylink.kit.clock import rfc3339

WORDS = {
    Fault.ALTERED: "entry {seq} was changed, moved or put there, or its key is not configured any more",
    Fault.MISSING: "entry {seq} is missing",
    Fault.PUT_IN: "a second entry {seq} was put in",
    Fault.BROKEN_OFF: "before entry {seq} the chain was broken already when it was written",
    Fault.CUT_OFF: "entry {seq} and what came after it were cut off",
    Fault.WRONG_HEAD: "the entries are whole up to {seq}, the head is not theirs",
    Fault.NOT_AS_NOTED: "entry {seq} is not the one whose hash was noted",
}
out = Console()


def commands(load: Callable[[], Settings]) -> typer.Typer:
    """``load`` gives the settings, or ends the command with what is wrong with them."""
    app = typer.Typer(no_args_is_help=True, help="Who did what: verify and read the audit.")

    @app.command("verify")
    def verify_command(
        merchant: Annotated[str | None, typer.Option(help="One merchant; all of them if left out")] = None,
        expect: Annotated[
            list[str] | None, typer.Option(help="A head noted earlier, mer_…:SEQ:HASH: is it part of the chain?")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    ) -> None:
        """Name the first broken entry of every chain; the exit code is 1 if there is one."""
        noted = _noted(expect or [])
        settings = load()

        def work(session: Session) -> list[Verdict]:
            wanted = sorted({*([merchant] if merchant else merchants(session)), *noted})
            return [verify(session, settings.keyring, one, noted=noted.get(one)) for one in wanted]

        with _database(settings) as db:
            verdicts = db.read_sync(work)
        _say(verdicts, as_json=as_json)
        if any(verdict.broken for verdict in verdicts):
            raise typer.Exit(1)

    @app.command("list")
    def list_command(
        merchant: Annotated[str, typer.Option(help="Whose entries: mer_…")],
        limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first")] = 50,
    ) -> None:
        """The newest entries of a merchant."""
        with _database(load()) as db:
            found = db.read_sync(lambda session: service.newest(session, merchant_id=merchant, limit=limit))
        out.print(_table(found))

    return app


def _noted(expected: list[str]) -> dict[str, dict[int, str]]:
    noted: dict[str, dict[int, str]] = {}
    for one in expected:
        merchant, _, rest = one.partition(":")
        seq, _, digest = rest.partition(":")
        if not (merchant and seq.isascii() and seq.isdigit() and len(digest) == 64):
            raise typer.BadParameter("write it as `verify` prints it: mer_…:SEQ:HASH", param_hint="--expect")
        noted.setdefault(merchant, {})[int(seq)] = digest.lower()
    return noted


def _say(verdicts: list[Verdict], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps([verdict.form() for verdict in verdicts], indent=2) + "\n")
        return
    for verdict in verdicts:
        if verdict.broken:
            out.print(Text(f"✗ {verdict.merchant}: {_words(verdict.broken)}", "red"), soft_wrap=True)
        else:
            noted = f"{verdict.merchant}:{verdict.entries}:{verdict.head}" if verdict.head else verdict.merchant
            out.print(Text(f"✓ {noted} whole, {verdict.entries} entries"), soft_wrap=True)
    if not verdicts:
        out.print("There are no entries yet.")


def _words(broken: Break) -> str:
    words = WORDS[broken.fault].format(seq=broken.seq)
    return f"{words} ({broken.entry})" if broken.entry else words


def _table(entries: list[AuditEntry]) -> Table:
    table = Table("No.", "Time", "Who", "What", "To what", "Details", box=None)
    for entry in entries:
        details = json.dumps(entry.details, ensure_ascii=False) if entry.details else ""
        who = f"{entry.actor_name} ({entry.actor})"
        cells = (str(entry.seq), rfc3339(entry.at), who, entry.action, entry.subject or "", details)
        table.add_row(*(Text(cell) for cell in cells))
    return table


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    db = Database(settings.database_url)
    try:
        yield db
    except SQLAlchemyError as error:
        Console(stderr=True).print(
            f"The database could not be read ({type(error).__name__}): is it there and migrated?"
        )
        raise typer.Exit(2) from None
    finally:
        db.close()
