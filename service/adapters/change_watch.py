"""Wakes those who follow a job: one subscription for all of a process' waiters.

It does not read jobs, and it is only a hint: a waiter looks again each second anyhow.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.asyncio.client import PubSub

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_records import mapping
from service.adapters.redis_server import CALL_TIMEOUT_SECONDS, connect_async
from service.adapters.task_end import end_task
from service.domain.errors import StorageError
from service.domain.job import JobId
from service.telemetry.logs import get_logger
from service.telemetry.spans import leave

_SILENCE_SECONDS = 5.0
_OUTAGE_PAUSE_SECONDS = 0.25
_FAULT_PAUSE_SECONDS = 1.0
_ENDS = frozenset({"job.succeeded", "job.failed", "job.cancelled"})

Ended = asyncio.Future[Mapping[str, str]]
"""Done at a job's end, with those fields of its record that change, as they are then; empty if they were not told."""


class ChangeWatch:
    """Follows the channel from the first `start` on, in the event loop of that call."""

    def __init__(self, url: str, channel: str) -> None:
        self._client = connect_async(url)
        self._channel = channel
        self._followers: dict[JobId, set[asyncio.Event]] = {}
        self._waiters: dict[JobId, set[Ended]] = {}
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Be sure that no change after this call is missed; StorageError if the queue does not answer."""
        with queue_errors():
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS), self._starting:
                if self._task is None:
                    news = await self._subscribed()
                    self._task = asyncio.create_task(self._follow(news), name="change watch")

    async def aclose(self) -> None:
        """Stop following; who still waits is left to its timeout."""
        if self._task:
            await end_task(self._task)
        await self._client.aclose()

    @contextmanager
    def changes_of(self, job_id: JobId) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the job; whoever looks at the job clears it first."""
        changed = asyncio.Event()
        with _listed(self._followers, job_id, changed):
            yield changed

    @contextmanager
    def end_of(self, job_id: JobId) -> Iterator[Ended]:
        """What is done at the job's end."""
        ended: Ended = asyncio.get_running_loop().create_future()
        with _listed(self._waiters, job_id, ended):
            yield ended

    def wake_all(self) -> None:
        """Let all who wait for an end look again."""
        for waiters in self._waiters.values():
            _tell_all(waiters, {})

    async def _subscribed(self) -> PubSub:
        news = self._client.pubsub()
        try:
            await news.subscribe(self._channel)
            if await news.get_message(timeout=CALL_TIMEOUT_SECONDS) is None:
                raise redis.TimeoutError
        except BaseException:
            await _close(news)
            raise
        return news

    async def _follow(self, news: PubSub) -> None:
        # It outlives the request that was the first to wait.
        leave()
        while True:
            try:
                with queue_errors():
                    await self._hear_all(news)
            except StorageError:
                # The waiters' own reads report the outage.
                news = await self._again(news)
                self._wake_everybody()
            except Exception:
                # Ended, it would slow down every waiter from now on, and nobody would learn of it.
                get_logger().exception("change_watch_failed")
                await asyncio.sleep(_FAULT_PAUSE_SECONDS)

    async def _hear_all(self, news: PubSub) -> None:
        """Until the line breaks."""
        is_asked = False
        while True:
            message = await news.get_message(timeout=_SILENCE_SECONDS)
            if message is not None:
                is_asked = False
                self._hear(message)
            elif is_asked:
                raise redis.TimeoutError
            else:
                # Of a line that is dead at its other end nothing comes, not even that it is.
                await news.ping()
                is_asked = True

    async def _again(self, news: PubSub) -> PubSub:
        """A new subscription, once the queue is there."""
        while True:
            await _close(news)
            await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
            try:
                with queue_errors():
                    return await self._subscribed()
            except StorageError:
                continue

    def _hear(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "subscribe":
            # The client has mended the line by itself.
            self._wake_everybody()
        if message["type"] != "message":
            return
        change = json.loads(message["data"])
        changed = change.get("job") or change["batch"]
        _set_all(self._followers.get(changed, set()))
        if change["type"] in _ENDS:
            _tell_all(self._waiters.get(changed, set()), mapping(change.get("shown", ())))

    def _wake_everybody(self) -> None:
        """The line has been mended: what was said meanwhile is not known."""
        for followers in self._followers.values():
            _set_all(followers)
        self.wake_all()


async def _close(news: PubSub) -> None:
    with suppress(redis.RedisError, OSError):
        await news.aclose()


@contextmanager
def _listed(lists: dict[JobId, set[Any]], job_id: JobId, one: object) -> Iterator[None]:
    lists.setdefault(job_id, set()).add(one)
    try:
        yield
    finally:
        lists[job_id].discard(one)
        if not lists[job_id]:
            del lists[job_id]


def _tell_all(waiters: set[Ended], shown: Mapping[str, str]) -> None:
    for ended in waiters:
        if not ended.done():
            ended.set_result(shown)


def _set_all(events: set[asyncio.Event]) -> None:
    for event in events:
        event.set()
