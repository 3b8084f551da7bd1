"""``paylink reconcile``: the comparison with the payment provider, by hand."""

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from paylink.config import Settings
from paylink.kit.clock import utcnow
from paylink.main import build_context
from paylink.reconciliation.differences import Difference
from paylink.reconciliation.jobs import by_hand
from paylink.reconciliation.report import Report
from paylink.reconciliation.walk import Plan, ProviderAway, Run
from webhooks.inbound.undelivered import FetchedInbox

SINCE = re.compile(r"([1-9][0-9]{0,3})([hd])")
LONGEST = timedelta(days=366)
PROGRESS_S = 5.0

out = Console()
err = Console(stderr=True)


def command(load: Callable[[], Settings]) -> Callable[..., None]:
    """``load`` gives the settings, or ends the command with what is wrong with them."""

    def reconcile(
        since: Annotated[str, typer.Option(help="How far back: 48h, 30d …; open payments always")] = "48h",
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what differs and change nothing")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="For programs")] = False,
    ) -> None:
        """Compare payments with the provider, both ways, and put right what is right by itself.

        Ends with 0 when everything agrees or was put right, with 1 when something is left for a person.
        """
        back = parse(since)
        try:
            report = asyncio.run(_run(load(), back, dry_run=dry_run))
        except ProviderAway as away:
            err.print(f"[red]✗[/red] {away}")
            raise typer.Exit(2 if away.key_refused else 1) from None
        except SQLAlchemyError as error:
            err.print(f"[red]✗[/red] The database does not answer ({type(error).__name__}): is it there and migrated?")
            raise typer.Exit(2) from None
        if as_json:
            sys.stdout.write(json.dumps(form(report, since=since, dry_run=dry_run), indent=2) + "\n")
        else:
            _say(report, dry_run=dry_run)
        if report.open:
            raise typer.Exit(1)

    return reconcile


def parse(since: str) -> timedelta:
    """``48h`` or ``30d``. Raises ``typer.BadParameter``."""
    found = SINCE.fullmatch(since)
    back = timedelta(**{{"h": "hours", "d": "days"}[found[2]]: int(found[1])}) if found else None
    if back is None or back > LONGEST:
        raise typer.BadParameter("hours or days, as in 48h or 30d, and no more than a year", param_hint="--since")
    return back


def form(report: Report, *, since: str, dry_run: bool) -> dict[str, Any]:
    return {
        "since": since,
        "dry_run": dry_run,
        "compared": report.compared,
        "found": len(report.differences),
        "repaired": len(report.differences) - len(report.open),
        "classes": report.counts(),
        "differences": [difference.form() for difference in report.differences],
    }


async def _run(settings: Settings, back: timedelta, *, dry_run: bool) -> Report:
    async with AsyncExitStack() as stack:
        ctx = build_context(settings, stack)
        now = utcnow()
        plan = Plan(since=now - back, until=now, live=True, recent=True, dry_run=dry_run)
        return await by_hand(Run(ctx, plan, FetchedInbox, progress=_progress()))


def _progress() -> Callable[[Report], None]:
    told = time.monotonic()

    def tell(report: Report) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            err.print(f"{report.compared} payments compared, {len(report.differences)} differences …")

    return tell


def _say(report: Report, *, dry_run: bool) -> None:
    if report.differences:
        table = Table("Class", "Payment", "Provider's object", "What", "Put right", box=None)
        for difference in report.differences:
            table.add_row(*_cells(difference))
        out.print(table)
    repaired = len(report.differences) - len(report.open)
    words = f"{report.compared} payments compared, {len(report.differences)} differences, "
    words += "nothing was changed" if dry_run else f"{repaired} put right, {len(report.open)} for a person"
    out.print(Text(f"{'✗' if report.open else '✓'} {words}", "red" if report.open else "green"), soft_wrap=True)


def _cells(difference: Difference) -> tuple[Text, ...]:
    texts = (difference.kind.value, difference.payment or "", difference.provider or "", difference.what)
    mark = "yes" if difference.repaired else "no, and money is involved" if difference.money else "no"
    return tuple(Text(text, overflow="fold") for text in (*texts, mark))
