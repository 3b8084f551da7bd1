"""Rate limits: per process in memory, shared by all nodes through Redis where there is one and it answers."""

import math
import time
from contextlib import suppress

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from paylink.errors import TooManyRequests

log = structlog.get_logger(__name__)

# What one address, one account, one key or one link may do. Named by what is counted.
# A contact centre sits behind one address, and signs in when its shift begins.
SIGN_IN_BY_ADDRESS = parse("120/minute")
SIGN_IN_BY_EMAIL = parse("10/minute")
API_BY_KEY = parse("6000/minute")
# A test message costs what any message costs, and could be used to pester somebody.
TEST_SENDS = parse("10/minute")
# A mobile network has thousands of people behind one address: these bound a robot, the ones by session a person.
CHECKOUT_BY_ADDRESS = parse("600/minute")
BEACONS_BY_SESSION = parse("120/minute")
# Card testing is stopped here: a person needs a few tries, a robot thousands.
PAY_BY_SESSION = parse("20/hour")
PAY_BY_ADDRESS = parse("300/hour")
# Messages that a customer has sent to addresses of their own choice: enough for a slip of the thumb, and too few to
# make money with texts to numbers that pay whoever owns them.
SWITCHES_BY_SESSION = parse("5/hour")
SWITCHES_BY_LINK = parse("10/hour")
SWITCHES_BY_ADDRESS = parse("30/hour")
# Coming back to a page, its language, a report.
MOVES_BY_SESSION = parse("60/hour")


class Limits:
    """``hit`` counts one and raises ``TooManyRequests`` when that is one too many."""

    def __init__(self, *, enabled: bool, redis_url: str | None) -> None:
        self._enabled = enabled
        self._here = self._shared = MovingWindowRateLimiter(MemoryStorage())
        if redis_url:
            storage = RedisStorage(f"async+{redis_url}", implementation="redispy")
            self._shared = MovingWindowRateLimiter(storage)

    async def hit(self, rule: RateLimitItem, *key: str) -> None:
        if not self._enabled:
            return
        try:
            reset_at = await _hit(self._shared, rule, *key)
        except Exception as error:  # each storage has errors of its own
            log.warning("rate_limit_not_shared", error=type(error).__name__)
            reset_at = await _hit(self._here, rule, *key)
        if reset_at is not None:
            wait = max(1, math.ceil(reset_at - time.time()))
            raise TooManyRequests(f"Too many tries; please wait {wait} seconds", retry_after=wait)

    async def forgive(self, rule: RateLimitItem, *key: str) -> None:
        """Counts from nought again, once a guess has turned out to be none."""
        if not self._enabled:
            return
        for limiter in {self._here, self._shared}:
            with suppress(Exception):  # as above
                await limiter.clear(rule, *key)


async def _hit(limiter: MovingWindowRateLimiter, rule: RateLimitItem, *key: str) -> float | None:
    """Counts one. When that is one too many: the time, in seconds since 1970, at which there is room again."""
    if await limiter.hit(rule, *key):
        return None
    return (await limiter.get_window_stats(rule, *key)).reset_time
