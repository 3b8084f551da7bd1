"""What a benchmark finds: series of rounds, goals, and rows that say whether the one meets the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Verdict = Literal["aim met", "met", "MISSED", "–"]


@dataclass(frozen=True, slots=True)
class Series:
    """One figure per round."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Series":
        return cls(tuple(values))

    @property
    def median(self) -> float:
        return median(self.values)

    def over(self, other: "Series") -> "Series":
        """Round by round, so that what troubled both sides of a round cancels out."""
        return Series(tuple(a / b if b else float("inf") for a, b in zip(self.values, other.values, strict=True)))

    def __str__(self) -> str:
        if len(self.values) == 1:
            return figure(self.median)
        return f"{figure(self.median)} ({figure(min(self.values))}–{figure(max(self.values))})"


@dataclass(frozen=True, slots=True)
class Goal:
    """``must`` is the promise, ``aim`` what we would like. Either both are floors or, with ``at_most``, ceilings."""

    must: float
    aim: float | None = None
    at_most: bool = False

    def verdict(self, value: float) -> Verdict:
        if self.aim is not None and self._meets(value, self.aim):
            return "aim met"
        return "met" if self._meets(value, self.must) else "MISSED"

    def _meets(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        aim = "" if self.aim is None else f", aim {figure(self.aim)}"
        return f"{sign} {figure(self.must)}{aim}"


@dataclass(frozen=True, slots=True)
class Row:
    """``ours`` against ``other`` if there is one; the goal is about their ratio then, else about ``ours`` itself."""

    what: str
    unit: str
    ours: Series
    than: str = ""
    other: Series | None = None
    goal: Goal | None = None

    @property
    def ratio(self) -> Series | None:
        return self.ours.over(self.other) if self.other is not None else None

    @property
    def verdict(self) -> Verdict:
        judged = self.ratio or self.ours
        return self.goal.verdict(judged.median) if self.goal else "–"


@dataclass(frozen=True, slots=True)
class Result:
    """All rows of one benchmark, or why there are none. ``notes`` say what a row holds and what it does not."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: str | None = None


class Missing(Exception):
    """A program or package that a benchmark needs is not there; the text says which, and how to get it."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure. ``seconds`` of load per side and round."""

    rounds: int
    seconds: float
    warm_up_s: float

    @property
    def quick(self) -> bool:
        return self.rounds == 1


FULL = Effort(rounds=5, seconds=5, warm_up_s=2)
QUICK = Effort(rounds=1, seconds=2, warm_up_s=1)


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; ``nan`` of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def figure(value: float) -> str:
    """Three significant digits: more would pretend."""
    if math.isnan(value):
        return "none"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
