"""A client of the event stream that reads raw bytes, as strict as a browser and without one's patience."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

WAIT_S = 20


@dataclass
class Seen:
    """One event as it came over the wire."""

    id: int
    type: str
    data: dict[str, Any]


class Ended(Exception):
    """The server ended the stream as HTTP wants it: by the last chunk, not by a reset."""


@dataclass
class Stream:
    """An open stream. ``last_id`` is what a client would send when it comes back."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: dict[str, str]
    last_id: int | None = None
    retry: int | None = None
    comments: list[str] = field(default_factory=list)
    _buffer: bytes = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """Gone without a word."""
        self.writer.transport.abort()

    async def next(self, *, within: float = WAIT_S) -> Seen:
        """The next event. Raises ``Ended`` at the stream's end, ``TimeoutError`` when none comes."""
        async with asyncio.timeout(within):
            while True:
                while b"\n\n" in self._buffer:
                    block, _, self._buffer = self._buffer.partition(b"\n\n")
                    if seen := self._parse(block.decode()):
                        return seen
                self._buffer += (await self._chunk()).replace(b"\r\n", b"\n")

    async def events(self) -> AsyncIterator[Seen]:
        while True:
            yield await self.next()

    async def opened(self) -> Self:
        """Returns when the stream is known to the server: it has said from where it goes on."""
        async with asyncio.timeout(WAIT_S):
            while b"\n\n" not in self._buffer:
                self._buffer += (await self._chunk()).replace(b"\r\n", b"\n")
        return self

    async def rest(self, *ends: type[Exception], within: float = WAIT_S) -> list[Seen]:
        """Everything that still comes until the server ends the stream; with ``ends``, in one of those ways too."""
        rest = []
        async with asyncio.timeout(within):
            try:
                async for seen in self.events():
                    rest.append(seen)
            except (Ended, *ends):
                return rest
        raise AssertionError

    async def _chunk(self) -> bytes:
        size = int((await self.reader.readline()).strip() or b"-1", 16)
        if size < 0:
            raise ConnectionResetError("the stream was cut, not ended")
        data = await self.reader.readexactly(size)
        await self.reader.readexactly(2)
        if not size:
            raise Ended
        return data

    def _parse(self, block: str) -> Seen | None:
        kind, data = "message", []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not name:
                self.comments.append(value)
            elif name == "id":
                self.last_id = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif name == "retry":
                self.retry = int(value)
            else:
                raise AssertionError(f"no field of server-sent events: {line!r}")
        if not data:
            return None
        assert self.last_id is not None
        return Seen(self.last_id, kind, json.loads("\n".join(data)))


async def connect(
    base: str,
    credential: dict[str, str],
    *,
    query: str = "",
    last_event_id: int | str | None = None,
    buffer: int = 2**16,
) -> Stream:
    """Opens a stream, or what the server says instead: see ``status``."""
    address = urlsplit(base)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=buffer)
    headers = {"Host": address.netloc, "Accept": "text/event-stream", **credential}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    lines = [f"GET /v1/events/stream{query} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(WAIT_S):
        head = await reader.readuntil(b"\r\n\r\n")
    status, *fields = head.decode().strip().split("\r\n")
    parsed = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
    return Stream(reader, writer, int(status.split()[1]), parsed)


async def until(check: Callable[[], bool], *, what: str, seconds: float = WAIT_S) -> None:
    """Lets the event loop run until ``check`` is true."""
    try:
        async with asyncio.timeout(seconds):
            while not check():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None
