"""The name a worker goes by: found again by a restart, never shared by two that live."""

import subprocess
import sys
from pathlib import Path

import pytest

from paylink.kit.claim import Claim

HOLD = """
import sys
from paylink.kit.claim import Claim
claim = Claim("x", prefix="h")
print(claim.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def hold() -> "tuple[subprocess.Popen[str], str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def test_two_that_live_have_two_names_and_the_next_has_that_of_the_one_that_died() -> None:
    (first, one), (second, two) = hold(), hold()
    assert one != two
    end(first)
    third, again = hold()
    assert again == one
    end(second)
    end(third)


def test_a_name_given_back_is_given_out_again() -> None:
    one = Claim("x", prefix="h")
    one.release()
    two = Claim("x", prefix="h")
    assert two.name == one.name
    two.release()


def test_another_database_has_names_of_its_own() -> None:
    one, two = Claim("x", prefix="h"), Claim("y", prefix="h")
    assert one.name != two.name
    one.release()
    two.release()


def test_where_nothing_can_be_written_every_process_has_a_name_of_its_own(folder: Path) -> None:
    blocked = folder / "a file"
    blocked.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(blocked))
        assert Claim("x", prefix="h").name != Claim("x", prefix="h").name
