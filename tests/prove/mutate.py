"""``python -m tests.prove.mutate [--only mutant …]``: proves the proofs. 1 when a mutant was not noticed."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from rich.console import Console

from paylink.kit import logs
from tests.prove import faults, kills, races
from tests.prove.proxy import Fault, Site
from tests.prove.report import Terminal
from tests.prove.run import Report, new_seed


class Verdict(Protocol):
    @property
    def failures(self) -> list[str]: ...


Trial = Callable[[int, Report, str], Awaitable[Verdict]]


def _faults(database: str, site: Site) -> Trial:
    """Each fault once at this call."""
    first = faults.SITES.index(site) * len(Fault)
    numbers = range(first, first + len(Fault))
    return lambda seed, report, mutant: faults.on(database, numbers, seed, report, mutant=mutant)


def _races(database: str, rounds: int) -> Trial:
    return lambda seed, report, mutant: races.on(database, rounds, seed, report, mutant=mutant)


def _kills(database: str, count: int) -> Trial:
    return lambda seed, report, mutant: kills.on(database, count, seed, report, mutant=mutant)


# Which proof has to notice which.
TRIALS: Final[dict[str, tuple[str, Trial]]] = {
    "key_per_try": ("faults", _faults("sqlite", Site.REFUND)),
    "time_out_is_failure": ("faults", _faults("sqlite", Site.CREATE)),
    "no_follow_job": ("faults", _faults("sqlite", Site.CAPTURE)),
    "no_refund_job": ("faults", _faults("sqlite", Site.REFUND)),
    "cancel_wins": ("races", _races("postgresql", 15)),
    "two_live_attempts": ("races", _races("postgresql", 10)),
    "no_locks": ("races", _races("postgresql", 15)),
    "amount_twice": ("races", _races("sqlite", 5)),
    "answers_before_commit": ("kills", _kills("sqlite", 12)),
    "seq_with_gaps": ("kills", _kills("sqlite", 4)),
    "jobs_forgotten": ("kills", _kills("sqlite", 4)),
}


async def run(names: Sequence[str], seed: int, report: Report) -> list[str]:
    """Those that nobody noticed."""
    missed = []
    for name in names:
        proof, trial = TRIALS[name]
        verdict = await trial(seed, report, name)
        what = (
            f"noticed by {proof}: {len(verdict.failures)}, such as: {verdict.failures[0]}" if verdict.failures else ""
        )
        report.say(f"{name}: {what or f'NOT NOTICED by {proof}'}")
        missed += [] if verdict.failures else [name]
    return missed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("python -m tests.prove.mutate", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS), metavar="mutant")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args(arguments)
    logs.configure(level="CRITICAL", json=False)
    seed = new_seed() if options.seed is None else options.seed
    terminal = Terminal(Console())
    terminal.say(f"--seed {seed}")
    return 1 if asyncio.run(run(options.only, seed, terminal)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
