"""The event stream as a program reads it: a thread on the raw connection, which notes when each event came in."""

import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import urlsplit

from tests.services import wait_until


@dataclass(frozen=True)
class Told:
    """One event as the stream had it. ``late_s``: from its happening to its arrival here."""

    id: int
    late_s: float
    event: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.event["type"])

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.event["data"])


class Stream:
    """Everything from ``after`` on. ``raw`` is all that came over the line."""

    def __init__(self, console: str, api_key: str, *, after: int = 0) -> None:
        self.raw = bytearray()
        self.told: list[Told] = []
        self._connection = HTTPConnection(urlsplit(console).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {api_key}", "Last-Event-ID": str(after)}
        self._connection.request("GET", "/v1/events/stream", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        assert self._response.headers["Content-Type"].startswith("text/event-stream")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._connection.sock is not None:
            self._connection.sock.shutdown(SHUT_RDWR)
        self._thread.join(10)
        self._response.close()
        self._connection.close()

    def of(self, link_id: str) -> list[Told]:
        return [told for told in list(self.told) if told.event["payment_link"] == link_id]

    def types(self, link_id: str) -> list[str]:
        return [told.type for told in self.of(link_id)]

    def wait_for(self, link_id: str, kind: str, *, times: int = 1, seconds: float = 30) -> Told:
        """The newest event of this type, once there are as many."""

        def found() -> list[Told]:
            return [told for told in self.of(link_id) if told.type == kind]

        try:
            wait_until(lambda: len(found()) >= times, what=f"{times} × {kind}", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the link has {self.types(link_id)}") from None
        return found()[-1]

    def _read(self) -> None:
        number = 0
        try:
            while line := self._response.readline():
                arrived = time.time()
                self.raw += line
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "data":
                    event = json.loads(value)
                    happened = datetime.fromisoformat(event["occurred_at"]).timestamp()
                    self.told.append(Told(number, arrived - happened, event))
        except (OSError, HTTPException):
            return  # the node was ended, or the test is over


def assert_gapless(told: list[Told]) -> None:
    """Per link 1, 2, 3 …; in the stream ids that only grow."""
    assert [one.event["seq"] for one in told] == list(range(1, len(told) + 1))
    ids = [one.id for one in told]
    assert ids == sorted(set(ids))
