"""A name that one living process has at a time, and that the next one finds again.

The name is written in a locked file: the kernel lets go of the lock when the process ends, however it ends. A restart
takes the first free file and with it the name of whoever had it before; two that run at once have different ones.
"""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO


class Claim:
    """``name`` is held until ``release`` or the end of the process."""

    def __init__(self, topic: str, *, prefix: str) -> None:
        # Drawn and not counted: containers can share a host's name and not its files.
        self.name = f"{prefix}:{secrets.token_hex(4)}"
        self._file: IO[str] | None = None
        with suppress(OSError):  # where nothing can be written the name is good for this process only
            self._file = _first_free(_folder(), topic)
            self._file.seek(0)
            if known := self._file.read():
                self.name = known
            else:
                self._file.write(self.name)
                self._file.flush()

    def release(self) -> None:
        if self._file is not None:
            self._file.close()


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Raises ``BlockingIOError`` while another living process is in it."""
    with file.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"paylink-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to someone else")
    return folder


def _first_free(folder: Path, topic: str) -> IO[str]:
    for number in count():
        file = (folder / f"{topic}-{number}").open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return file
    raise AssertionError
