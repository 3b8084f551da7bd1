"""The browser of the tests, how long they wait for what it shows, and a judge of accessibility."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Frame, Page, expect, sync_playwright

# The shell first: it is the same engine without windows and menus of its own, which cost more than our pages.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
AXE = Path(__file__).parents[1] / "agent_ui/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
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


def judge(page: Page | Frame, name: str = "") -> None:
    """Fails for what axe finds. The frame of the card fields is the provider's, and judged by them."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "rules => axe.run({ exclude: [['#card iframe']] }, { runOnly: rules, iframes: false })", RULES
    )
    said = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
    assert not said, (name, said)
