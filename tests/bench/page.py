"""The customer's page in a real browser: the bytes and requests it takes before the provider's script is asked for."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests import browser
from tests.bench import sides
from tests.bench.measure import Effort, Missing, Result, Row, Series

PATIENCE_MS = 30_000


@dataclass
class Seen:
    """Requests to the checkout by id, with their bytes on the wire, headers included, until the provider is asked."""

    checkout: str
    bytes: dict[str, int] = field(default_factory=dict)
    provider_asked: bool = False

    def requested(self, event: dict[str, Any]) -> None:
        place = urlsplit(event["request"]["url"])
        if place.scheme not in {"http", "https"} or self.provider_asked:
            return
        if f"{place.scheme}://{place.netloc}" == self.checkout:
            self.bytes[event["requestId"]] = 0
        else:
            self.provider_asked = True

    def finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.bytes:
            self.bytes[event["requestId"]] = int(event["encodedDataLength"])


def run(_effort: Effort, folder: Path) -> Result:
    executable = browser.program()
    if executable is None:
        raise Missing("no Chromium: apt-get install chromium-headless-shell")
    with sides.paylink(folder, f"sqlite:///{folder / 'paylink.db'}") as running:
        with running.client() as api:
            url = api.post("/v1/payment_links", json=json.loads(sides.BODY)).raise_for_status().json()["url"]
        first, again = _visits(executable, url, running.node.checkout)
    rows = [
        Row("requests, first visit", "", Series.of([len(first.bytes)])),
        Row("bytes on the wire, first visit", "B", Series.of([sum(first.bytes.values())])),
        Row("requests, second visit", "", Series.of([len(again.bytes)])),
        Row("bytes on the wire, second visit", "B", Series.of([sum(again.bytes.values())])),
    ]
    note = "page, style, script, exchange of the token; beacons that leave before the provider's script count too"
    return Result("page", "Customer's page before the provider's script", rows, [note])


def _visits(executable: Path, url: str, checkout: str) -> tuple[Seen, Seen]:
    with browser.launched(executable) as opened:
        context = opened.new_context()
        return _visit(context, url, checkout), _visit(context, url, checkout)


def _visit(context: Any, url: str, checkout: str) -> Seen:
    seen = Seen(checkout)
    page = context.new_page()
    protocol = context.new_cdp_session(page)
    protocol.send("Network.enable")
    protocol.on("Network.requestWillBeSent", seen.requested)
    protocol.on("Network.loadingFinished", seen.finished)
    page.goto(url)
    page.locator("iframe").first.wait_for(state="attached", timeout=PATIENCE_MS)
    page.close()
    return seen
