"""Batches and their ended items as clients see them."""

from typing import Literal, cast

from pydantic import BaseModel, Field

from service.api.problems import Problem, problem_of
from service.api.views import EtaView, OutputView, eta_view, job_view, moment, moment_or_none
from service.domain.batch import Batch, BatchEnd, BatchId
from service.domain.capacity import Eta
from service.domain.errors import FieldIssue
from service.domain.job import JobStatus
from service.gateway.links import Links


class RequestCountsView(BaseModel):
    """Items by where they stand."""

    total: int
    queued: int = Field(description="Not begun yet, whether a job already or not")
    running: int
    succeeded: int
    failed: int
    cancelled: int


class BatchUrlsView(BaseModel):
    """Where to go on."""

    self: str
    results: str = Field(description="The items that have ended, as lines or as a ZIP file")
    cancel: str
    jobs: str = Field(description="The jobs that its items have become")


class BatchView(BaseModel):
    """A batch; `completed` and `cancelled` are final."""

    id: str
    object: Literal["batch"] = "batch"
    status: Literal["running", "cancelling", "completed", "cancelled"]
    request_counts: RequestCountsView
    eta: EtaView | None = Field(description="Of the last item, if nothing else comes in; null as of a job")
    created_at: str = Field(description="RFC 3339, UTC; likewise the other times, null before that moment")
    started_at: str | None
    ended_at: str | None
    deadline_at: str = Field(description="What has not ended by then fails")
    expires_at: str | None = Field(description="When its pictures are deleted, but those whose items say another time")
    metadata: dict[str, str]
    urls: BatchUrlsView


class BatchLine(BaseModel):
    """An item that has ended."""

    n: int = Field(description="From 1, in the order of ending; `?after=n` goes on behind it")
    custom_id: str
    status: Literal["succeeded", "failed", "cancelled"]
    job_id: str | None = Field(default=None, description="Absent if the item never was a job")
    outputs: list[OutputView] | None = Field(default=None, description="Of one that succeeded and is still there")
    files: list[str] | None = Field(default=None, description="Its files in the same ZIP file")
    error: Problem | None = Field(default=None, description="Of one that failed")


def batch_url(batch_id: BatchId) -> str:
    """Path of the batch object."""
    return f"/v1/batches/{batch_id}"


def batch_view(batch: Batch, eta: Eta | None) -> BatchView:
    """The batch object."""
    url = batch_url(batch.id)
    return BatchView(
        id=batch.id,
        status=batch.status.value,
        request_counts=RequestCountsView(
            total=batch.num_items,
            queued=batch.num_items - batch.num_ended - batch.num_running,
            running=batch.num_running,
            succeeded=batch.num_succeeded,
            failed=batch.num_failed,
            cancelled=batch.num_cancelled,
        ),
        eta=eta_view(eta) if eta else None,
        created_at=moment(batch.created_at),
        started_at=moment_or_none(batch.started_at),
        ended_at=moment_or_none(batch.ended_at),
        deadline_at=moment(batch.deadline_at),
        expires_at=moment_or_none(batch.expires_at),
        metadata=dict(batch.metadata),
        urls=BatchUrlsView(
            self=url, results=f"{url}/results", cancel=f"{url}/cancel", jobs=f"/v1/jobs?batch={batch.id}"
        ),
    )


def batch_line(end: BatchEnd, links: Links, files: list[str] | None = None) -> BatchLine:
    """One line of the results.

    Args:
        end: of the item.
        links: make the addresses of pictures.
        files: its files in the same ZIP file, if there is one.
    """
    job = job_view(end.job, None, links=links) if end.job else None
    error = job.error if job else None
    if end.failure:
        issues = tuple(FieldIssue(pointer, detail) for pointer, detail in end.failure.issues)
        error = Problem(**problem_of(end.failure.code, end.failure.detail, issues=issues))
    elif end.status is JobStatus.FAILED and not error:
        error = Problem(**problem_of("expired", "the job has been erased", job_id=end.job_id))
    return BatchLine(
        n=end.number,
        custom_id=end.custom_id,
        status=cast('Literal["succeeded", "failed", "cancelled"]', end.status.value),
        job_id=end.job_id,
        outputs=job.outputs if job and end.status is JobStatus.SUCCEEDED else None,
        files=files,
        error=error,
    )
