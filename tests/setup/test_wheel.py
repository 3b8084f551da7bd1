"""`pip install` of the wheel is all that it takes: no Node, no source tree, an empty folder."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from .image import Image, healthcheck

pytestmark = pytest.mark.timeout(300)


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
