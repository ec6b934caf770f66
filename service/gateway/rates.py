"""How often, and how many at a time, a key may call one gateway.

Counted in this process: a limit that every request had to write to a disk first would cost more than the request.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from service.domain.access import Caller, CallerLimits
from service.domain.errors import OverloadedError

_MAX_REMEMBERED = 10_000
_MINUTE_SECONDS = 60.0
_MAX_FOLLOWED = 100


@dataclass(frozen=True)
class RateState:
    """Where a caller stands after a request.

    Attributes:
        limits: the caller's.
        remaining: requests that may come now.
        reset_seconds: until as many may come as ever.
    """

    limits: CallerLimits
    remaining: int
    reset_seconds: float


class RateLimitedError(OverloadedError):
    """`rate_limited`: this request is not counted.

    Attributes:
        state: where the caller stands.
    """

    def __init__(self, detail: str, retry_after_seconds: float, state: RateState) -> None:
        super().__init__("rate_limited", detail, retry_after_seconds)
        self.state = state


class Rates:
    """The counters of one gateway."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # When the bucket of a key will be full again: all that the generic cell rate algorithm keeps.
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._waiting: Counter[str] = Counter()
        self._following: Counter[str] = Counter()

    def take(self, caller: Caller) -> RateState | None:
        """Count a request; None for a caller without limits.

        Raises:
            RateLimitedError: with the time after which there is room again.
        """
        limits = caller.limits
        if limits is None:
            return None
        now, pause = self._now(), _MINUTE_SECONDS / limits.requests_per_minute
        full_at = max(now, self._full_at.get(caller.key_id, now)) + pause
        excess = full_at - now - limits.burst * pause
        if excess > 1e-9:  # What adding up pauses may be off by.
            detail = f"this key may send {limits.requests_per_minute} requests a minute, {limits.burst} of them at once"
            raise RateLimitedError(detail, excess, RateState(limits, 0, full_at - pause - now))
        self._full_at[caller.key_id] = full_at
        self._full_at.move_to_end(caller.key_id)
        if len(self._full_at) > _MAX_REMEMBERED:
            self._full_at.popitem(last=False)
        return RateState(limits, int((limits.burst * pause - (full_at - now)) / pause + 1e-9), full_at - now)

    @contextmanager
    def waiting(self, caller: Caller) -> Generator[None]:
        """Count a call that waits for a job, for as long as the block lasts.

        Raises:
            OverloadedError: `concurrency_limited`.
        """
        with _counted(self._waiting, caller, caller.limits.max_waiting if caller.limits else 0, "waiting for"):
            yield

    @contextmanager
    def following(self, caller: Caller) -> Generator[None]:
        """Count a stream of a job's events, likewise."""
        with _counted(self._following, caller, _MAX_FOLLOWED, "following"):
            yield


@contextmanager
def _counted(counter: Counter[str], caller: Caller, most: int, doing: str) -> Generator[None]:
    if caller.limits is None:
        yield
        return
    if counter[caller.key_id] >= most:
        raise OverloadedError("concurrency_limited", f"{most} calls of this key are {doing} jobs, which is the most")
    counter[caller.key_id] += 1
    try:
        yield
    finally:
        counter[caller.key_id] -= 1
        if not counter[caller.key_id]:
            del counter[caller.key_id]
