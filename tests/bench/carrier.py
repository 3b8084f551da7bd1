"""A carrier that takes everything 50 ms after it was asked: served by ``tests.bench.serve``.

It speaks as the sandbox's does, and counts: ``GET /counts``.
"""

import asyncio
import json
import time
from typing import Any, Final

ANSWER_S: Final = 0.05


class Counts:
    """``first`` and ``last``: when messages came, by this process's clock, in seconds."""

    def __init__(self) -> None:
        self.taken = 0
        self.ids: set[str] = set()
        self.first = self.last = 0.0

    def take(self, message_id: str) -> None:
        self.taken += 1
        self.ids.add(message_id)
        self.last = time.monotonic()
        self.first = self.first or self.last

    def form(self) -> dict[str, float]:
        return {"taken": self.taken, "different": len(self.ids), "seconds": self.last - self.first}


counts = Counts()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] != "/_messages":
        await _answer(send, 200, counts.form())
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    message_id = json.loads(body)["id"]
    await asyncio.sleep(ANSWER_S)
    counts.take(message_id)
    await _answer(send, 202, {"message_id": f"m-{message_id}"})


async def _answer(send: Any, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
