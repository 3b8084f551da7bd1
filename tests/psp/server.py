"""A real HTTP server on loopback that answers as scripted and keeps what it was asked."""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from paylink.config import StripeSettings

SECRET = "whsec_current"
OLD_SECRET = "whsec_old"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    params: dict[str, str]

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


@dataclass(frozen=True)
class Answer:
    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Reset:
    """The connection is torn down instead of an answer."""


class Silence:
    """No answer until the caller gives up."""


class Drip:
    """A byte now and then, for ever: no single read takes long."""


@dataclass(frozen=True)
class CutOff:
    """A head that promises more than comes."""

    raw: bytes = b'{"id": "pi_1", "object": "payme'


Behaviour = Answer | Reset | Silence | Drip | CutOff


class StripeServer:
    """Plays ``script`` one answer per request; the last one again and again."""

    def __init__(self) -> None:
        self.script: deque[Behaviour] = deque()
        self.requests: list[Request] = []
        self.url = ""
        self.gone = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def play(self, *script: Behaviour) -> None:
        self.script = deque(script)

    @property
    def settings(self) -> StripeSettings:
        return StripeSettings(
            secret_key="sk_test_loopback",
            publishable_key="pk_test_loopback",
            webhook_secrets=(SECRET, OLD_SECRET),
            api_base=self.url,
            js_url=f"{self.url}/stripe.js",
        )

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def stop(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(await _read(reader))
        behaviour = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if isinstance(behaviour, Answer):
            writer.write(_head(behaviour.status, len(behaviour.raw), behaviour.headers) + behaviour.raw)
            await writer.drain()
            return True
        if isinstance(behaviour, Reset):
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif isinstance(behaviour, CutOff):
            writer.write(_head(200, len(behaviour.raw) + 100, {}) + behaviour.raw)
            await writer.drain()
        elif isinstance(behaviour, Drip):
            writer.write(_head(200, 10_000_000, {}))
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        else:
            await reader.read()
            self.gone.set()
        return False


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    return Request(method, url.path, headers, dict(parse_qsl(body or url.query, keep_blank_values=True)))


def _head(status: int, length: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {length}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in {"Request-Id": "req_test1", **headers}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@asynccontextmanager
async def stripe_server() -> AsyncIterator[StripeServer]:
    double = StripeServer()
    server = await asyncio.start_server(double.connected, "127.0.0.1", 0)
    double.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield double
    finally:
        server.close()
        await double.stop()
        await server.wait_closed()
