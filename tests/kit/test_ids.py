"""Ids: one form, no two alike, in the order they were made."""

import re
from concurrent.futures import ThreadPoolExecutor

from paylink.kit.ids import new_id


def test_ids_of_a_process_sort_as_they_were_made() -> None:
    made = [new_id("x") for _ in range(5000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch(r"x_[0-9a-hjkmnp-tv-z]{26}", one) for one in made)


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [one for part in pool.map(lambda _: [new_id("x") for _ in range(500)], range(8)) for one in part]
    assert len(set(made)) == len(made)
