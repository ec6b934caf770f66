"""Clients of the queue's server that say how long each call of a function lasted, to whoever listens in this process.

What is done with that is the listener's; what a call means is its caller's.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio

Listener = Callable[[str, float], object]
_PREFIX = "q1_"
_listener: Listener | None = None


def listen_to_calls(listener: Listener | None) -> None:
    """From now on tell this one, and nobody else, a function's name without `q1_`, and seconds; None tells nobody.

    A call that failed is told too: it has kept its caller waiting.
    """
    global _listener  # noqa: PLW0603 - a process has one set of metrics, and clients in a dozen places
    _listener = listener


class ThreadedRedis(redis.Redis):
    """The client for threads."""

    def fcall(self, function: str, numkeys: int, *keys: Any) -> Any:
        """As of the library."""
        with _timed(function):
            return super().fcall(function, numkeys, *keys)


class AsyncRedis(redis.asyncio.Redis):
    """The client for coroutines."""

    async def fcall(self, function: str, numkeys: int, *keys: Any) -> Any:
        """As of the library."""
        with _timed(function):
            return await super().fcall(function, numkeys, *keys)


@contextmanager
def _timed(function: str) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        if _listener:
            _listener(function.removeprefix(_PREFIX), time.perf_counter() - started)
