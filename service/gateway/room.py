"""Whether the queue has room, and what a call is told that finds none.

Who asks first learns it from the queue's refusal of its job; those after it are spared the work up to there.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from service.domain.errors import OverloadedError, StorageError
from service.gateway.forecast import Forecasts
from service.gateway.patience import queue_answers_within
from service.ports.queue import JobIntake
from service.telemetry.metrics import GatewayMetrics
from service.telemetry.spans import part

# After a refusal room is asked for so long; at other times that would cost every call more than it saves a few.
_ASKING_SECONDS = 1.0
_MAX_ASKED_SECONDS = 0.25


class Room:
    """Of one gateway."""

    def __init__(
        self,
        intake: JobIntake,
        forecasts: Forecasts,
        metrics: GatewayMetrics,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake, self._forecasts, self._metrics, self._now = intake, forecasts, metrics, now
        self._ask_until = 0.0

    async def check(self, tenant: str, idempotency_key: str | None) -> None:
        """For a call that brings a new job, before its body is read: where jobs are being refused, so is it, at once.

        A call with a key may repeat one whose job is there, and needs no room then: it goes on.

        Raises:
            OverloadedError: `overloaded`, `tenant_queue_full`.
        """
        if idempotency_key is not None or self._now() >= self._ask_until:
            return
        verdict = "ok"
        # A queue that does not answer is for the call itself to find.
        with part("room"), suppress(StorageError):
            async with queue_answers_within(_MAX_ASKED_SECONDS):
                verdict = await self._intake.room(tenant)
        if verdict != "ok":
            raise await self.refusal(verdict)

    async def refusal(self, verdict: Literal["full", "quota", "closed"]) -> OverloadedError:
        """What the caller is told, and when to come again."""
        self._ask_until = self._now() + _ASKING_SECONDS
        self._metrics.admission_rejected.labels(verdict).inc()
        seconds = await self._forecasts.retry_after_seconds()
        if verdict == "quota":
            return OverloadedError("tenant_queue_full", "too many of your jobs are waiting; nothing was kept", seconds)
        return OverloadedError("overloaded", "too many jobs are waiting; nothing was kept, try again later", seconds)
