"""How far the proofs are, on the terminal; and their figures, between the markers of a document."""

import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from tests.prove.run import Figure, Outcome

END = "<!-- prove: end -->"
QUIET_S = 5.0
# More of them say nothing new.
SHOWN_FAILURES = 10


class Terminal:
    """``run.Report`` on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        self._console.print(f"  {escape(text)}", highlight=False)
        self._last = time.monotonic()

    def step(self, done: int, of: int, what: str) -> None:
        if time.monotonic() - self._last >= QUIET_S:
            self.say(f"{done:,} of {of:,} {what}")

    def begins(self, number: int, of: int, outcome: Outcome) -> None:
        self._console.print(f"\n[bold]{number}/{of} {escape(outcome.title)}[/bold]  {_again(outcome)}", highlight=False)

    def ended(self, outcome: Outcome) -> None:
        if outcome.result is None:
            self._console.print(f"  [yellow]not run:[/yellow] {escape(outcome.missing or '')}", highlight=False)
            return
        for what, value in outcome.result.figures.items():
            self.say(f"{what}: {figure(value)}")
        for failure in outcome.result.failures[:SHOWN_FAILURES]:
            self._console.print(f"  [red]BROKEN[/red] {escape(failure)}", highlight=False)
        verdict = "[green]held[/green]" if outcome.held else f"[bold red]{len(outcome.result.failures)} BROKEN"
        self._console.print(f"  {verdict} in {outcome.seconds:.0f} s", highlight=False)


def write(path: Path, outcome: Outcome, *, on: str) -> None:
    """Replaces what stands in the outcome's place of the document; the others keep theirs."""
    head, tail = around(path, outcome.name)
    path.write_text(f"{head}{_begin(outcome.name)}\n{markdown(outcome, on=on)}\n{END}{tail}")


def around(path: Path, name: str) -> tuple[str, str]:
    """What stands before and behind a proof's place. Raises ``ValueError`` if there is none."""
    head, begin, rest = path.read_text().partition(_begin(name))
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for results: {_begin(name)} … {END}")
    return head, tail


def markdown(outcome: Outcome, *, on: str) -> str:
    """``on``: what it ran on, in a line."""
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    if outcome.result is None:
        return f"Not run ({when}): {outcome.missing}"
    lines = ["| figure | |", "|---|---:|"]
    lines += [f"| {what.replace('|', '/')} | {figure(value)} |" for what, value in outcome.result.figures.items()]
    failures = len(outcome.result.failures)
    lines.append(f"| **promises broken** | **{failures}** |")
    lines += ["", f"Run {when} in {outcome.seconds:.0f} s on {on}; {_again(outcome)}."]
    lines += [f"\n- BROKEN: {failure}" for failure in outcome.result.failures[:SHOWN_FAILURES]]
    return "\n".join(lines)


def figure(value: Figure) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else value


def _begin(name: str) -> str:
    return f"<!-- prove: {name} -->"


def _again(outcome: Outcome) -> str:
    return f"--only {outcome.name} --seed {outcome.seed} --scale {outcome.scale:g}"
