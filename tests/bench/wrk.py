"""Load by ``wrk``: closed loop, one thread, the given number of connections."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import Missing
from tests.bench.processes import APART, CORES

SCRIPT = """
wrk.method = "POST"
{headers}
wrk.body = {body}
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{{"requests": %d, "us": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""
# wrk gives an answer up after two seconds by itself, which one of the peers needs now and then.
PATIENCE = "20s"


@dataclass(frozen=True, slots=True)
class Load:
    """``rate`` in answers per second, ``p50`` and ``p99`` in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def need() -> None:
    if shutil.which("wrk") is None:
        raise Missing("wrk is not installed: apt-get install wrk")


def post(url: str, body: str, headers: Mapping[str, str], *, connections: int, seconds: float) -> Load:
    """Raises ``RuntimeError`` if any answer was an error: a rate of refusals means nothing."""
    lines = "\n".join(f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(SCRIPT.format(headers=lines, body=_lua(body)))
        pinned = ["taskset", "-c", str(CORES[-1])] if APART and shutil.which("taskset") else []
        load = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", PATIENCE]
        command = [*pinned, "wrk", *load, "-s", str(script), url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(output.strip().splitlines()[-1])
    if found["refused"] or found["broken"]:
        raise RuntimeError(f"{url}: {found['refused']} refused, {found['broken']} broken of {found['requests']}")
    rate = found["requests"] / found["us"] * 1e6
    return Load(found["requests"], rate, found["p50"] / 1000, found["p99"] / 1000)


def _lua(text: str) -> str:
    """JSON's string is Lua's too, as long as it holds no ``\\u``."""
    return json.dumps(text, ensure_ascii=False)
