"""What a client can do with a job: submit it, look at it, wait for it, cancel it, fetch its picture.

It parses no HTTP and runs no graphs. Every answer of the queue is bounded in time.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.capacity import Eta
from service.domain.errors import (
    DamagedError,
    JobStateError,
    NotFoundError,
    RequestError,
    ServiceError,
)
from service.domain.inputs import pack_inputs
from service.domain.job import IdempotencyKey, Job, JobId, JobStatus, NewJob
from service.domain.result import JobResult, PictureFile
from service.gateway.forecast import MAX_FORECAST_SECONDS, Forecasts
from service.gateway.models import ServedModel
from service.gateway.patience import MAX_QUEUE_SECONDS
from service.gateway.patience import queue_answers_within as _queue_answers_within
from service.gateway.receivers import Receivers, check_webhook
from service.gateway.room import Room
from service.gateway.submission import Submission
from service.ports.blobs import BlobStore
from service.ports.queue import JobIntake
from service.telemetry.logs import get_logger
from service.telemetry.metrics import GatewayMetrics
from service.telemetry.spans import part

# A submit asks the queue twice: for its forecast, beside the storing, and to take the job.
_MAX_ENQUEUE_SECONDS = MAX_QUEUE_SECONDS - MAX_FORECAST_SECONDS


@dataclass(frozen=True)
class Submitted:
    """An accepted job.

    Attributes:
        job_id: the job that stands for the call.
        is_replay: an earlier call with the same key has made it.
        eta: as forecast at its acceptance; None for a replay, or while no worker is calibrated.
    """

    job_id: JobId
    is_replay: bool = False
    eta: Eta | None = None


class Jobs:
    """The jobs of one deployment."""

    def __init__(
        self,
        intake: JobIntake,
        blobs: BlobStore,
        model: ServedModel,
        forecasts: Forecasts,
        metrics: GatewayMetrics,
        receivers: Receivers | None = None,
    ) -> None:
        """Of a deployment without `receivers` nobody is told anything, and webhooks are refused."""
        self._intake = intake
        self._blobs = blobs
        self._model = model
        self._forecasts = forecasts
        self._metrics = metrics
        self._receivers = receivers
        self.room = Room(intake, forecasts, metrics)

    async def submit(self, submission: Submission, tenant: str, idempotency_key: str | None = None) -> Submitted:
        """Accept a job; when this returns, it survives a crash of any process.

        Args:
            submission: what is asked for.
            tenant: whose job it will be; likewise in the methods below, to which another tenant's job is not there.
            idempotency_key: 1-255 visible ASCII characters; a repeat of the same call under the same key finds its job.

        Raises:
            RequestError: `unknown_model`; `unavailable_preset`; `webhook_url`; `validation` of what a webhook could not
                tell; `idempotency_mismatch`: the key belongs to another request.
            OverloadedError: `overloaded`, `tenant_queue_full`; nothing was kept.
            StorageError: `queue_unavailable` or `storage_unavailable`.
        """
        self._model.check(submission.options.model, submission.options.preset)
        if submission.options.webhook:
            await check_webhook(self._receivers, submission.options.webhook, submission.options.metadata)
        job_id = f"job_{secrets.token_hex(16)}"
        content = pack_inputs(submission.photo, submission.skeleton)
        # From now on: the disk takes longer than everything that is done meanwhile.
        stored = asyncio.get_running_loop().run_in_executor(None, self._blobs.put_input, job_id, content)
        job = new_job(job_id, submission, tenant, self._model, idempotency_key)
        with part("store"):
            forecast, _ = await asyncio.gather(self._forecasts.of_new(job), stored)
        # No clean-up if this raises: the queue may have accepted the job and only its answer was lost, so the pictures
        # stay until the sweep.
        if forecast:
            job = dataclasses.replace(job, forecast_seconds=forecast.seconds)
        with part("enqueue", "producer") as span:
            job = dataclasses.replace(job, trace=span.context if span else None)
            async with _queue_answers_within(_MAX_ENQUEUE_SECONDS):
                enqueued = await self._intake.enqueue(job)
        # `dup` of its own id: a lost answer made the adapter repeat the call.
        if enqueued.verdict == "ok" or (enqueued.verdict == "dup" and enqueued.job_id == job.id):
            return Submitted(job.id, eta=forecast.eta if forecast else None)
        await asyncio.to_thread(self._blobs.delete_job, job.id)
        if enqueued.verdict == "mismatch":
            raise RequestError("idempotency_mismatch", "this Idempotency-Key belongs to another request")
        if enqueued.verdict != "dup":
            raise await self.room.refusal(enqueued.verdict)
        self._metrics.idempotent_replays.inc()
        return Submitted(enqueued.job_id, is_replay=True)

    async def status(self, job_id: JobId, tenant: str | None) -> Job:
        """The job as it stands.

        Args:
            job_id: the job.
            tenant: whose it is; None for a caller who has shown the right to this one job.

        Raises:
            NotFoundError: there is none of that id.
            StorageError: `queue_unavailable`.
        """
        async with _queue_answers_within(MAX_QUEUE_SECONDS):
            return _found(await self._intake.read(job_id), tenant)

    async def wait(self, job_id: JobId, tenant: str, timeout_seconds: float) -> Job:
        """The job once it has ended, or as it stands when the time is over; raises as `status`."""
        # Another tenant's must not be waited for: how long that takes would tell of it.
        await self.status(job_id, tenant)
        return await self._wait(job_id, tenant, timeout_seconds)

    async def wait_for(self, submitted: Submitted, tenant: str, timeout_seconds: float) -> Job:
        """`wait`, and learn how wrong the forecast was."""
        job = await self._wait(submitted.job_id, tenant, timeout_seconds)
        if submitted.eta and job.status is JobStatus.SUCCEEDED and job.ended_at:
            self._metrics.eta_error.observe(abs(job.ended_at - job.created_at - submitted.eta.p50_seconds))
        return job

    async def _wait(self, job_id: JobId, tenant: str, timeout_seconds: float) -> Job:
        async with _queue_answers_within(timeout_seconds + MAX_QUEUE_SECONDS):
            return _found(await self._intake.wait_for_end(job_id, timeout_seconds), tenant)

    async def cancel(self, job_id: JobId, tenant: str) -> Job:
        """Cancel a job; one that has ended, or is being cancelled, stays as it is. Raises as `status`."""
        job = await self.status(job_id, tenant)
        if job.status not in (JobStatus.QUEUED, JobStatus.RUNNING):
            return job
        async with _queue_answers_within(MAX_QUEUE_SECONDS):
            verdict = await self._intake.cancel(job_id, tenant)
        if verdict in ("cancelled", "cancelling"):
            self._metrics.cancelled.labels("queued" if verdict == "cancelled" else "running").inc()
        return await self.status(job_id, tenant)

    async def picture(self, job: Job, index: int = 0) -> tuple[JobResult, bytes]:
        """One picture of a job that was read just now, checked against its digest.

        Raises:
            NotFoundError: the job makes no picture of this index.
            JobStateError, ServiceError, StorageError: as `pictures`.
        """
        num_images = len(job.result.files) if job.result else job.request.num_images
        if not 0 <= index < num_images:
            raise NotFoundError("the job has no picture of this index")
        result = await self._result(job)
        return result, await asyncio.to_thread(self._read, job, result, index)

    async def pictures(self, job: Job) -> tuple[JobResult, Sequence[bytes]]:
        """All pictures of a job that was read just now, checked against their digests.

        Raises:
            JobStateError: `not_finished`, `cancelled` or `expired`.
            ServiceError: the job failed; with its own code.
            StorageError: `storage_unavailable`: a picture can't be read, or is damaged.
        """
        result = await self._result(job)
        indexes = range(len(result.files))
        return result, await asyncio.to_thread(lambda: [self._read(job, result, index) for index in indexes])

    async def _result(self, job: Job) -> JobResult:
        if not job.status.is_final:
            eta = await self._forecasts.of_job(job)
            seconds = max(1.0, eta.p50_seconds) if eta else 1.0
            raise JobStateError("not_finished", f"the job is {job.status.value}", retry_after_seconds=seconds)
        if job.status is JobStatus.CANCELLED:
            raise JobStateError("cancelled", "the job was cancelled and has no picture")
        if job.failure:
            raise ServiceError(job.failure.code, job.failure.detail)
        if job.is_expired or job.result is None:
            raise JobStateError("expired", "the picture has been deleted after its retention time")
        return job.result

    def _read(self, job: Job, result: JobResult, index: int) -> bytes:
        try:
            content = self._blobs.get_output(job.id, result.fence, index)
        except NotFoundError:
            raise JobStateError("expired", "the picture is no longer stored") from None
        if PictureFile.of(content) != result.files[index]:
            get_logger().error("stored picture is damaged", job=job.id, index=index)
            raise DamagedError("storage_unavailable", "the stored picture is damaged")
        return content

    async def inline_pictures(self, job: Job) -> Sequence[bytes]:
        """The pictures that the job object holds, if that was asked for and they are there; else none.

        Raises:
            StorageError: as `pictures`.
        """
        if not job.request.output.is_inline or job.result is None:
            return ()
        try:
            _, contents = await self.pictures(job)
        except JobStateError:
            return ()
        return contents

    async def preview(self, job_id: JobId, tenant: str | None) -> bytes:
        """The newest preview, a JPEG file; the tenant as in `status`.

        Raises:
            NotFoundError: there is no such job, or no preview of it yet.
            StorageError: `queue_unavailable` or `storage_unavailable`.
        """
        await self.status(job_id, tenant)
        try:
            return await asyncio.to_thread(self._blobs.get_preview, job_id)
        except NotFoundError:
            raise NotFoundError("there is no preview of this job yet") from None


def new_job(
    job_id: JobId, submission: Submission, tenant: str, model: ServedModel, idempotency_key: str | None = None
) -> NewJob:
    """The job that a submission becomes; its pictures are stored apart from it."""
    request = submission.request(model.name)
    return NewJob(
        job_id,
        request,
        tenant=tenant,
        priority=submission.options.priority,
        deadline_seconds=submission.options.deadline_seconds,
        retention_seconds=submission.options.retention_seconds,
        idempotency=IdempotencyKey(idempotency_key, submission.fingerprint(request)) if idempotency_key else None,
        webhook=submission.options.webhook,
        step_cost=model.step_cost(submission.options.preset),
    )


def _found(job: Job | None, tenant: str | None) -> Job:
    if job is None or tenant not in (None, job.tenant):
        raise NotFoundError("there is no such job")
    return job
