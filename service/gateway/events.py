"""What happens to a job, as events for whoever follows it: changes of state with their numbers, and progress between.

It knows no wire format. A follower that leaves changes nothing for the job.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from service.domain.capacity import Eta
from service.domain.errors import NotFoundError, OverloadedError, StorageError
from service.domain.job import Job, JobId, JobStatus
from service.gateway.forecast import Forecasts
from service.gateway.patience import queue_answers_within
from service.ports.archive import JobArchive, JobChange, JobHistory
from service.ports.blobs import BlobStore
from service.telemetry.metrics import GatewayMetrics

# As often as a worker tells of its steps, and not above 4 a second.
_LOOK_EVERY_SECONDS = 0.5
_MIN_PROGRESS_SECONDS = 0.25
_SILENCE_SECONDS = 15.0


@dataclass(frozen=True)
class JobEvent:
    """Something to tell a follower.

    Attributes:
        kind: `silence` says only that the connection is alive; `end` is the last one.
        job: as it was after a change of state, else as it stands.
        number: of the change, with `status` and `end`; None otherwise.
        eta: of the job as it stands; None for what is past.
    """

    kind: Literal["status", "progress", "preview", "end", "silence"]
    job: Job
    number: int | None = None
    eta: Eta | None = None


class JobEvents:
    """The followers of one process."""

    def __init__(
        self,
        archive: JobArchive,
        blobs: BlobStore,
        forecasts: Forecasts,
        metrics: GatewayMetrics,
        max_streams: int = 500,
    ) -> None:
        self._archive = archive
        self._blobs = blobs
        self._forecasts = forecasts
        self._metrics = metrics
        self._max_streams = max_streams
        self._num_streams = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End every stream now, a later one after its first events. In the event loop that serves them.

        A refusal would end browsers' attempts for good; so a follower comes again until it finds another gateway.
        """
        self._closing.set()

    async def follow(self, job_id: JobId, tenant: str, after: int | None) -> AsyncGenerator[JobEvent]:
        """What has happened since change `after`, then what happens, until the job's end.

        An outage of the queue is waited out, but not before the first event. A job that is erased ends the stream. No
        event at all means that the job has ended and everything of it has been told.

        Args:
            job_id: the job.
            tenant: whose it is.
            after: number of the change that was told last; None begins with the job as it stands.

        Raises:
            NotFoundError: there is no such job.
            OverloadedError: `overloaded`: too many are followed.
            StorageError: `queue_unavailable`.
        """
        with self._stream():
            async with self._archive.changes_of(job_id) as changed:
                history = await self._history(job_id, tenant, after)
                if history is None:
                    raise NotFoundError("there is no such job")
                told = history.newest if after is None else min(after, history.newest)
                for event in _first_events(history, after, told):
                    yield await self._with_eta(event, history)
                    told = event.number or told
                if not history.job.status.is_final:
                    async for event in self._live(history.job, tenant, told, changed):
                        yield event

    async def _live(self, job: Job, tenant: str, told: int, changed: asyncio.Event) -> AsyncGenerator[JobEvent]:
        progress, progress_at, spoken_at = job.progress, 0.0, time.monotonic()
        preview = ""
        while not self._closing.is_set():
            changed.clear()
            history = None
            with suppress(StorageError):
                history = await self._history(job.id, tenant, told)
                if history is None:
                    return
            events: list[JobEvent] = []
            if history:
                job = history.job
                events += [_of_change(change) for change in history.changes]
            has_moved = job.status is JobStatus.RUNNING and job.progress != progress
            if has_moved and not events and time.monotonic() - progress_at >= _MIN_PROGRESS_SECONDS:
                progress, progress_at = job.progress, time.monotonic()
                events.append(JobEvent("progress", job))
            newest = await self._preview(job)
            if newest not in ("", preview):
                preview = newest
                events.append(JobEvent("preview", job))
            if not events and time.monotonic() - spoken_at >= _SILENCE_SECONDS:
                events.append(JobEvent("silence", job))
            for event in events:
                spoken_at = time.monotonic()
                yield await self._with_eta(event, history)
                told = event.number or told
                if event.kind == "end":
                    return
            await self._wait(changed)

    async def _wait(self, changed: asyncio.Event) -> None:
        """Until the job changes or this closes, and not long."""
        waits = [asyncio.ensure_future(event.wait()) for event in (changed, self._closing)]
        try:
            await asyncio.wait(waits, timeout=_LOOK_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _history(self, job_id: JobId, tenant: str, after: int | None) -> JobHistory | None:
        async with queue_answers_within():
            return await self._archive.history(job_id, tenant, after)

    async def _preview(self, job: Job) -> str:
        """What tells the newest preview of a running job from others; empty while there is none."""
        if job.status is not JobStatus.RUNNING or not job.request.output.preview_every_steps:
            return ""
        try:
            content = await asyncio.to_thread(self._blobs.get_preview, job.id)
        except (NotFoundError, StorageError):
            return ""
        return hashlib.sha256(content).hexdigest()

    async def _with_eta(self, event: JobEvent, history: JobHistory | None) -> JobEvent:
        is_past = event.number is not None and history is not None and event.number < history.newest
        if is_past or event.kind in ("end", "silence", "preview"):
            return event
        return JobEvent(event.kind, event.job, event.number, await self._forecasts.of_job(event.job))

    @contextmanager
    def _stream(self) -> Generator[None]:
        if self._num_streams >= self._max_streams:
            raise OverloadedError("overloaded", "too many jobs are followed here; read the job instead, or try later")
        self._num_streams += 1
        self._metrics.sse_clients.set(self._num_streams)
        try:
            yield
        finally:
            self._num_streams -= 1
            self._metrics.sse_clients.set(self._num_streams)


def _first_events(history: JobHistory, after: int | None, told: int) -> list[JobEvent]:
    """What a new follower is told at once."""
    if history.job.status.is_final:
        return [_of_change(change) for change in history.changes]
    snapshot = JobEvent("status", history.job, told)
    if after is None:
        return [snapshot]
    return [_of_change(change) for change in history.changes] or [snapshot]


def _of_change(change: JobChange) -> JobEvent:
    return JobEvent("end" if change.job.status.is_final else "status", change.job, change.number)
