"""Jobs and models as clients see them: domain values become JSON.

The request body is `service.api.schemas`'; errors are `service.api.problems`'.
"""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from service.api.problems import Problem, problem_of
from service.domain.job import Job, JobId, JobStatus
from service.domain.request import (
    DEFAULT_GUIDANCE,
    DEFAULT_STEPS,
    MAX_GUIDANCE,
    MAX_SEED,
    MAX_STEPS,
    MIN_GUIDANCE,
    MIN_STEPS,
    ImageFormat,
    Sampler,
)
from service.domain.result import JobResult
from service.gateway.models import ServedModel


class QueueView(BaseModel):
    """The job's place in the queue."""

    position: int = Field(description="Jobs ahead of it while queued, else 0")


class ProgressView(BaseModel):
    """How far the present attempt is."""

    stage: str | None = Field(description="Stage at work, such as `tdnet_step`; null before the first")
    step: int
    steps: int
    ratio: float = Field(description="step / steps, 0 to 1")


class RequestView(BaseModel):
    """What was asked for, defaults and the drawn seed filled in."""

    model: str
    seed: int
    steps: int
    guidance: float
    sampler: Sampler
    format: ImageFormat


class OutputView(BaseModel):
    """One picture."""

    index: int
    url: str | None = Field(description="Where the bytes are; null once they have expired")
    content_type: str
    sha256: str
    bytes: int
    seed: int


class EngineView(BaseModel):
    """What made the picture."""

    runtime: str
    model_digest: str


class UrlsView(BaseModel):
    """Where to go on."""

    self: str
    result: str


class JobView(BaseModel):
    """A job; `succeeded` and `failed` are final."""

    id: str
    object: Literal["job"] = "job"
    status: Literal["queued", "running", "succeeded", "failed"]
    created_at: str = Field(description="RFC 3339, UTC; likewise the other times, null before that moment")
    started_at: str | None
    ended_at: str | None
    expires_at: str | None = Field(description="When the picture is deleted")
    queue: QueueView
    progress: ProgressView
    attempt: int = Field(description="Deliveries to a worker so far")
    request: RequestView
    outputs: list[OutputView]
    timings_ms: dict[str, float] = Field(description="Wall time by stage, in their order, and `total`")
    engine: EngineView | None
    error: Problem | None
    urls: UrlsView


class RangeView(BaseModel):
    """The values that a number may have."""

    min: int | float
    max: int | float
    default: int | float


class ModelView(BaseModel):
    """A variant that can be asked for."""

    name: str
    object: Literal["model"] = "model"
    digest: str = Field(description="Over all graphs; decides with the request what the picture is")
    is_trained: bool = Field(description="False: placeholder weights, the pictures are noise")
    weights_origin: str
    steps: RangeView
    guidance: RangeView
    max_seed: int
    samplers: list[Sampler]
    formats: list[ImageFormat]
    size: list[int] = Field(description="Width and height of a result, px")


class ModelListView(BaseModel):
    """All that this deployment serves."""

    object: Literal["list"] = "list"
    data: list[ModelView]
    next_cursor: str | None = None


def job_url(job_id: JobId) -> str:
    """Path of the job object."""
    return f"/v1/jobs/{job_id}"


def result_url(job_id: JobId) -> str:
    """Path of the picture's bytes."""
    return f"{job_url(job_id)}/result"


def job_view(job: Job) -> JobView:
    """The job object."""
    request, params = job.request, job.request.params
    # The last report of a worker may be a step or two old when the job ends.
    step = params.num_steps if job.status is JobStatus.SUCCEEDED else job.progress.step
    return JobView(
        id=job.id,
        status=job.status.value,
        created_at=_moment(job.created_at),
        started_at=_moment_or_none(job.started_at),
        ended_at=_moment_or_none(job.ended_at),
        expires_at=_moment_or_none(job.expires_at),
        queue=QueueView(position=job.position),
        progress=ProgressView(
            stage=job.progress.stage or None, step=step, steps=params.num_steps, ratio=round(step / params.num_steps, 4)
        ),
        attempt=job.attempt,
        request=RequestView(
            model=request.model,
            seed=params.seed,
            steps=params.num_steps,
            guidance=params.guidance,
            sampler=params.sampler,
            format=request.output.format,
        ),
        outputs=[_output(job, job.result)] if job.result else [],
        timings_ms=timings_ms(job.result) if job.result else {},
        engine=EngineView(runtime=job.result.runtime, model_digest=job.result.model_digest) if job.result else None,
        error=_error(job),
        urls=UrlsView(self=job_url(job.id), result=result_url(job.id)),
    )


def timings_ms(result: JobResult) -> dict[str, float]:
    """Stage times in ms, and their sum as `total`."""
    stages = {stage: round(seconds * 1000, 3) for stage, seconds in result.stage_seconds.items()}
    return stages | {"total": round(sum(result.stage_seconds.values()) * 1000, 3)}


def model_list(model: ServedModel) -> ModelListView:
    """The list that holds the one served variant."""
    view = ModelView(
        name=model.name,
        digest=model.digest,
        is_trained=model.is_trained,
        weights_origin=model.weights_origin,
        steps=RangeView(min=MIN_STEPS, max=MAX_STEPS, default=DEFAULT_STEPS),
        guidance=RangeView(min=MIN_GUIDANCE, max=MAX_GUIDANCE, default=DEFAULT_GUIDANCE),
        max_seed=MAX_SEED,
        samplers=list(Sampler),
        formats=list(ImageFormat),
        size=[256, 256],
    )
    return ModelListView(data=[view])


def _output(job: Job, result: JobResult) -> OutputView:
    return OutputView(
        index=0,
        url=None if job.is_expired else result_url(job.id),
        content_type=result.content_type,
        sha256=result.sha256,
        bytes=result.num_bytes,
        seed=job.request.params.seed,
    )


def _error(job: Job) -> Problem | None:
    return Problem(**problem_of(job.failure.code, job.failure.detail, job_id=job.id)) if job.failure else None


def _moment(posix_seconds: float) -> str:
    return datetime.fromtimestamp(posix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment_or_none(posix_seconds: float | None) -> str | None:
    return None if posix_seconds is None else _moment(posix_seconds)
