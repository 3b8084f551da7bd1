"""The results as a table on the terminal, and as Markdown between two markers of a document."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.measure import Effort, Result, Row

BEGIN = "<!-- bench: begin -->"
END = "<!-- bench: end -->"
COLUMNS = ("what", "paylink", "held against", "its figure", "ratio", "goal", "")
COLOURS = {"aim met": "bold green", "met": "green", "MISSED": "bold red"}


def show(console: Console, result: Result) -> None:
    if result.missing is not None:
        console.print(f"\n[bold]{result.title}[/bold]\n  [yellow]not measured:[/yellow] {result.missing}")
        return
    table = Table(*COLUMNS, title=result.title, title_justify="left", title_style="bold", box=None)
    for row in result.rows:
        *cells, verdict = _cells(row)
        table.add_row(*cells, f"[{COLOURS.get(verdict, 'dim')}]{verdict}")
    console.print()
    console.print(table)
    for note in result.notes:
        console.print(f"  {note}", style="dim", markup=False, highlight=False)


def write(path: Path, machine: Mapping[str, str], results: Sequence[Result], effort: Effort) -> None:
    """Replaces what stands between the markers."""
    head, tail = around(path)
    path.write_text(f"{head}{BEGIN}\n{markdown(machine, results, effort)}\n{END}{tail}")


def around(path: Path) -> tuple[str, str]:
    """What stands before and behind the markers. Raises ``ValueError`` if they are not there."""
    head, begin, rest = path.read_text().partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for results: {BEGIN} … {END}")
    return head, tail


def markdown(machine: Mapping[str, str], results: Sequence[Result], effort: Effort) -> str:
    when, rounds = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", f"{effort.rounds} rounds of {effort.seconds:g} s per side"
    lines = [f"Measured {when}, {rounds}: median (lowest–highest).", ""]
    lines += [f"- {name}: {text}" for name, text in machine.items()]
    for result in results:
        lines += ["", f"### {result.title}", ""]
        lines += [f"Not measured: {result.missing}"] if result.missing is not None else _markdown_table(result)
    return "\n".join(lines)


def _markdown_table(result: Result) -> list[str]:
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(_cells(row)) for row in result.rows)]
    return [*lines, *(f"\n{note}" for note in result.notes)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cells(row: Row) -> list[str]:
    unit = f" {row.unit}" if row.unit else ""
    other = f"{row.other}{unit}" if row.other is not None else ""
    ratio = f"{row.ratio}" if row.ratio is not None else ""
    return [row.what, f"{row.ours}{unit}", row.than, other, ratio, str(row.goal) if row.goal else "", row.verdict]
