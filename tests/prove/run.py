"""The frame: which proofs there are, how one is run, and what it gives back.

A proof is a function, plain or async, ``run(scale: float, seed: int, report: Report) -> Result``. ``scale`` multiplies
its numbers: 1 is what ``make prove`` does, and every proof keeps to a useful least. All its dice come from ``seed``:
the same seed and scale try the same cases again, as far as they do not hang on who wins a race.
"""

import asyncio
import importlib
import inspect
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

Figure = int | float | str


@dataclass(frozen=True, slots=True)
class Result:
    """``figures`` by what they count, in the order to be shown. ``failures`` say in a sentence what was broken and in
    which case; none is what a proof is for."""

    figures: Mapping[str, Figure]
    failures: list[str] = field(default_factory=list)


class Report(Protocol):
    """Where a proof tells how far it is. Both are cheap to call often."""

    def say(self, text: str) -> None:
        """A line of its own."""

    def step(self, done: int, of: int, what: str) -> None:
        """How far it is: shown now and then."""


Proof = Callable[[float, int, Report], Result | Awaitable[Result]]


class Missing(Exception):
    """A program or a module that a proof needs is not there; the text says which, and how to get it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``where``: ``module:function``, loaded when its turn comes."""

    title: str
    where: str


PROOFS: Final[dict[str, Entry]] = {
    "state-machine": Entry("The state machine against the provider's ledger", "tests.prove.machine:run"),
    "webhooks": Entry("Hostile callbacks", "tests.prove.webhooks:run"),
    "clock": Entry("Clocks that disagree", "tests.prove.clock:run"),
    "faults": Entry("A provider that fails on the wire", "tests.prove.faults:run"),
    "races": Entry("Everybody at once", "tests.prove.races:run"),
    "kills": Entry("Processes that are killed", "tests.prove.kills:run"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One proof as it went. Without a ``result`` it was not run, and ``missing`` says why."""

    name: str
    title: str
    seed: int
    scale: float
    seconds: float = 0
    result: Result | None = None
    missing: str | None = None

    @property
    def held(self) -> bool:
        return self.result is not None and not self.result.failures


def run(name: str, *, scale: float, seed: int, report: Report) -> Outcome:
    """Runs one proof. What it raises is a failure like any other, except ``Missing``."""
    entry, began = PROOFS[name], time.monotonic()
    try:
        result = _called(_load(entry.where), scale, seed, report)
    except Missing as missing:
        return Outcome(name, entry.title, seed, scale, missing=str(missing))
    except Exception as error:  # the others are still worth their time
        report.say(traceback.format_exc())
        result = Result({}, [f"it ended early: {type(error).__name__}: {error}"])
    return Outcome(name, entry.title, seed, scale, time.monotonic() - began, result)


def new_seed() -> int:
    return random.SystemRandom().randrange(2**31)


def scaled(full: int, scale: float, *, least: int = 1) -> int:
    """How many of ``full`` to try."""
    return max(least, round(full * scale))


def _load(where: str) -> Proof:
    module, _, function = where.partition(":")
    try:
        return cast(Proof, getattr(importlib.import_module(module), function))
    except ModuleNotFoundError as error:
        raise Missing(f"{where}: there is no module {error.name}") from error
    except AttributeError as error:
        raise Missing(f"{where}: there is no such function") from error


def _called(proof: Proof, scale: float, seed: int, report: Report) -> Result:
    outcome = proof(scale, seed, report)
    return asyncio.run(_awaited(outcome)) if inspect.isawaitable(outcome) else outcome


async def _awaited(outcome: Awaitable[Result]) -> Result:
    return await outcome
