"""Typed calls of the queue's functions: the gateway's side.

The promises are kept in `service/adapters/lua`; here are arguments, answers, and what is safe to repeat: everything.
"""

import asyncio
import time
from typing import Any, cast

from service.adapters.change_watch import ChangeWatch
from service.adapters.error_mapping import queue_errors
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import (
    figures_from_json,
    job_from_record,
    job_then,
    key_digest,
    mapping,
    request_to_json,
    stats_from_json,
    to_ms,
    trace_to_text,
    webhook_to_json,
)
from service.adapters.redis_server import connect_async
from service.domain.job import Job, JobId, NewJob
from service.ports.queue import CancelVerdict, Enqueued, QueueFigures, QueueStats, RoomVerdict

_POLL_SECONDS = 1.0


class RedisJobIntake:
    """JobIntake; belongs to one event loop.

    Attributes:
        watch: the process' one listener to changes, for whoever else follows jobs; closed with this.
    """

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._keys, self._policy = keys, policy
        self._are_waits_over = False
        self.watch = ChangeWatch(url, keys.changes)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.watch.aclose()
        await self._client.aclose()

    async def enqueue(self, job: NewJob) -> Enqueued:
        """As the port says; a repeat inside the client after a broken connection may turn `ok` into `dup`."""
        bounds = (self._policy.max_live, self._policy.max_live_per_tenant)
        verdict, job_id, *_ = await self._call(
            "q1_enqueue",
            job.id,
            job.rows,
            job.cost,
            job.tenant,
            job.priority,
            to_ms(job.deadline_seconds),
            request_to_json(job.request),
            to_ms(job.retention_seconds),
            key_digest(job.idempotency),
            job.idempotency.fingerprint if job.idempotency else "",
            to_ms(job.forecast_seconds),
            # Batches leave half of the queue to others, and half of their tenant's part of it.
            *((max(1, bound // 2) for bound in bounds) if job.batch else bounds),
            webhook_to_json(job.webhook),
            *((job.batch.batch_id, job.batch.index, job.batch.custom_id) if job.batch else ("", "", "")),
            trace_to_text(job.trace),
        )
        return Enqueued(verdict, job_id)

    async def room(self, tenant: str) -> RoomVerdict:
        """As the port says."""
        return await self._call("q1_room", tenant, self._policy.max_live, self._policy.max_live_per_tenant)

    async def read(self, job_id: JobId) -> Job | None:
        """As the port says; with several tenants or classes, what is ahead of the job is an estimate."""
        fields, position, work_ahead, *_ = await self._call("q1_read", job_id)
        record = mapping(fields)
        return job_from_record(job_id, record, position, work_ahead) if record else None

    async def cancel(self, job_id: JobId, tenant: str) -> CancelVerdict:
        """As the port says; another tenant's job is `notfound`."""
        return await self._call("q1_cancel", job_id, tenant)

    async def wait_for_end(self, job_id: JobId, timeout_seconds: float) -> Job | None:
        """As the port says; StorageError as soon as the queue does not answer."""
        give_up_at, num_cancels = time.monotonic() + timeout_seconds, _num_cancels()
        await self.watch.start()
        while True:
            # Before the job is read: an end that comes while it is may not be in what was read.
            with self.watch.end_of(job_id) as ended:
                fields, position, work_ahead, *_ = await self._call("q1_read", job_id)
                record = mapping(fields)
                job = job_from_record(job_id, record, position, work_ahead) if record else None
                left = give_up_at - time.monotonic()
                if job is None or job.status.is_final or left <= 0 or self._are_waits_over:
                    return job
                _leave_if_cancelled(num_cancels)
                await asyncio.wait({ended}, timeout=min(left, _POLL_SECONDS))
                if ended.done() and (shown := ended.result()):
                    return job_then(job_id, record, shown, 0, 0)

    def end_waits(self) -> None:
        """As the port says."""
        self._are_waits_over = True
        self.watch.wake_all()

    async def stats(self) -> QueueStats:
        """As the port says."""
        return stats_from_json(await self._call("q1_stats"))

    async def figures(self) -> QueueFigures:
        """As the port says."""
        return figures_from_json(await self._call("q1_figures"))

    async def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", await self._client.fcall(function, 1, self._keys.prefix, *arguments))


def _num_cancels() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else 0


def _leave_if_cancelled(num_cancels_before: int) -> None:
    """Raise if a cancel was swallowed: Python 3.11's `asyncio.wait_for`, with which the client sends, may do that."""
    if _num_cancels() > num_cancels_before:
        raise asyncio.CancelledError
