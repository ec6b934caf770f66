"""Typed calls of the queue's functions: the worker's side.

The promises are kept in `service/adapters/lua`; here are arguments, answers, and what is safe to repeat: everything.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import redis
from redis.client import PubSub

from service.adapters.error_mapping import queue_errors
from service.adapters.queue_policy import QueuePolicy
from service.adapters.reader_name import reader_name
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import Claimed, claimed_from_json, result_to_json, to_ms
from service.adapters.redis_server import CALL_TIMEOUT_SECONDS, connect
from service.domain.errors import StorageError
from service.domain.job import ClaimedJob, JobFailure, JobId, Progress
from service.domain.result import JobResult
from service.ports.queue import FinishVerdict, LeaseVerdict, News, ReleaseVerdict
from service.telemetry.logs import get_logger

# A heartbeat without an answer must leave time for another one before the lease ends, also if its connection broke and
# it was tried twice.
_HEARTBEAT_OF_LEASE = 0.15
_UNREADABLE = JobFailure("internal_error", "the stored request can't be read")
# A job that this version can't do waits for so much of a lease before it is handed out again.
_ASIDE_OF_LEASE = 1 / 3
# So often in a row an answer may hold nothing that this worker can do; what is behind that gets the next claim.
_MAX_ASKED = 50
_ANY_NEWS: frozenset[News] = frozenset({"work", "cancel"})


class RedisJobLeases:
    """JobLeases of one worker; `wait_for_news` belongs to one thread, the other calls to any."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy, name: str = "") -> None:
        """Each instance is a worker of its own to the queue; connects with the first call.

        Args:
            url: of the server.
            keys: of the queue.
            policy: of the queue.
            name: of no other worker that lives, for `bury_predecessor`; no colon.
        """
        self._client = connect(url)
        heartbeat_timeout_seconds = min(CALL_TIMEOUT_SECONDS, _HEARTBEAT_OF_LEASE * policy.lease_seconds)
        self._heartbeat_client = connect(url, heartbeat_timeout_seconds)
        self._keys, self._policy = keys, policy
        self._name = name
        self._worker = f"{name}:{uuid.uuid4().hex}" if name else uuid.uuid4().hex
        self._aside_ms = to_ms(_ASIDE_OF_LEASE * policy.lease_seconds)
        self._claim_number = 1
        self._news: PubSub | None = None

    def close(self) -> None:
        """Close the connections."""
        if self._news:
            self._news.close()
        self._heartbeat_client.close()
        self._client.close()

    def bury_predecessor(self, age_seconds: float) -> int:
        """Have the jobs that an ended worker of this name held wait again; returns how many, 0 without a name.

        Each counts as lost, as when its lease had run out.

        Args:
            age_seconds: for how long this worker has been there. If another one of its name has renewed a lease since
                then, that one lives: nothing changes.

        Raises:
            StorageError: `queue_unavailable`.
        """
        if not self._name:
            return 0
        lease_ms, age_ms = to_ms(self._policy.lease_seconds), to_ms(age_seconds)
        buried = int(self._call("q1_bury", self._name, self._policy.max_deliveries, lease_ms, age_ms))
        if buried < 0:
            get_logger().warning(
                "another worker has this name and lives; give each its own XMDPT_WORKER__NAME, or none", name=self._name
            )
        return max(0, buried)

    def claim(self, free_rows: int, num_running: int) -> Sequence[ClaimedJob]:
        """As the port says; after a claim that raised, the next one gets what that one took, also with no free rows.

        What only a newer version can do is handed back, and does not keep this worker from what is behind it.
        """
        for _ in range(_MAX_ASKED):
            claimed = self._ask(free_rows, num_running)
            self._hand_back(claimed)
            if claimed.jobs or not claimed.may_be_more:
                return claimed.jobs
        return ()

    def _ask(self, free_rows: int, num_running: int) -> Claimed:
        answer = self._call(
            "q1_claim",
            self._worker,
            self._claim_number,
            free_rows,
            num_running,
            to_ms(self._policy.lease_seconds),
            reader_name(),
            self._aside_ms,
        )
        # Only an answer moves the number on: after a lost one, the next claim gets the same jobs.
        self._claim_number += 1
        return claimed_from_json(answer)

    def _hand_back(self, claimed: Claimed) -> None:
        # Unsaid, its lease runs out; the others must not be lost with it.
        with suppress(StorageError):
            for job_id, fence in claimed.newer.items():
                self._set_aside(job_id, fence)
            for job_id, fence in claimed.unreadable.items():
                self.fail(job_id, fence, _UNREADABLE, may_retry=True)

    def wait_for_news(self, timeout_seconds: float) -> frozenset[News]:
        """As the port says; news of every kind where some may have been missed: first, and after a broken line."""
        found: set[News] = set()
        with queue_errors():
            if self._news is None:
                subscribed = self._client.pubsub()
                subscribed.subscribe(self._keys.wake, self._keys.cancel)
                self._news = subscribed
                timeout_seconds = min(timeout_seconds, CALL_TIMEOUT_SECONDS)
            message = self._news.get_message(timeout=timeout_seconds)
            # What came while we were busy is one reason to look, not many.
            while message is not None:
                found |= self._news_of(message)
                message = self._news.get_message(timeout=0)
        return frozenset(found)

    def heartbeat(self, jobs: Mapping[JobId, tuple[int, Progress]]) -> Mapping[JobId, LeaseVerdict]:
        """As the port says."""
        reports = [
            argument
            for job_id, (fence, progress) in jobs.items()
            for argument in (job_id, fence, progress.stage, progress.step)
        ]
        verdicts = self._call(
            "q1_heartbeat",
            to_ms(self._policy.lease_seconds),
            to_ms(self._policy.stall_timeout_seconds),
            self._policy.max_deliveries,
            *reports,
            client=self._heartbeat_client,
        )
        return dict(zip(jobs, verdicts, strict=True))

    def succeed(self, job_id: JobId, result: JobResult) -> FinishVerdict:
        """As the port says."""
        return self._finish(job_id, result.fence, "succeeded", result_to_json(result), "")

    def fail(self, job_id: JobId, fence: int, failure: JobFailure, *, may_retry: bool) -> FinishVerdict:
        """As the port says; a retry waits between nothing and the policy's delay, so that retries spread."""
        return self._finish(job_id, fence, "retry" if may_retry else "failed", failure.code, failure.detail)

    def end_cancelled(self, job_id: JobId, fence: int) -> FinishVerdict:
        """As the port says; `fenced` if nobody has asked for it."""
        return self._finish(job_id, fence, "cancelled", "", "")

    def release(self, job_id: JobId, fence: int) -> ReleaseVerdict:
        """As the port says."""
        return _verdict(self._call("q1_release", job_id, fence))

    def _set_aside(self, job_id: JobId, fence: int) -> None:
        """Leave it, unharmed, to a worker of its version; no worker of this one is given it again."""
        get_logger().warning("job left to a newer version", job=job_id)
        self._call("q1_release", job_id, fence, self._aside_ms, reader_name())

    def _finish(self, job_id: JobId, fence: int, outcome: str, value: str, detail: str) -> FinishVerdict:
        delay_ms = to_ms(random.uniform(0, self._policy.retry_delay_seconds))
        limits = self._policy.max_failures, delay_ms, self._policy.max_deliveries
        return _verdict(self._call("q1_finish", job_id, fence, outcome, value, detail, *limits))

    def _news_of(self, message: Mapping[str, Any]) -> frozenset[News]:
        # The server's confirmation, which also comes after a broken connection: only from here on nothing is missed.
        if message["type"] != "message":
            return _ANY_NEWS
        return frozenset({"work" if message["channel"] == self._keys.wake else "cancel"})

    def _call(self, function: str, *arguments: str | int, client: redis.Redis | None = None) -> Any:
        with queue_errors():
            return cast("Any", (client or self._client).fcall(function, 1, self._keys.prefix, *arguments))


def _verdict(answer: Sequence[Any]) -> Any:
    """The verdict; `already` names the one that the same call was given before."""
    return answer[-1]
