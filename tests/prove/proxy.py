"""A bad line to the provider: a proxy of HTTP/1.1 over TCP that does to each call what it is told to.

What is struck *before* never reached the provider; what is struck *after* had its effect, and the answer was lost.
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HANG_S = 60.0
TRICKLE_S = 0.02


class Fault(StrEnum):
    HANG_BEFORE = "hang, not forwarded"
    HANG_AFTER = "hang, forwarded"
    RESET_BEFORE = "reset, not forwarded"
    RESET_AFTER = "reset, forwarded"
    ERROR_BEFORE = "500, not forwarded"
    ERROR_AFTER = "500, forwarded"
    BUSY = "429"
    TRUNCATED = "connection ends within the body"
    HALF_JSON = "half of the JSON, as if whole"
    GARBAGE = "not HTTP"
    WRONG_PAGE = "200 with a page of HTML"
    TRICKLE = "a byte now and then"


class Site(StrEnum):
    CREATE = "create"
    RETRIEVE = "retrieve"
    CONFIRM = "confirm"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    GET_REFUND = "get_refund"
    LIST = "list"
    OTHER = "other"


FORWARDED = frozenset(Fault) - {Fault.HANG_BEFORE, Fault.RESET_BEFORE, Fault.ERROR_BEFORE, Fault.BUSY}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the proxy sees it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def site(self) -> Site:
        parts = self.path.strip("/").split("/")[1:]
        match (self.method, *parts):
            case ("POST", "payment_intents"):
                return Site.CREATE
            case ("GET", "payment_intents" | "refunds" | "events" | "disputes"):
                return Site.LIST
            case ("GET", "payment_intents", _):
                return Site.RETRIEVE
            case ("POST", "payment_intents", _, ("confirm" | "capture" | "cancel") as step):
                return Site(step)
            case ("POST", "refunds"):
                return Site.REFUND
            case ("GET", "refunds", _):
                return Site.GET_REFUND
        return Site.OTHER

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(errors="replace")))

    @property
    def object_id(self) -> str:
        parts = self.path.strip("/").split("/")
        return parts[2] if len(parts) > 2 else ""


Strike = Callable[[Asked], Fault | None]
Learn = Callable[[Asked, dict[str, Any]], None]


@dataclass
class Proxy:
    """``strike`` decides about each request; ``learn`` sees what the provider said, even when nobody else does."""

    upstream: str
    strike: Strike
    learn: Learn = lambda _asked, _answer: None
    struck: dict[tuple[Site, Fault], int] = field(default_factory=dict)
    url: str = ""
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> "Proxy":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=2**20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        provider: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while asked := await _request(reader):
                fault = self.strike(asked)
                if fault is not None:
                    self.struck[asked.site, fault] = self.struck.get((asked.site, fault), 0) + 1
                answer = b""
                if fault is None or fault in FORWARDED:
                    address = urlsplit(self.upstream)
                    provider = provider or await asyncio.open_connection(address.hostname, address.port, limit=2**20)
                    answer = await self._forward(asked, *provider)
                if not await _reply(fault, answer, reader, writer):
                    return
        except (OSError, asyncio.IncompleteReadError, ValueError):
            return
        finally:
            writer.transport.abort()
            if provider is not None:
                provider[1].transport.abort()

    async def _forward(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(asked.raw)
        await writer.drain()
        head, headers = await _head(reader)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if head.startswith(b"HTTP/1.1 2"):
            with suppress(ValueError):
                self.learn(asked, json.loads(body))
        return head + body


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    """The next one, or None when the client has gone."""
    try:
        head, headers = await _head(reader)
    except asyncio.IncompleteReadError:
        return None
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
    path, _, query = target.partition("?")
    return Asked(method, path, query, headers, body, head + body)


async def _head(reader: asyncio.StreamReader) -> tuple[bytes, dict[str, str]]:
    head = await reader.readuntil(b"\r\n\r\n")
    fields = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:] if line]
    return head, {name.lower(): value.strip() for name, _, value in fields}


async def _reply(
    fault: Fault | None, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """False when the connection is to end."""
    head, _, body = answer.partition(b"\r\n\r\n")
    match fault:
        case None:
            writer.write(answer)
        case Fault.HANG_BEFORE | Fault.HANG_AFTER:
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(1), HANG_S)
            return False
        case Fault.RESET_BEFORE | Fault.RESET_AFTER:
            return False
        case Fault.ERROR_BEFORE | Fault.ERROR_AFTER:
            writer.write(_made(500, b'{"error":{"type":"api_error","message":"An unknown error occurred"}}'))
        case Fault.BUSY:
            error = b'{"error":{"type":"invalid_request_error","code":"rate_limit","message":"Too many requests"}}'
            writer.write(_made(429, error))
        case Fault.TRUNCATED:
            writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
            await writer.drain()
            await asyncio.sleep(0.01)  # lets the half leave before the cut
            return False
        case Fault.HALF_JSON:
            writer.write(_made(200, body[: len(body) // 2]))
        case Fault.GARBAGE:
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00 not what was asked for\r\n\r\n")
            await writer.drain()
            return False
        case Fault.WRONG_PAGE:
            writer.write(_made(200, b"<html><h1>We are down for maintenance</h1></html>", kind=b"text/html"))
        case Fault.TRICKLE:
            for place in range(len(answer)):
                writer.write(answer[place : place + 1])
                await writer.drain()
                await asyncio.sleep(TRICKLE_S)
    await writer.drain()
    return True


def _made(status: int, body: bytes, *, kind: bytes = b"application/json") -> bytes:
    head = b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
    return head + body
