"""Readers that are cut off at any moment and come back on any node, while ids commit in any order.

What a client may rely on: after it dropped doubles by ``id`` nothing is missing, ids grow within a connection, and
within a link events come in the order of their numbers.
"""

import asyncio
import os
import random
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from paylink.db import Database, table
from paylink.events.log import BELL
from paylink.events.types import Event
from tests.events.site import Site, Who, happen, link, plant, site
from tests.events.sse import Ended, Seen, Stream, connect

ROUNDS = int(os.environ.get("PAYLINK_PROVE", "1"))
WRITERS, TRANSACTIONS, LINKS, READERS = 2, 250, 6, 4
MARK = "the last one"
events = table(Event)


class TakenBack(Exception):
    pass


@dataclass
class Reader:
    """``arrived`` holds what each connection brought, in order."""

    chance: random.Random
    sites: list[Site]
    who: Who
    arrived: list[list[Seen]] = field(default_factory=list)

    async def run(self) -> None:
        last: int | None = 0
        while not (self.arrived and self.arrived[-1] and MARK in self.arrived[-1][-1].data["data"]):
            where = self.chance.choice(self.sites).base
            async with await connect(where, self.who.key, last_event_id=last) as stream:
                self.arrived.append([])
                with suppress(Ended):  # it fell behind by more than a queue holds
                    await self.follow(stream, self.arrived[-1])
            last = stream.last_id if stream.last_id is not None else last

    async def follow(self, stream: Stream, arrived: list[Seen]) -> None:
        for _ in range(self.chance.randint(0, 40)):
            arrived.append(await stream.next())
            if MARK in arrived[-1].data["data"]:
                return

    def kept(self) -> list[Seen]:
        """As a client keeps it: in the order it came, doubles dropped."""
        return list({seen.id: seen for arrived in self.arrived for seen in arrived}.values())


async def write(chance: random.Random, database: Database, who: Who, links: list[str]) -> None:
    """Many transactions at once, each on a few links and slow at random, some of them taken back."""

    def transaction(touched: list[str], pauses: list[float], fails: bool):
        def work(session: Session) -> None:
            for link_id, pause in zip(touched, pauses, strict=True):
                time.sleep(pause)
                happen(session, who, link_id, count=1 + int(pause * 1000) % 2)
            time.sleep(pauses[0])
            if fails:
                raise TakenBack

        return work

    works = []
    for _ in range(TRANSACTIONS):
        touched = sorted(chance.sample(links, chance.choice([1, 1, 2])))
        pauses = [chance.choice([0, 0, 0.002, 0.02]) * chance.random() for _ in touched]
        works.append(database.transact(transaction(touched, pauses, chance.random() < 0.15)))
    results = await asyncio.gather(*works, return_exceptions=True)
    assert {type(result) for result in results} == {type(None), TakenBack}


async def prove(database_url: str, *, nodes: int, seed: int) -> None:
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(site(database_url)) for _ in range(nodes)]
        writers = [Database(database_url) for _ in range(WRITERS)]
        for writer in writers:
            stack.callback(writer.close)
            for one in sites:
                writer.listen(BELL, one.ctx.hub._bell.ring)
        who = await plant(sites[0].ctx)
        links = [await link(sites[0].ctx.db, who) for _ in range(LINKS)]
        readers = [Reader(random.Random(chance.random()), sites, who) for _ in range(READERS)]
        reading = [asyncio.create_task(reader.run()) for reader in readers]
        await asyncio.gather(*(write(random.Random(chance.random()), writer, who, links) for writer in writers))
        await writers[0].transact(lambda session: happen(session, who, links[0], **{MARK: True}))
        async with asyncio.timeout(30):
            await asyncio.gather(*reading)
        stored = writers[0].read_sync(
            lambda session: session.execute(
                sa.select(events.c.id, events.c.public_id, events.c.link_id, events.c.seq).order_by(events.c.id)
            ).all()
        )
    for reader in readers:
        for arrived in reader.arrived:
            ids = [seen.id for seen in arrived]
            assert all(a < b for a, b in pairwise(ids)), "ids grow within a connection"
        kept = reader.kept()
        assert {seen.data["id"] for seen in kept} == {row.public_id for row in stored}, "nothing is missing"
        for link_id in links:
            numbers = [seen.data["seq"] for seen in kept if seen.data["payment_link"] == link_id]
            assert numbers == list(range(1, len(numbers) + 1)), "a link's events come in their order"


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_on_postgresql_with_two_nodes_nothing_is_missed(postgres_database: str, seed: int) -> None:
    await prove(postgres_database, nodes=2, seed=seed)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_on_sqlite_with_one_node_nothing_is_missed(sqlite_database: str, seed: int) -> None:
    await prove(sqlite_database, nodes=1, seed=seed)
