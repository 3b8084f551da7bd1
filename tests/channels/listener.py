"""Small HTTP servers for the tests of channels: providers that are played, and our own side of their callbacks."""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from paylink.channels.base import Callback, CallbackRefused, Channel, Parsed, Reply, Report

WAIT_S = 20.0


@dataclass(frozen=True)
class Request:
    """Header names in lower case. ``target``: path and query, as they came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Given:
    """``status`` 0: the connection ends without an answer."""

    status: int = 200
    body: bytes = b""
    media_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def serving(answer: Callable[[Request], Given]) -> Iterator[str]:
    """Yields the server's address, without a slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            given = answer(Request(self.command, self.path, headers, body))
            if given.status == 0:
                self.close_connection = True
                return
            self.send_response(given.status)
            fixed = {"Content-Type": given.media_type, "Content-Length": str(len(given.body))}
            for name, value in {**fixed, **given.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(given.body)

        do_POST = do_GET  # noqa: N815 - the names are the library's

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        # A hundred at once are part of the tests.
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # some callers are meant to go away
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Listener:
    """Where a provider calls back: each request is handed to ``channel`` and what it says is kept.

    ``judge`` sees a callback first; anything but 200 is answered as it is, as an overloaded service would. ``pages``
    are plain texts by their path, for a server that wants to read one from us.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.base = ""
        self.channel: Channel | None = None
        self.judge: Callable[[Callback], int] = lambda _callback: 200
        self.pages: dict[str, str] = {}
        self.clear()
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        return self.base + self.path

    def clear(self) -> None:
        self.judge = lambda _callback: 200
        self.callbacks: list[Callback] = []
        self.reports: list[Report] = []
        self.replies: list[Reply] = []
        self.refused: list[str] = []

    def take(self, request: Request) -> Given:
        parts = urlsplit(request.target)
        if (page := self.pages.get(parts.path)) is not None:
            return Given(body=page.encode())
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        callback = Callback(request.method, self.base + request.target, query, request.headers, request.body)
        with self._changed:
            self._changed.notify_all()
            self.callbacks.append(callback)
            status = self.judge(callback)
            return Given(status) if status != 200 else self._parsed(callback)

    def _parsed(self, callback: Callback) -> Given:
        assert self.channel is not None
        try:
            parsed: Parsed = self.channel.parse_callback(callback)
        except CallbackRefused as error:
            self.refused.append(str(error))
            return Given(400)
        self.reports += parsed.reports
        self.replies += parsed.replies
        return Given(200, parsed.body.encode(), parsed.media_type)

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(ready, WAIT_S), f"no {what}; got {self.reports} {self.replies} {self.refused}"

    def of(self, reference: str) -> list[Report]:
        return [report for report in self.reports if report.reference == reference]


@contextmanager
def listener(path: str) -> Iterator[Listener]:
    found = Listener(path)
    with serving(found.take) as found.base:
        yield found
