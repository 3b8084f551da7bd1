"""The Dockerfile, carried out in plain folders: the same commands on the same files, where there is no engine."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Step(NamedTuple):
    stage: str
    word: str
    rest: str


def steps() -> list[Step]:
    """The Dockerfile's instructions; a stage without a name is the ``final`` one."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found, stage = [], ""
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            stage = rest.partition(" AS ")[2] or "final"
        found.append(Step(stage, word, rest))
    return found


def final(word: str) -> str:
    """What the last stage says after this word."""
    return next(step.rest for step in steps() if step.stage == "final" and step.word == word)


def healthcheck() -> list[str]:
    command: list[str] = json.loads(final("HEALTHCHECK").partition("CMD ")[2])
    return command


def _ignored(folder: str, names: list[str]) -> set[str]:
    """``.dockerignore``, as far as this one goes: plain paths, and ``**/name`` at any depth."""
    patterns = (ROOT / ".dockerignore").read_text().split("\n")
    here = Path(folder).relative_to(ROOT)
    return {
        name
        for name in names
        for pattern in patterns
        if (fnmatch.fnmatch(name, pattern[3:]) and pattern.startswith("**/"))
        or fnmatch.fnmatch(str(here / name), pattern)
    }


class Image:
    """Folders that stand for the file systems of the stages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._workdir = ""

    def path(self, stage: str, path: str) -> Path:
        return self.folder / stage / os.path.join(self._workdir, path).lstrip("/")  # noqa: PTH118 - its rule is wanted

    def build(self) -> "Image":
        do: dict[str, Callable[[str, str], None]] = {"WORKDIR": self._enter, "COPY": self._copy, "RUN": self._run}
        for stage, word, rest in steps():
            if word == "FROM":
                self._workdir = ""
            elif word in do:
                do[word](stage, rest)
        return self

    def _enter(self, stage: str, rest: str) -> None:
        self._workdir = rest
        self.path(stage, "").mkdir(parents=True, exist_ok=True)

    def _copy(self, stage: str, rest: str) -> None:
        *options, source, target = rest.split()
        if options:
            origin = self.path(options[0].removeprefix("--from="), source)
            shutil.copytree(origin, self.path(stage, target), symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copytree(ROOT / source, self.path(stage, target), ignore=_ignored, dirs_exist_ok=True)

    def _run(self, stage: str, rest: str) -> None:
        command = list(self._placed(stage, shlex.split(rest)))
        if command[0] == "useradd":
            if os.geteuid() != 0:
                return  # only root may, on a folder too
            self.path(stage, "/etc").mkdir(parents=True)
            command[1:1] = ["--prefix", str(self.path(stage, "/"))]
        node = ROOT / ".venv/node/bin"  # where the set-up had to install one
        ran = subprocess.run(
            command,
            cwd=self.path(stage, ""),
            env=os.environ | {"PYTHON": sys.executable, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{rest}\n{ran.stdout}{ran.stderr}"

    def _placed(self, stage: str, words: list[str]) -> Iterator[str]:
        for word in words:
            yield str(self.path(stage, word)) if word.startswith("/") else word
