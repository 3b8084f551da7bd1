"""What a run of the reconciliation has found so far, and how it is kept."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import prometheus_client
import structlog

from paylink.reconciliation.differences import Difference, DifferenceClass

log = structlog.get_logger(__name__)
repairs = prometheus_client.Counter(
    "paylink_reconciliation_repairs_total", "Differences with the provider that this process put right", ["class"]
)

# Of one class, so many are kept in full. When the provider or a database was away for a day there are thousands, and
# the first hundreds say all that the rest would say.
KEPT: Final = 500


@dataclass
class Report:
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    _known: set[Difference] = field(default_factory=set, repr=False)

    def add(self, difference: Difference) -> None:
        """Once, however many steps of the run meet it."""
        if difference in self._known:
            return
        self._known.add(difference)
        self.differences.append(difference)
        if difference.repaired:
            repairs.labels(difference.kind.value).inc()
        tell = log.info if difference.repaired else log.error if difference.money else log.warning
        tell("reconciliation_difference", **difference.form())

    @property
    def open(self) -> list[Difference]:
        """What was not repaired."""
        return [difference for difference in self.differences if not difference.repaired]

    def counts(self) -> dict[str, dict[str, int]]:
        return count([difference.form() for difference in self.differences])


def merged(old: Iterable[Mapping[str, Any]], new: Iterable[Difference]) -> list[dict[str, Any]]:
    """The differences of a run that was told of in parts, each once, as its row keeps them.

    Beyond ``KEPT`` of a class only their number is kept, as ``{"class", "more", "more_repaired"}``.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    more: dict[str, Counter[str]] = {}
    for form in (*old, *(difference.form() for difference in new)):
        if "more" in form:
            more.setdefault(form["class"], Counter()).update({k: v for k, v in form.items() if k != "class"})
        else:
            found[form["class"], form["payment"], form["provider"], form["what"]] = dict(form)
    kept: list[dict[str, Any]] = []
    seen: Counter[str] = Counter()
    for form in found.values():
        seen[form["class"]] += 1
        if seen[form["class"]] <= KEPT:
            kept.append(form)
        else:
            more.setdefault(form["class"], Counter()).update(more=1, more_repaired=int(form["repaired"]))
    return [*kept, *({"class": name, **numbers} for name, numbers in more.items())]


def count(forms: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """``{"behind": {"found": 3, "repaired": 2}, …}`` of what ``merged`` or ``Difference.form`` gave, worst first."""
    found: dict[str, dict[str, int]] = {}
    for form in forms:
        numbers = found.setdefault(form["class"], {"found": 0, "repaired": 0})
        numbers["found"] += form.get("more", 1)
        numbers["repaired"] += form["more_repaired"] if "more" in form else int(form["repaired"])
    order = {kind.value: place for place, kind in enumerate(DifferenceClass)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], len(order))))
