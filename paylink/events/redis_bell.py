"""The bell across processes, by Redis pub/sub."""

import asyncio

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from paylink.events.bus import LocalBell

CHANNEL = "paylink:events"
RECONNECT_S = 1.0
SOCKET_TIMEOUT_S = 2.0

log = structlog.get_logger(__name__)


class RedisBell:
    """Rings in every process that shares the Redis server, and at once in this one."""

    def __init__(self, url: str) -> None:
        self._local = LocalBell()
        self._redis = Redis.from_url(url, socket_timeout=SOCKET_TIMEOUT_S, socket_connect_timeout=SOCKET_TIMEOUT_S)
        self._to_publish = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def ring(self) -> None:
        self._local.ring()
        self._to_publish.set()

    async def wait(self, timeout_s: float) -> None:
        await self._local.wait(timeout_s)

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._publish(), name="bell-publish"),
            asyncio.create_task(self._listen(), name="bell-listen"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def healthy(self) -> bool:
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def _publish(self) -> None:
        """One message for all rings since the last: what happened in between is found in the log."""
        while True:
            await self._to_publish.wait()
            self._to_publish.clear()
            try:
                await self._redis.publish(CHANNEL, b"")
            except (RedisError, OSError) as error:
                log.warning("bell_not_published", error=type(error).__name__)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    self._local.ring()  # whatever rang while nobody listened
                    while True:
                        if await pubsub.get_message(ignore_subscribe_messages=True, timeout=None) is not None:
                            self._local.ring()
            except (RedisError, OSError) as error:
                log.warning("bell_not_heard", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_S)
