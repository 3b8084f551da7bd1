"""The browser of the tests, and how long they wait for what it shows."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

# The shell first: it is the same engine without windows and menus of its own, which cost more than our pages.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
# An upper limit: what comes sooner is taken sooner.
PATIENCE_MS = 30_000

expect.set_options(timeout=PATIENCE_MS)


def program() -> Path | None:
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return Path(found) if found else None


@contextmanager
def launched(executable: Path) -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS)) as browser,
    ):
        yield browser
