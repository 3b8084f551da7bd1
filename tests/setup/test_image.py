"""The image: every command of the Dockerfile runs here, and what it promises is what it does.

The wheel in it serves from an empty folder without Node and without the source tree, as after `pip install`.
"""

import os
import re
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .image import ROOT, Image, final, healthcheck, steps

SCRIPTS = {f".ci/{path.name}" for path in (ROOT / ".ci").iterdir()}


def test_every_step_runs(image: Image) -> None:
    assert image.path("final", "/opt/venv/bin/paylink").exists()


def test_every_command_is_one_that_runs_here() -> None:
    commands = {step.rest.split()[0] for step in steps() if step.word == "RUN"}
    assert commands <= SCRIPTS | {"useradd"}
    assert {step.word for step in steps()} <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }


def test_the_last_stage_builds_nothing_and_is_not_root(image: Image) -> None:
    last = [step for step in steps() if step.stage == "final"]
    assert [step.rest.split()[0] for step in last if step.word == "RUN"] == ["useradd"]
    assert [step.rest for step in last if step.word == "COPY"] == ["--from=wheel /opt/venv /opt/venv"]
    user = final("USER")
    if os.geteuid() == 0:
        assert re.search(rf"^{user}:!:[1-9]\d*:", image.path("final", "/etc/passwd").read_text(), re.MULTILINE)
    tools = {"pip", "setuptools", "wheel", "hatchling", "uv"}
    (packages,) = image.path("final", "/opt/venv/lib").glob("python3*/site-packages")
    assert not tools & {path.name for path in packages.iterdir()}


def test_the_environment_and_the_image_have_the_same_python() -> None:
    bases = {step.stage: step.rest.split()[0] for step in steps() if step.word == "FROM"}
    assert bases["wheel"] == bases["final"]


def test_the_wheel_carries_all_that_is_not_python(image: Image) -> None:
    (wheel,) = image.path("wheel", "/src/dist").glob("*.whl")
    carried = set(zipfile.ZipFile(wheel).namelist())
    source = image.path("wheel", "/src")
    files = {
        str(path.relative_to(source))
        for package in ("paylink", "webhooks")
        for path in (source / package).rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".tmp"}
    }
    assert "paylink/console/index.html" in files
    assert files <= carried
    assert not any(Path(name).parts[0] in {"tests", "agent_ui", ".ci"} for name in carried)


# --- the wheel served -------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


@pytest.fixture
def ports() -> list[int]:
    return free_ports(3)


@pytest.fixture
def served(image: Image, ports: list[int], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`paylink serve` from the installed wheel, with nothing on PATH but its own environment."""
    environment = image.path("wheel", "/opt/venv/bin")
    binds = dict(zip(("CONSOLE", "CHECKOUT", "SANDBOX"), ports, strict=True))
    env = {f"PAYLINK_{name}_BIND": f"127.0.0.1:{port}" for name, port in binds.items()}
    with subprocess.Popen(
        [environment / "paylink", "serve"],
        cwd=tmp_path,
        env={"PATH": str(environment), "HOME": str(tmp_path), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.kill()


def wait_until_healthy(process: subprocess.Popen[str], console: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{console}/healthz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    process.kill()
    pytest.fail(f"did not become healthy:\n{process.communicate()[0]}")


def test_the_wheel_serves_the_console_and_stops_cleanly(
    served: subprocess.Popen[str], ports: list[int], image: Image
) -> None:
    console, checkout = (f"http://127.0.0.1:{port}" for port in ports[:2])
    wait_until_healthy(served, console)

    page = httpx.get(f"{console}/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assets = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', page.text)
    assert assets, page.text
    assert all(httpx.get(console + asset).is_success for asset in assets)
    assert httpx.get(f"{checkout}/p/unknown").status_code == 404

    probe = [part.replace(":8000/", f":{ports[0]}/") for part in healthcheck()]
    path = str(image.path("wheel", "/opt/venv/bin"))
    subprocess.run(probe, env=os.environ | {"PATH": path}, check=True, timeout=10)

    served.send_signal(signal.SIGTERM)
    said, _ = served.communicate(timeout=20)
    assert served.returncode == 0, said
    assert "Traceback" not in said
