"""A small HTTP/1.1 client on ``asyncio.Protocol``: what is left out is what would blur the measurement."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import urlsplit

Address = tuple[str, int]


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection(asyncio.Protocol):
    """One request at a time; an answer is over when its ``Content-Length`` (or a 204) says so."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._buffer = b""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    async def send(self, message: bytes) -> int:
        """The status of the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Pool:
    """As many connections as there are requests under way: an open loop never waits for a free one."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: list[Connection] = []
        self._all: list[Connection] = []

    async def send(self, message: bytes) -> int:
        # Last in, first out: what lies at the bottom is closed by the server when it was idle for long.
        connection = self._idle.pop() if self._idle else await self._open()
        if connection.lost:
            self._idle.clear()
            connection = await self._open()
        try:
            return await connection.send(message)
        finally:
            self._idle.append(connection)

    async def fill(self, count: int) -> None:
        self._idle += [await self._open() for _ in range(count)]

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    async def _open(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._address)
        self._all.append(connection)
        return connection


class Stream(asyncio.Protocol):
    """An event stream. ``heard`` gets each event's bytes and when they arrived, by ``time.perf_counter``."""

    def __init__(self, message: bytes, heard: Callable[[bytes, float], None]) -> None:
        self._message = message
        self._heard = heard
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.opened.done():
            self._begin(data)
        self._buffer = (self._buffer + data).replace(b"\r\n", b"\n")  # a server may end its lines in either way
        while (end := self._buffer.find(b"\n\n")) >= 0:
            event, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
            if b"data: " in event:
                self._heard(event, now)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionResetError())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _begin(self, data: bytes) -> None:
        if data[9:12] == b"200":
            self.opened.set_result(None)
        else:
            self.opened.set_exception(RuntimeError(f"the stream was refused: {data[:200]!r}"))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
