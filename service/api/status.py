"""GET /v1/status: queue, workers and recent latencies for people; monitoring has /metrics."""

from statistics import quantiles
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.api.callers import ReaderDep
from service.api.dependencies import EdgeDep
from service.api.openapi import problems
from service.api.views import EtaView, eta_view, moment
from service.domain.capacity import WorkerReport
from service.domain.execution import Execution
from service.domain.job import Priority
from service.gateway.status import Fare

router = APIRouter(tags=["service"])


class QueueStatusView(BaseModel):
    """What waits and runs, of all tenants."""

    queued: int
    running: int
    oldest_wait_ms: int
    queued_row_steps: dict[Priority, int] = Field(description="Work that waits, by class")


class WorkerStatusView(BaseModel):
    """A living worker."""

    runtime: str
    execution: Execution
    slots: int = Field(description="Pictures in flight at most")
    max_batch: int = Field(description="Rows of a call at most")
    step_ms: float = Field(description="Of a full batch, as measured at its start")
    name: str = Field(description="New with each start")
    in_flight: int = Field(description="Pictures in its slots; this and what follows is at most 2 s old")
    rows_per_step: float | None = Field(description="Rows that have lately shared a denoising step; null without any")
    pictures: int = Field(description="Made since its start")


class LatencyView(BaseModel):
    """From acceptance to end, of the jobs of this class that have lately ended well."""

    jobs: int
    p50_ms: int
    p95_ms: int
    recent_ms: list[int] = Field(description="Each of them, oldest first; of all classes together the last 200")
    recent_ended_at: list[str] = Field(description="When each of them ended")


class StatusView(BaseModel):
    """How the deployment fares."""

    object: Literal["status"] = "status"
    as_of: str
    queue: QueueStatusView
    workers: list[WorkerStatusView]
    slots: int = Field(description="Of all workers")
    occupancy: float = Field(description="Running jobs over slots, at most 1; 0 without workers")
    in_flight: int = Field(description="Pictures in the slots of all workers")
    batch_occupancy: float | None = Field(
        description="Rows that have lately shared a denoising step over `max_batch`, 0 to 1; null without any"
    )
    pictures_per_minute: float = Field(description="Made in the last minute; of many the last 200 jobs' rate")
    eta: EtaView | None = Field(
        description="Of an interactive picture with the default steps, if it were asked for now; null without workers"
    )
    latencies: dict[Priority, LatencyView] = Field(description="Of the classes that have had any")


@router.get(
    "/v1/status",
    operation_id="getStatus",
    summary="Queue, workers, occupancy, recent latencies",
    responses=problems("queue_unavailable"),
)
async def get_status(_caller: ReaderDep, edge: EdgeDep) -> StatusView:
    """One look, at most half a second old."""
    fare = await edge.services.status.look()
    stats = fare.stats
    return StatusView(
        as_of=moment(fare.now),
        queue=QueueStatusView(
            queued=stats.queued,
            running=stats.running,
            oldest_wait_ms=round(1000 * stats.oldest_wait_seconds),
            queued_row_steps=dict(stats.queued_cost),
        ),
        workers=[_worker(worker) for worker in fare.workers],
        slots=fare.num_slots,
        occupancy=round(min(1.0, stats.running / fare.num_slots), 4) if fare.num_slots else 0.0,
        in_flight=fare.num_in_flight,
        batch_occupancy=None if (rows := fare.batch_occupancy) is None else round(rows, 4),
        pictures_per_minute=round(fare.pictures_per_minute, 1),
        eta=eta_view(eta) if (eta := fare.eta) else None,
        latencies=_latencies(fare),
    )


def _worker(worker: WorkerReport) -> WorkerStatusView:
    capacity = worker.capacity
    return WorkerStatusView(
        runtime=worker.runtime,
        execution=capacity.execution,
        slots=capacity.num_slots,
        max_batch=capacity.max_batch,
        step_ms=round(1000 * capacity.curve.seconds(capacity.max_batch), 3),
        name=worker.worker,
        in_flight=worker.activity.in_flight,
        rows_per_step=worker.activity.rows_per_step or None,
        pictures=worker.activity.num_pictures,
    )


def _latencies(fare: Fare) -> dict[Priority, LatencyView]:
    views: dict[Priority, LatencyView] = {}
    for priority in Priority:
        latencies = [latency for latency in fare.latencies if latency.priority is priority]
        recent = [round(1000 * latency.seconds) for latency in latencies]
        if recent:
            twentieths = quantiles(recent, n=20, method="inclusive") if len(recent) > 1 else recent * 19
            views[priority] = LatencyView(
                jobs=len(recent),
                p50_ms=round(twentieths[9]),
                p95_ms=round(twentieths[18]),
                recent_ms=recent,
                recent_ended_at=[moment(latency.ended_at) for latency in latencies],
            )
    return views
