"""When jobs will have ended, from what the workers say of themselves and what the queue holds.

The arithmetic is `service.scheduling.cost_model`'s. A forecast is a courtesy: where it can't be had in a moment there
is none, and nothing fails.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.domain.batch import Batch
from service.domain.capacity import Eta, WorkerReport
from service.domain.errors import StorageError
from service.domain.job import Job, JobStatus, NewJob, Priority
from service.domain.request import SamplingParams
from service.ports.queue import JobIntake, QueueStats
from service.ports.workers import WorkerRegistry
from service.scheduling.cost_model import eta, forecast_seconds, retry_after_seconds, work_seconds
from xmdpt.presets import PRESETS

# Polls share one look at the queue for this long.
_FRESH_SECONDS = 0.5
# A new job's forecast counts the jobs that came just before it, so it looks again sooner.
_FRESH_AT_SUBMIT_SECONDS = 0.05
# Longer than this nobody waits for a forecast; a look takes milliseconds.
MAX_FORECAST_SECONDS = 0.25

T = TypeVar("T")


@dataclass(frozen=True)
class Forecast:
    """How long a job will take from now.

    Attributes:
        seconds: by the workers' curves alone.
        eta: corrected by how such forecasts have turned out lately.
    """

    seconds: float
    eta: Eta


class Forecasts:
    """Forecasts for the jobs of one queue."""

    def __init__(self, registry: WorkerRegistry, intake: JobIntake, fresh_seconds: float = _FRESH_SECONDS) -> None:
        self._reports = _Recent(registry.reports)
        self._stats = _Recent(intake.stats)
        self._fresh_seconds = fresh_seconds

    async def seen(self) -> tuple[Sequence[WorkerReport], QueueStats] | None:
        """What forecasts are made of, at most half a second old; None if the queue does not say."""
        return await self._look(self._fresh_seconds)

    async def num_workers(self) -> int | None:
        """How many workers are alive; None if the queue does not say."""
        seen = await self._look(self._fresh_seconds)
        return len(seen[0]) if seen else None

    async def of_new(self, job: NewJob) -> Forecast | None:
        """For a job that is about to be queued; None while no worker is calibrated."""
        seen = await self._look(min(self._fresh_seconds, _FRESH_AT_SUBMIT_SECONDS))
        return _of_new(*seen, job.priority, job.request.params, job.request.num_images) if seen else None

    async def of_job(self, job: Job) -> Eta | None:
        """For a job that was read just now; None unless it is queued or running, and while no worker is calibrated."""
        is_running = job.status is JobStatus.RUNNING
        if not is_running and job.status is not JobStatus.QUEUED:
            return None
        seen = await self._look(self._fresh_seconds)
        if not seen:
            return None
        reports, stats = seen
        seconds = forecast_seconds(
            reports,
            job.request.params.num_steps,
            job.work_ahead,
            stats.running_cost,
            stats.running,
            steps_done=job.progress.step,
            is_running=is_running,
            num_images=job.request.num_images,
            is_low=PRESETS[job.request.params.preset].wants_low_precision,
        )
        return None if seconds is None else eta(seconds, stats.forecast_ratios)

    async def of_batch(self, batch: Batch) -> Eta | None:
        """For a batch that was read just now, if nothing else comes in; None as of a job."""
        seen = None if batch.status.is_final else await self._look(self._fresh_seconds)
        if not seen:
            return None
        reports, stats = seen
        # Interactive jobs go before it.
        cost = batch.cost_left + stats.queued_cost.get(Priority.INTERACTIVE, 0)
        seconds = work_seconds(reports, cost, batch.num_items - batch.num_ended)
        return None if seconds is None else eta(seconds, stats.forecast_ratios)

    async def retry_after_seconds(self) -> float:
        """When a call that was refused may be repeated, at least 1."""
        seen = await self._look(self._fresh_seconds)
        if not seen:
            return 1.0
        reports, stats = seen
        cost = sum(stats.queued_cost.values()) + stats.running_cost
        return retry_after_seconds(reports, cost, stats.queued + stats.running)

    async def _look(self, max_age_seconds: float) -> tuple[Sequence[WorkerReport], QueueStats] | None:
        try:
            async with asyncio.timeout(MAX_FORECAST_SECONDS):
                return await self._reports.value(self._fresh_seconds), await self._stats.value(max_age_seconds)
        except (TimeoutError, StorageError):
            return None


def of_usual(reports: Sequence[WorkerReport], stats: QueueStats) -> Eta | None:
    """For an interactive picture with the default steps, asked for now; None while no worker is calibrated."""
    forecast = _of_new(reports, stats, Priority.INTERACTIVE, SamplingParams(seed=0), 1)
    return forecast.eta if forecast else None


def _of_new(
    reports: Sequence[WorkerReport], stats: QueueStats, priority: Priority, params: SamplingParams, num_images: int
) -> Forecast | None:
    ahead = stats.queued_cost
    work_ahead = sum(ahead.values()) if priority is Priority.BATCH else ahead.get(Priority.INTERACTIVE, 0)
    seconds = forecast_seconds(
        reports,
        params.num_steps,
        work_ahead,
        stats.running_cost,
        stats.running,
        num_images=num_images,
        is_low=PRESETS[params.preset].wants_low_precision,
    )
    return None if seconds is None else Forecast(seconds, eta(seconds, stats.forecast_ratios))


class _Recent(Generic[T]):
    """The newest answer to one question; whoever finds it too old asks, and the others wait for that answer."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking = asyncio.Lock()
        self._answer: tuple[float, T] | None = None

    async def value(self, max_age_seconds: float) -> T:
        """An answer of at most this age; raises as the question does."""
        async with self._asking:
            now = asyncio.get_running_loop().time()
            if self._answer is None or now - self._answer[0] >= max_age_seconds:
                self._answer = (now, await self._ask())
            return self._answer[1]
