"""The bell: tells readers of the log that there is something to read. It carries nothing and may be lost.

A reader waits for the bell or one second, whichever comes first, so with the bell gone events are late and never lost.
"""

import asyncio
from contextlib import suppress
from typing import Protocol


class Bell(Protocol):
    """``ring`` never blocks and never fails."""

    def ring(self) -> None: ...

    async def wait(self, timeout_s: float) -> None:
        """Returns when it rang since the last wait, or after ``timeout_s``."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def healthy(self) -> bool: ...


class LocalBell:
    """For one process."""

    def __init__(self) -> None:
        self._rang = asyncio.Event()

    def ring(self) -> None:
        self._rang.set()

    async def wait(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._rang.wait()
        self._rang.clear()

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    async def healthy(self) -> bool:
        return True


def make_bell(redis_url: str | None) -> Bell:
    if redis_url is None:
        return LocalBell()
    from paylink.events.redis_bell import RedisBell  # noqa: PLC0415 - a single node does without the library

    return RedisBell(redis_url)
