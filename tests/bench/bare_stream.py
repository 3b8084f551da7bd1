"""The peer of the streams: sse-starlette with a queue per stream, and nothing else. No log, no database, no sign-in."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from sse_starlette import EventSourceResponse

app = FastAPI()
queues: dict[str, asyncio.Queue[str]] = {}


@app.get("/stream/{name}")
async def stream(name: str) -> EventSourceResponse:
    queue = queues[name] = asyncio.Queue()

    async def events() -> AsyncIterator[dict[str, str]]:
        yield {"comment": "open"}
        while True:
            yield {"event": "told", "data": await queue.get()}

    return EventSourceResponse(events(), ping=15)


@app.post("/tell/{name}")
async def tell(name: str, request: Request) -> None:
    queues[name].put_nowait(json.dumps(await request.json()))


@app.get("/healthz")
async def healthz() -> str:
    return "ok"
