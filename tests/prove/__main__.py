"""``python -m tests.prove [--only name …] [--scale F] [--seed N] [--write FILE]``"""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from paylink.kit import logs
from tests.prove import report
from tests.prove.run import PROOFS, Outcome, new_seed, run


def main(arguments: Sequence[str]) -> int:
    """0 when every promise held, 1 when one was broken, 2 when nothing was but something could not be run."""
    options = _parse(arguments)
    names = options.only or list(PROOFS)
    if options.write:
        for name in names:
            report.around(options.write, name)  # now, and not after half an hour
    logs.configure(level="CRITICAL", json=False)
    terminal, outcomes = report.Terminal(Console()), []
    for number, name in enumerate(names, start=1):
        seed = new_seed() if options.seed is None else options.seed
        terminal.begins(number, len(names), Outcome(name, PROOFS[name].title, seed, options.scale))
        outcome = run(name, scale=options.scale, seed=seed, report=terminal)
        terminal.ended(outcome)
        if options.write:
            report.write(options.write, outcome, on=_machine())
        outcomes.append(outcome)
    if any(one.result is not None and not one.held for one in outcomes):
        return 1
    return 0 if all(one.held for one in outcomes) else 2


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.prove", description="The promises about money and events, tried")
    parser.add_argument("--only", nargs="+", metavar="name", help=f"which to run: {', '.join(PROOFS)} (all)")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1: a tenth of the cases, to see that it runs (1)")
    parser.add_argument("--seed", type=int, help="of a run to be repeated; each proof draws its own without it")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also put the figures between the markers of FILE")
    options = parser.parse_args(arguments)
    if unknown := set(options.only or ()) - set(PROOFS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PROOFS)}")
    if options.scale <= 0:
        parser.error("the scale is above 0")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
