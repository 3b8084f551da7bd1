"""Ids: one form, no two alike, in the order they were made."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from paylink.kit.ids import lowest_id, made_at, new_id


def test_ids_of_a_process_sort_as_they_were_made() -> None:
    made = [new_id("x") for _ in range(5000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"x_[0-9a-hjkmnp-tv-z]{26}", one) for one in made)


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [one for part in pool.map(lambda _: [new_id("x") for _ in range(500)], range(8)) for one in part]
    assert len(set(made)) == len(made)


def test_the_time_an_id_was_made_at_can_be_read_and_searched_for() -> None:
    before = datetime.now(UTC)
    made = new_id("pay")
    after = datetime.now(UTC)
    assert before - timedelta(milliseconds=1) <= made_at(made) <= after
    assert lowest_id("pay", before) <= made < lowest_id("pay", after + timedelta(milliseconds=1))
    assert made_at(lowest_id("pay", before)) == before.replace(microsecond=before.microsecond // 1000 * 1000)
