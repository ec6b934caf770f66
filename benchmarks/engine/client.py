"""A gateway without HTTP, in this process: it submits jobs, waits for all of them and reads how they ended.

Which jobs and when is `benchmarks.engine.traffic`'s.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.engine.deployment import Deployment
from benchmarks.figures import BrokenRunError
from service.adapters.file_blobs import FileBlobs
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_workers import RedisWorkerRegistry
from service.domain.capacity import Eta
from service.domain.job import DEFAULT_TENANT, Job, JobStatus
from service.gateway.forecast import Forecasts
from service.gateway.jobs import Jobs
from service.gateway.models import ServedModel
from service.gateway.submission import Submission
from service.ports.queue import QueueStats
from service.telemetry.metrics import GatewayMetrics

_MAX_LIVE = 100_000
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """A job that has succeeded.

    Attributes:
        job: as it ended.
        eta: as it was forecast at its submission.
    """

    job: Job
    eta: Eta | None = None

    @property
    def seconds(self) -> float:
        """From acceptance to the end, by the queue's clock."""
        assert self.job.ended_at is not None
        return self.job.ended_at - self.job.created_at

    @property
    def stage_seconds(self) -> dict[str, float]:
        """As the worker reported them."""
        assert self.job.result is not None
        return dict(self.job.result.stage_seconds)


@dataclass(frozen=True)
class Client:
    """What a gateway does with jobs.

    Attributes:
        jobs: the gateway's own.
        intake: its queue.
    """

    jobs: Jobs
    intake: RedisJobIntake

    async def make(self, submission: Submission) -> Ended:
        """Submit one job and wait for its end."""
        submitted = await self.jobs.submit(submission, DEFAULT_TENANT)
        job = await self.jobs.wait(submitted.job_id, DEFAULT_TENANT, _PATIENCE_SECONDS)
        return _succeeded(job, submitted.eta)

    async def wait_until(self, is_so: Callable[[QueueStats], bool]) -> None:
        """Return once this is true of the queue."""
        while True:
            if is_so(await self.intake.stats()):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def wait_until_empty(self) -> None:
        """Return once no job is waiting or running."""
        await self.wait_until(lambda stats: not stats.queued + stats.running)

    async def read(self, job_id: str, eta: Eta | None = None) -> Ended:
        """A job that has ended; BrokenRunError if it did not end well."""
        return _succeeded(await self.jobs.status(job_id, DEFAULT_TENANT), eta)


@asynccontextmanager
async def client_of(deployment: Deployment, variant: str = "tiny") -> AsyncGenerator[Client]:
    """A client of a deployment that serves this variant."""
    keys, url = RedisKeys(), deployment.queue_url
    intake = RedisJobIntake(url, keys, QueuePolicy(max_live=_MAX_LIVE, max_live_per_tenant=_MAX_LIVE))
    registry = RedisWorkerRegistry(url, keys)
    model = ServedModel(variant, "", is_trained=True, weights_origin="")
    blobs, metrics = FileBlobs(deployment.data / "blobs"), GatewayMetrics("benchmark")
    try:
        yield Client(Jobs(intake, blobs, model, Forecasts(registry, intake), metrics), intake)
    finally:
        await intake.aclose()
        await registry.aclose()


def _succeeded(job: Job, eta: Eta | None) -> Ended:
    if job.status is not JobStatus.SUCCEEDED:
        raise BrokenRunError(f"{job.id} is {job.status}: {job.failure}")
    return Ended(job, eta)
