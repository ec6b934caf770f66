"""Wakes those who follow a job: one reader of the event stream for all of a process' waiters.

It does not read jobs, and it is only a hint: a waiter looks again each second anyhow.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_server import CALL_TIMEOUT_SECONDS, connect_async
from service.adapters.task_end import end_task
from service.domain.errors import StorageError
from service.domain.job import JobId
from service.telemetry.logs import get_logger
from service.telemetry.spans import leave

_BLOCK_SECONDS = 5.0
_READ_TIMEOUT_SECONDS = _BLOCK_SECONDS + 1.0
_OUTAGE_PAUSE_SECONDS = 0.25
_FAULT_PAUSE_SECONDS = 1.0
_MAX_EVENTS = 1000


class ChangeWatch:
    """Follows the stream from the first `start` on, in the event loop of that call."""

    def __init__(self, url: str, stream: str) -> None:
        self._client = connect_async(url, _READ_TIMEOUT_SECONDS)
        self._stream = stream
        self._waiters: dict[JobId, set[asyncio.Event]] = {}
        self._last_id = ""
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Be sure that no change after this call is missed; StorageError if the queue does not answer."""
        # The calls of this client may last longer, as they wait for events; this one may not.
        with queue_errors():
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS), self._starting:
                if self._task is None:
                    newest: Any = await self._client.xrevrange(self._stream, count=1)
                    self._last_id = newest[0][0] if newest else "0"
                    self._task = asyncio.create_task(self._follow(), name="change watch")

    async def aclose(self) -> None:
        """Stop following; who still waits is left to its timeout."""
        if self._task:
            await end_task(self._task)
        await self._client.aclose()

    @contextmanager
    def changes_of(self, job_id: JobId) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the job; whoever looks at the job clears it first."""
        changed = asyncio.Event()
        self._waiters.setdefault(job_id, set()).add(changed)
        try:
            yield changed
        finally:
            self._waiters[job_id].discard(changed)
            if not self._waiters[job_id]:
                del self._waiters[job_id]

    def wake_all(self) -> None:
        """Let every waiter look again."""
        for waiters in self._waiters.values():
            for changed in waiters:
                changed.set()

    async def _follow(self) -> None:
        # It outlives the request that was the first to wait.
        leave()
        while True:
            try:
                await self._read_once()
            except StorageError:
                # The waiters' own reads report the outage.
                await asyncio.sleep(_OUTAGE_PAUSE_SECONDS)
            except Exception:
                # Ended, it would slow down every waiter from now on, and nobody would learn of it.
                get_logger().exception("change_watch_failed")
                await asyncio.sleep(_FAULT_PAUSE_SECONDS)

    async def _read_once(self) -> None:
        with queue_errors():
            answer: Any = await self._client.xread(
                {self._stream: self._last_id}, count=_MAX_EVENTS, block=int(1000 * _BLOCK_SECONDS)
            )
        for _, entries in answer or ():
            for entry_id, event in entries:
                self._last_id = entry_id
                for changed in self._waiters.get(event.get("job") or event["batch"], ()):
                    changed.set()
