"""Jobs as clients see them: domain values become JSON.

The request body is `service.api.schemas`'; errors are `service.api.problems`'.
"""

import base64
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.api.problems import Problem, problem_of
from service.domain.capacity import Eta
from service.domain.job import Job, JobId, JobStatus, Priority
from service.domain.pose import KeyPoints
from service.domain.request import ImageFormat, Sampler
from service.domain.result import JobResult
from service.gateway.links import PLAIN, Links
from xmdpt.presets import Preset


class QueueView(BaseModel):
    """The job's place in the queue."""

    position: int = Field(description="Jobs ahead of it while queued, else 0")
    priority: Priority
    retry_at: str | None = Field(description="When a failed attempt is repeated; null unless it waits for that")


class EtaView(BaseModel):
    """When the job will have ended."""

    p50_ms: int = Field(description="From `as_of`: half of all such jobs have ended by then")
    p90_ms: int = Field(description="Nine of ten")
    as_of: str


class ProgressView(BaseModel):
    """How far the present attempt is."""

    stage: str | None = Field(description="Stage at work, such as `tdnet_step`; null before the first")
    step: int
    steps: int
    ratio: float = Field(description="step / steps, 0 to 1")


class FoundPoseView(BaseModel):
    """Key points that were found in a photo."""

    keypoints: list[list[float] | None] = Field(description="As in `pose.keypoints`; null where nothing is seen")
    size: list[float] = Field(description="Of the key points' frame; likewise origin")
    origin: list[float]


class RequestView(BaseModel):
    """What was asked for, defaults and the drawn seed filled in."""

    model: str
    seed: int
    num_images: int
    preset: Preset = Field(description="As asked for; the steps are those that it takes")
    steps: int
    guidance: float
    sampler: Sampler
    format: ImageFormat
    pose: FoundPoseView | None = Field(description="What was found in the photo that gave the pose, else null")


class OutputView(BaseModel):
    """One picture."""

    index: int
    url: str | None = Field(description="Where the bytes are; null once they have expired. It holds for an hour")
    content_type: str
    sha256: str
    bytes: int
    seed: int = Field(description="Makes this picture alone")
    data: str | None = Field(description="The file in standard base64 if `output.delivery` says so, else null")


class CacheView(BaseModel):
    """Whether an encoder had to run for this job."""

    source: Literal["hit", "miss"]
    pose: Literal["hit", "miss"]


class EngineView(BaseModel):
    """What made the picture."""

    runtime: str
    model_digest: str
    precision: str | None = Field(description="What the steps were computed in, such as `fp32`; null of older jobs")


class UrlsView(BaseModel):
    """Where to go on."""

    self: str
    events: str = Field(description="What happens to the job, as server-sent events")
    result: str = Field(description="The first picture, or by `Accept` all of them; it holds for an hour")
    preview: str | None = Field(description="The newest preview; null unless previews were asked for")
    cancel: str


class ProgressEvent(BaseModel):
    """Data of an event `progress`."""

    stage: str | None = Field(description="At work; null before the first")
    step: int
    steps: int
    ratio: float
    eta: EtaView | None


class PreviewEvent(BaseModel):
    """Data of an event `preview`."""

    step: int = Field(description="Where the job was, as a multiple of `preview.every_steps`")
    url: str


class JobListView(BaseModel):
    """Some of the caller's jobs, the newest first."""

    object: Literal["list"] = "list"
    data: list["JobView"]
    next_cursor: str | None = Field(description="For the next page; null if there is none")


class JobView(BaseModel):
    """A job; `succeeded`, `failed` and `cancelled` are final."""

    id: str
    object: Literal["job"] = "job"
    status: Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    batch_id: str | None = Field(description="The batch that it is an item of, else null")
    custom_id: str | None = Field(description="The item's name in that batch")
    created_at: str = Field(description="RFC 3339, UTC; likewise the other times, null before that moment")
    started_at: str | None
    ended_at: str | None
    deadline_at: str | None = Field(description="What has not ended by then fails")
    expires_at: str | None = Field(description="When the picture is deleted")
    queue: QueueView
    progress: ProgressView
    eta: EtaView | None = Field(description="Of a queued or running job; null while no worker is calibrated")
    attempt: int = Field(description="Deliveries to a worker so far")
    request: RequestView
    outputs: list[OutputView]
    cache: CacheView | None
    timings_ms: dict[str, float] = Field(description="Wall time by stage, in their order, and `total`")
    engine: EngineView | None
    error: Problem | None
    metadata: dict[str, str] = Field(description="The request's own notes")
    urls: UrlsView


def job_url(job_id: JobId) -> str:
    """Path of the job object."""
    return f"/v1/jobs/{job_id}"


def result_url(job_id: JobId, index: int = 0, links: Links = PLAIN) -> str:
    """Where the bytes of a picture are."""
    return links.address(f"{job_url(job_id)}/result", index)


def preview_url(job_id: JobId, links: Links) -> str:
    """Where the newest preview is."""
    return links.address(f"{job_url(job_id)}/preview")


