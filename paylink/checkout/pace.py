"""How often something may be done about the same thing, in this process. Keeps a bounded memory."""

import time
from collections.abc import Callable, Hashable
from typing import Final

# Some megabytes at most; past it the oldest are forgotten, which allows one time too many and harms nothing.
REMEMBERED: Final = 20_000


class Pace:
    """``due(key)`` is true at most once in ``every_s`` seconds for the same key."""

    def __init__(self, every_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._done: dict[Hashable, float] = {}

    def due(self, key: Hashable) -> bool:
        now, last = self._clock(), self._done.pop(key, None)
        if last is not None and now - last < self._every_s:
            self._done[key] = last
            return False
        self._done[key] = now
        while len(self._done) > REMEMBERED:
            del self._done[next(iter(self._done))]
        return True
