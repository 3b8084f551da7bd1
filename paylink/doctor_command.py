"""``paylink doctor domain example.com``."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paylink.config import Settings

SIGNS: Final = {"ok": "✓", "warn": "!", "bad": "✗"}
out = Console()
err = Console(stderr=True)


def command(load: Callable[[], Settings]) -> Callable[..., None]:
    """``load`` gives the settings, or ends the process with what is wrong with them."""

    def domain(
        domain: Annotated[str, typer.Argument(help="Behind the @ of the sender's address")],
        selector: Annotated[str | None, typer.Option(help="Of the DKIM key")] = None,
        dkim_domain: Annotated[str | None, typer.Option(help="That signs, if it is another one")] = None,
        key: Annotated[Path | None, typer.Option(help="PEM file of the DKIM key, private or public")] = None,
        bounce_domain: Annotated[str | None, typer.Option(help="Of the return address, if it is another one")] = None,
        relay: Annotated[str | None, typer.Option(help="Address or name of the server that mail leaves by")] = None,
        nameserver: Annotated[
            str | None, typer.Option(help="Ask this one: an address, or 127.0.0.1#5353 for another port")
        ] = None,
    ) -> None:
        """Say whether mail from a domain will be believed: SPF, DKIM, DMARC and MX, and what to do for each.

        What is not given here is taken from the SMTP accounts that send from the domain.
        """
        from paylink.doctor_mailing import Unusable, examine  # noqa: PLC0415 - mail and DNS; only this needs them

        given = {"selector": selector, "dkim_domain": dkim_domain, "envelope": bounce_domain, "relay": relay}
        changes = {name: value for name, value in given.items() if value is not None}
        try:
            found = examine(load(), domain, given=changes, key=key, nameserver=nameserver)
        except Unusable as error:
            err.print("[red]✗[/red]", _plain(str(error)))
            raise typer.Exit(2) from None
        table = Table("", "What", "Finding", "What to do", box=None)
        for column in table.columns:
            column.overflow = "fold"
        for advice in found:
            table.add_row(SIGNS[advice.level], *map(_plain, (advice.what, advice.found, advice.do)))
        out.print(table)
        if any(advice.level == "bad" for advice in found):
            raise typer.Exit(1)

    return domain


def _plain(text: str) -> Text:
    """DNS may hold anything: no mark-up, and nothing a terminal would obey."""
    return Text("".join(char if char.isprintable() else "�" for char in text))
