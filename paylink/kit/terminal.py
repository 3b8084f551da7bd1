"""How a command ends that cannot be carried out."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

err = Console(stderr=True)


def fail(reasons: str) -> NoReturn:
    """Each line of ``reasons`` is one; they are shown as they are, without mark-up or folds."""
    for reason in reasons.splitlines():
        err.print("[red]✗[/red]", Text(reason), soft_wrap=True)
    raise typer.Exit(2) from None
