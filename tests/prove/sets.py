"""Parts of a proof, side by side in processes of their own: as many as the machine has cores."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Final

from paylink.kit import logs
from tests.prove.run import Missing, Report

# What a part gives back: what it counted, and what it found broken.
Part = tuple[Counter[str], list[str]]
TOLD: Final = 2000


def side_by_side(
    part: Callable[..., Part], each: Sequence[tuple[Any, ...]], report: Report, *, counted: str, of: int
) -> Part:
    """``part`` for the arguments of each. ``counted`` of the parts' counts says how far it is. What a part raises is
    what it found broken, except ``Missing``."""
    counts, failures = Counter[str](), list[str]()
    workers = min(len(each), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_quiet) as pool:
        running = {pool.submit(part, *arguments): arguments for arguments in each}
        for ended in as_completed(running):
            try:
                found, broken = ended.result()
            except Missing:
                pool.shutdown(cancel_futures=True)
                raise
            except Exception as error:
                found, broken = Counter(), [f"{running[ended]}: {story(error)}"]
            counts += found
            failures += broken
            report.step(counts[counted], of, counted)
    return counts, failures


def story(error: BaseException) -> str:
    """What went wrong with all that was noted about it, as hypothesis does with the steps that led there."""
    inner = [story(one) for one in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    lines = [f"{type(error).__name__}: {error}"[:TOLD], *getattr(error, "__notes__", ()), *inner]
    return "\n".join(lines)


def _quiet() -> None:
    logs.configure(level="CRITICAL", json=False)
