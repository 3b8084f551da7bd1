"""The end of a link by the database's clock, whatever the processes' own clocks say; ``make prove`` tries more."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.prove import clocks
from tests.prove.clock import NEAR, PLAYS, RIGHT, WRONG_BY, Case, Play, play_once
from tests.prove.provider import provider
from tests.prove.shop import Shop

SKEWS = [(RIGHT, RIGHT), (WRONG_BY, -WRONG_BY), (-WRONG_BY, WRONG_BY)]


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[tuple[Shop, clocks.Clocks]]:
    if not database_url.startswith("sqlite"):
        clocks.install(database_url)
    with clocks.Clocks(database_url).ruling() as ruling:
        async with provider(tmp_path, database_url=database_url) as psp:
            shop = Shop(psp, database_url)
            yield shop, ruling
            await shop.close()


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
async def test_the_database_decides_when_a_link_ends(stage: tuple[Shop, clocks.Clocks], play: Play) -> None:
    for off in (-NEAR, -timedelta(microseconds=1), RIGHT, NEAR):
        for skews in SKEWS:
            wrong, _ = await play_once(play, Case(*stage, off, *skews))
            assert wrong == [], (off, skews)
