"""The lock files pin, with hashes and without any address, what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUNTIME = [*PROJECT["dependencies"], *EXTRAS["postgres"]]
LOCKS = sorted(ROOT.glob("requirements*.txt"))


def pins(lock: Path) -> list[Requirement]:
    """The pinned requirements of a lock file, each of which must carry a hash."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
    return [Requirement(entry.split("\\\n")[0].strip()) for entry in entries]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_entry_is_a_pin_with_hashes_and_no_address(lock: Path) -> None:
    assert not re.search(r"://|--index|--extra-index|--find-links", lock.read_text())
    for pin in pins(lock):
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [("requirements.txt", RUNTIME), ("requirements-test.txt", [*RUNTIME, *EXTRAS["test"]])],
)
def test_the_lock_satisfies_the_project(lock: str, wanted: list[str]) -> None:
    pinned: dict[str, list[str]] = {}
    for pin in pins(ROOT / lock):
        pinned.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)
    for requirement in map(Requirement, wanted):
        versions = pinned.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} is not locked: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: make lock"


def test_the_tests_run_with_the_versions_that_are_shipped() -> None:
    tested = {str(pin) for pin in pins(ROOT / "requirements-test.txt")}
    assert {str(pin) for pin in pins(ROOT / "requirements.txt")} <= tested
