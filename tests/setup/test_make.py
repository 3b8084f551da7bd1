"""The set-up does nothing twice, and says by name what it cannot see to."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from .image import ROOT


@pytest.mark.skipif(not (ROOT / ".venv/.testing").exists(), reason="not set up by make")
def test_a_second_setup_is_quick_and_quiet() -> None:
    started = time.monotonic()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ran = subprocess.run(["make", "setup"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
    assert time.monotonic() - started < 5


def test_missing_programs_are_named_and_nothing_fails(tmp_path: Path) -> None:
    for program in ("bash", "dirname", "id"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    ran = subprocess.run(
        [tmp_path / "bash", ROOT / ".ci/system-packages"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    missing = ran.stdout.splitlines()[0].partition(": ")[2].split()
    assert {"chromium-headless-shell", "redis-server"} <= set(missing)
