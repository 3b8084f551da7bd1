"""The image: every command of the Dockerfile runs here, and what it promises is what it does."""

import os
import re
import zipfile
from pathlib import Path

import pytest

from .image import ROOT, Image, final, steps

SCRIPTS = {f".ci/{path.name}" for path in (ROOT / ".ci").iterdir()}


@pytest.mark.timeout(300)
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
