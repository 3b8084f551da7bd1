"""A short walk of the state machine on each database; ``make prove`` goes further."""

import pytest

from tests.prove import clocks
from tests.prove.machine import explore, stage

RUNS = 5
STEPS = 20


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_rows_log_and_ledger_agree(database_url: str, seed: int) -> None:
    if not database_url.startswith("sqlite"):
        clocks.install(database_url)
    with stage(database_url) as on:
        explore(on, runs=RUNS, steps=STEPS, seed=seed)
    # Or it was a walk in which nothing happened.
    assert on.counts["captured"] > 0
    assert on.counts["callbacks"] > 0
