"""``python -m tests.bench [--quick] [--write FILE] [name …]``"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from tests.bench import create, latency, machine, messages, operations, page, report, startup, streams, work
from tests.bench.measure import FULL, QUICK, Effort, Missing, Result

Bench = Callable[[Effort, Path], Result]
BENCHES: dict[str, Bench] = {
    "create-sqlite": create.sqlite,
    "create-postgres": create.postgres,
    "beacon-sqlite": latency.sqlite,
    "beacon-postgres": latency.postgres,
    "streams-1000": streams.one_thousand,
    "streams-5000": streams.five_thousand,
    "startup": startup.run,
    "page": page.run,
    "jobs": work.run,
    "messages": messages.run,
    "operations": operations.run,
}


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    effort = QUICK if options.quick else FULL
    if options.rounds:
        effort = Effort(options.rounds, effort.seconds, effort.warm_up_s)
    if options.write:
        report.around(options.write)  # now, and not after half an hour
    console, results = Console(), []
    if options.folder:
        tempfile.tempdir = str(options.folder)
    with tempfile.TemporaryDirectory(prefix="paylink-bench-") as folder:
        found = machine.describe(Path(folder))
        for name, text in found.items():
            console.print(f"[dim]{name}:[/dim] {escape(text)}", highlight=False)
        for name in options.names or BENCHES:
            results.append(_run(console, name, effort, Path(folder, name)))
    if options.write:
        report.write(options.write, found, results, effort)
    return 0


def _run(console: Console, name: str, effort: Effort, folder: Path) -> Result:
    folder.mkdir()
    try:
        with console.status(name):
            result = BENCHES[name](effort, folder)
    except Missing as missing:
        result = Result(name, name, missing=str(missing))
    except Exception as error:  # the others are still worth their time
        console.print_exception()
        result = Result(name, name, missing=f"failed: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.show(console, result)
    return result


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description="The product against floors and peers")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which to run: {', '.join(BENCHES)} (all)")
    parser.add_argument("--quick", action="store_true", help="one short round: to see that it runs, not to quote")
    parser.add_argument("--rounds", type=int, help="how often each side is measured")
    parser.add_argument("--folder", type=Path, help="where databases are made: a disk like the one in operation")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also put the table between the markers of FILE")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(BENCHES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