def job_view(job: Job, eta: Eta | None, contents: Sequence[bytes] = (), links: Links = PLAIN) -> JobView:
    """The job object.

    Args:
        job: as it was read just now.
        eta: as forecast just now.
        contents: the pictures' files, if the object is to hold them.
        links: make the addresses of pictures.
    """
    request, params = job.request, job.request.params
    return JobView(
        id=job.id,
        status=job.status.value,
        batch_id=job.batch_id,
        custom_id=job.custom_id,
        created_at=moment(job.created_at),
        started_at=moment_or_none(job.started_at),
        ended_at=moment_or_none(job.ended_at),
        deadline_at=moment_or_none(job.deadline_at),
        expires_at=moment_or_none(job.expires_at),
        queue=QueueView(position=job.position, priority=job.priority, retry_at=moment_or_none(job.retry_at)),
        progress=_progress(job),
        eta=eta_view(eta) if eta else None,
        attempt=job.attempt,
        request=RequestView(
            model=request.model,
            seed=params.seed,
            num_images=request.num_images,
            preset=params.preset,
            steps=params.num_steps,
            guidance=params.guidance,
            sampler=params.sampler,
            format=request.output.format,
            pose=FoundPoseView(**points_fields(request.found_pose)) if request.found_pose else None,
        ),
        outputs=_outputs(job, job.result, contents, links) if job.result else [],
        cache=CacheView.model_validate(job.result.cache) if job.result and job.result.cache else None,
        timings_ms=timings_ms(job.result) if job.result else {},
        engine=_engine(job.result) if job.result else None,
        error=_error(job),
        metadata=dict(request.metadata),
        urls=_urls(job, links),
    )


def _engine(result: JobResult) -> EngineView:
    return EngineView(runtime=result.runtime, model_digest=result.model_digest, precision=result.precision or None)


def points_fields(key_points: KeyPoints) -> dict[str, Any]:
    """`keypoints`, `size` and `origin`, as a request has them."""
    return {
        "keypoints": [None if point is None else list(point) for point in key_points.points],
        "size": list(key_points.size),
        "origin": list(key_points.origin),
    }


def progress_event(job: Job, eta: Eta | None) -> ProgressEvent:
    """How far a running job is."""
    progress = _progress(job)
    return ProgressEvent(
        stage=progress.stage,
        step=progress.step,
        steps=progress.steps,
        ratio=progress.ratio,
        eta=eta_view(eta) if eta else None,
    )


def _progress(job: Job) -> ProgressView:
    num_steps = job.request.params.num_steps
    # The last report of a worker may be a step or two old when the job ends.
    step = num_steps if job.status is JobStatus.SUCCEEDED else job.progress.step
    return ProgressView(stage=job.progress.stage or None, step=step, steps=num_steps, ratio=round(step / num_steps, 4))


def preview_event(job: Job, links: Links = PLAIN) -> PreviewEvent:
    """Where the newest preview is. The worker's last report may be older than it."""
    every = job.request.output.preview_every_steps
    return PreviewEvent(step=max(every, job.progress.step // every * every), url=preview_url(job.id, links))


def timings_ms(result: JobResult) -> dict[str, float]:
    """Stage times in ms, and their sum as `total`."""
    stages = {stage: round(seconds * 1000, 3) for stage, seconds in result.stage_seconds.items()}
    return stages | {"total": round(sum(result.stage_seconds.values()) * 1000, 3)}


def eta_view(eta: Eta) -> EtaView:
    """As of now."""
    return EtaView(
        p50_ms=round(eta.p50_seconds * 1000), p90_ms=round(eta.p90_seconds * 1000), as_of=moment(time.time())
    )


def _urls(job: Job, links: Links) -> UrlsView:
    url = job_url(job.id)
    has_previews = job.request.output.preview_every_steps > 0
    return UrlsView(
        self=url,
        events=f"{url}/events",
        result=result_url(job.id, 0, links),
        preview=preview_url(job.id, links) if has_previews else None,
        cancel=f"{url}/cancel",
    )


def _outputs(job: Job, result: JobResult, contents: Sequence[bytes], links: Links) -> list[OutputView]:
    return [
        OutputView(
            index=index,
            url=None if job.is_expired else result_url(job.id, index, links),
            content_type=result.content_type,
            sha256=file.sha256,
            bytes=file.num_bytes,
            seed=job.request.params.seed + index,
            data=base64.b64encode(contents[index]).decode() if contents else None,
        )
        for index, file in enumerate(result.files)
    ]


def _error(job: Job) -> Problem | None:
    return Problem(**problem_of(job.failure.code, job.failure.detail, job_id=job.id)) if job.failure else None


def moment(posix_seconds: float) -> str:
    """RFC 3339, UTC, to the millisecond."""
    return datetime.fromtimestamp(posix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_or_none(posix_seconds: float | None) -> str | None:
    """Likewise; null before the moment."""
    return None if posix_seconds is None else moment(posix_seconds)
