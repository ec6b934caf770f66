"""Typed calls of the queue's functions: the gateway's, the worker's and upkeep's side.

The promises are kept in `redis_functions.lua`; here are arguments, answers, and what is safe to repeat: everything.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.client import PubSub

from service.adapters.end_watch import EndWatch
from service.adapters.error_mapping import queue_errors
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import (
    claimed_jobs_from_json,
    job_from_record,
    request_to_json,
    result_to_json,
)
from service.adapters.redis_server import connect, connect_async
from service.domain.job import ClaimedJob, Job, JobFailure, JobId, NewJob, Progress
from service.domain.result import JobResult
from service.ports.queue import EnqueueVerdict, FinishVerdict, LeaseVerdict, QueueStats, ReleaseVerdict

_POLL_SECONDS = 1.0
# One call stays below 5 ms of the server's time.
_MAX_REAPED = 200


class RedisJobIntake:
    """JobIntake; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._keys, self._policy = keys, policy
        self._watch = EndWatch(url, keys.events)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._watch.aclose()
        await self._client.aclose()

    async def enqueue(self, job: NewJob) -> EnqueueVerdict:
        """As the port says; a repeat inside the client after a broken connection may turn `ok` into `dup`."""
        with queue_errors():
            return await self._client.fcall(
                "q1_enqueue",
                1,
                self._keys.prefix,
                job.id,
                job.rows,
                request_to_json(job.request),
                self._policy.max_live,
                _ms(self._policy.retention_seconds),
            )

    async def read(self, job_id: JobId) -> Job | None:
        """As the port says."""
        calls = self._client.pipeline(transaction=False)
        calls.hgetall(self._keys.job(job_id))
        calls.zrank(self._keys.suspects, job_id)
        calls.zrank(self._keys.ready, job_id)
        with queue_errors():
            record, suspect_rank, ready_rank = await calls.execute()
        return job_from_record(job_id, record, suspect_rank or ready_rank or 0) if record else None

    async def wait_for_end(self, job_id: JobId, timeout_seconds: float) -> Job | None:
        """As the port says; StorageError as soon as the queue does not answer."""
        give_up_at = time.monotonic() + timeout_seconds
        await self._watch.start()
        with self._watch.ends_of(job_id) as ended:
            while True:
                job = await self.read(job_id)
                left = give_up_at - time.monotonic()
                if job is None or job.status.is_final or left <= 0:
                    return job
                try:
                    await asyncio.wait_for(ended.wait(), min(left, _POLL_SECONDS))
                except TimeoutError:
                    continue

    async def stats(self) -> QueueStats:
        """As the port says."""
        with queue_errors():
            queued, running, oldest_ms = await self._client.fcall("q1_stats", 1, self._keys.prefix)
        return QueueStats(queued, running, max(0.0, oldest_ms / 1000))


class RedisJobLeases:
    """JobLeases of one worker; `wait_for_work` belongs to one thread, the other calls to any."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Each instance is a worker of its own to the queue; connects with the first call."""
        self._client = connect(url)
        self._keys, self._policy = keys, policy
        self._worker = uuid.uuid4().hex
        self._claim_number = 1
        self._wake: PubSub | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._wake:
            self._wake.close()
        self._client.close()

    def claim(self, free_rows: int, num_running: int) -> Sequence[ClaimedJob]:
        """As the port says."""
        answer = self._call(
            "q1_claim",
            self._worker,
            self._claim_number,
            free_rows,
            num_running,
            _ms(self._policy.lease_seconds),
        )
        # Only an answer moves the number on: after a lost one, the next claim gets the same jobs.
        self._claim_number += 1
        return claimed_jobs_from_json(answer)

    def wait_for_work(self, timeout_seconds: float) -> None:
        """As the port says; returns at once when it has just subscribed, as a wake-up may have gone before."""
        with queue_errors():
            if self._wake is None:
                wake = self._client.pubsub(ignore_subscribe_messages=True)
                wake.subscribe(self._keys.wake)
                # The server's confirmation: every wake-up from here on is ours.
                wake.get_message(timeout=timeout_seconds)
                self._wake = wake
            else:
                self._wake.get_message(timeout=timeout_seconds)
                # Wake-ups from while we were busy are one reason to look, not many.
                while self._wake.get_message(timeout=0) is not None:
                    pass

    def heartbeat(self, jobs: Mapping[JobId, tuple[int, Progress]]) -> Mapping[JobId, LeaseVerdict]:
        """As the port says."""
        reports = [
            argument
            for job_id, (fence, progress) in jobs.items()
            for argument in (job_id, fence, progress.stage, progress.step)
        ]
        verdicts = self._call(
            "q1_heartbeat",
            _ms(self._policy.lease_seconds),
            _ms(self._policy.stall_timeout_seconds),
            self._policy.max_deliveries,
            *reports,
        )
        return dict(zip(jobs, verdicts, strict=True))

    def succeed(self, job_id: JobId, result: JobResult) -> FinishVerdict:
        """As the port says."""
        return self._finish(job_id, result.fence, "succeeded", result_to_json(result), "")

    def fail(self, job_id: JobId, fence: int, failure: JobFailure, *, may_retry: bool) -> FinishVerdict:
        """As the port says; a retry waits between nothing and the policy's delay, so that retries spread."""
        return self._finish(job_id, fence, "retry" if may_retry else "failed", failure.code, failure.detail)

    def release(self, job_id: JobId, fence: int) -> ReleaseVerdict:
        """As the port says."""
        return self._call("q1_release", job_id, fence)[0]

    def _finish(self, job_id: JobId, fence: int, outcome: str, value: str, detail: str) -> FinishVerdict:
        delay_ms = _ms(random.uniform(0, self._policy.retry_delay_seconds))
        return self._call("q1_finish", job_id, fence, outcome, value, detail, self._policy.max_failures, delay_ms)[0]

    def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", self._client.fcall(function, 1, self._keys.prefix, *arguments))


class RedisJobUpkeep:
    """JobUpkeep; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._keys, self._policy = keys, policy

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reap(self, deleted: Sequence[JobId]) -> Sequence[JobId]:
        """As the port says."""
        with queue_errors():
            *_, deletable = await self._client.fcall(
                "q1_reap",
                1,
                self._keys.prefix,
                _MAX_REAPED,
                _ms(self._policy.lease_seconds),
                self._policy.max_deliveries,
                *deleted,
            )
        return tuple(deletable)


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
