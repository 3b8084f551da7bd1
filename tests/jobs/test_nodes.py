"""Workers in several processes: one dies, hangs, stops or is replaced by another build, and no job is lost.

A job runs at least once. It runs twice only when the node that had it died over it.
"""

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import paylink
from paylink.db import Database
from paylink.jobs import JobQueue
from tests.jobs.node import Nodes, nodes_on
from tests.services import wait_until

JOBS = [f"job{n}" for n in range(40)]


@pytest.fixture
def nodes(postgres_database: str, tmp_path: Path) -> Iterator[Nodes]:
    with nodes_on(postgres_database, tmp_path) as made:
        yield made


def enqueue(nodes: Nodes, names: list[str]) -> None:
    db = Database(nodes.url)
    queue = JobQueue(db)

    def work(session) -> None:
        for name in names:
            queue.enqueue(session, "work", name, key=name)

    db.transact_sync(work)
    queue.close()
    db.close()


def finish(nodes: Nodes, names: list[str] = JOBS) -> None:
    wait_until(lambda: set(nodes.ledger.of("end")) >= set(names), what="every job is done", seconds=45)


def busy(nodes: Nodes, node: str, *, after: int = 0) -> bool:
    began, ended = nodes.ledger.of("begin", node), nodes.ledger.of("end", node)
    return len(ended) >= after and len(began) > len(ended)


def test_a_node_that_is_killed_for_good_leaves_its_jobs_to_the_other(nodes: Nodes) -> None:
    nodes.start("first")
    nodes.start("second")
    enqueue(nodes, JOBS)
    wait_until(lambda: busy(nodes, "first", after=4), what="the first is at work")
    nodes.end("first")
    at_hand = set(nodes.ledger.of("begin", "first")) - set(nodes.ledger.of("end", "first"))
    finish(nodes)
    runs = Counter(nodes.ledger.of("begin"))
    assert set(runs) == set(JOBS)
    assert {job for job, times in runs.items() if times > 1} <= at_hand | set(nodes.ledger.of("end", "first")[-4:])
    assert max(runs.values()) == 2
    assert set(nodes.ledger.of("end", "second")) >= at_hand
    assert "jobs_taken_over" in nodes.log("second")


def test_two_that_take_over_at_once_do_not_both_run_a_job(nodes: Nodes) -> None:
    for name in ("first", "second", "third"):
        nodes.start(name)
    enqueue(nodes, JOBS)
    wait_until(lambda: busy(nodes, "first"), what="the first is at work")
    nodes.end("first")
    at_hand = set(nodes.ledger.of("begin", "first")) - set(nodes.ledger.of("end", "first"))
    finish(nodes)
    again = Counter(job for node in ("second", "third") for job in nodes.ledger.of("begin", node))
    assert max(again.values()) == 1
    assert set(again) >= at_hand


def test_a_node_that_was_frozen_and_wakes_does_no_harm(nodes: Nodes) -> None:
    nodes.start("first")
    nodes.start("second")
    enqueue(nodes, JOBS)
    wait_until(lambda: busy(nodes, "first"), what="the first is at work")
    nodes.processes["first"].send_signal(signal.SIGSTOP)
    wait_until(lambda: "jobs_taken_over" in nodes.log("second"), what="the second takes over")
    finish(nodes)
    nodes.processes["first"].send_signal(signal.SIGCONT)
    enqueue(nodes, ["after"])
    finish(nodes, [*JOBS, "after"])
    assert nodes.end("second", signal.SIGTERM) == 0
    enqueue(nodes, ["last"])
    finish(nodes, ["last"])
    assert nodes.ledger.of("end", "first")[-1] == "last"


def test_a_node_that_stops_finishes_what_it_has_and_the_other_goes_on_at_once(nodes: Nodes) -> None:
    nodes.start("first")
    nodes.start("second")
    enqueue(nodes, JOBS)
    wait_until(lambda: busy(nodes, "first"), what="the first is at work")
    assert nodes.end("first", signal.SIGTERM) == 0
    assert set(nodes.ledger.of("begin", "first")) == set(nodes.ledger.of("end", "first"))
    finish(nodes)
    assert max(Counter(nodes.ledger.of("begin")).values()) == 1
    assert "jobs_taken_over" not in nodes.log("second")


@pytest.mark.parametrize("database", ["sqlite_database", "postgres_database"])
def test_a_node_that_is_killed_and_comes_back_goes_on_at_once(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with nodes_on(request.getfixturevalue(database), tmp_path, silent_after_s=60) as nodes:
        nodes.start("only")
        enqueue(nodes, JOBS[:20])
        wait_until(lambda: busy(nodes, "only", after=4), what="it is at work")
        nodes.end("only")
        nodes.start("only")
        finish(nodes, JOBS[:20])
        assert max(Counter(nodes.ledger.of("begin")).values()) <= 2


def test_a_changed_build_strands_nothing(nodes: Nodes, tmp_path: Path) -> None:
    """The job system ties jobs to a hash of the source unless told otherwise."""
    changed = tmp_path / "changed"
    source = Path(paylink.__file__).parent
    shutil.copytree(source, changed / "paylink", ignore=shutil.ignore_patterns("__pycache__", "console"))
    file = changed / "paylink" / "jobs.py"
    text = file.read_text()
    assert "            self._run(job, args, key, attempt)\n" in text
    file.write_text(
        text.replace(
            "            self._run(job, args, key, attempt)\n",
            '            log.info("another_build")\n            self._run(job, args, key, attempt)\n',
        )
    )
    nodes.start("old")
    enqueue(nodes, JOBS[:8])
    wait_until(lambda: busy(nodes, "old"), what="the old build is at work")
    nodes.end("old")
    nodes.start("new", package=changed)
    finish(nodes, JOBS[:8])
    assert nodes.log("new").count("another_build") >= 4
