"""GET /v1/status: queue, workers and recent latencies for people; monitoring has /metrics."""

import time
from statistics import quantiles
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.api.callers import ReaderDep
from service.api.dependencies import EdgeDep
from service.api.openapi import problems
from service.api.views import moment
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


class LatencyView(BaseModel):
    """From acceptance to end, of the jobs of this class that have lately ended well."""

    jobs: int
    p50_ms: int
    p95_ms: int
    recent_ms: list[int] = Field(description="Each of them, oldest first, at most 200")


class StatusView(BaseModel):
    """How the deployment fares."""

    object: Literal["status"] = "status"
    as_of: str
    queue: QueueStatusView
    workers: list[WorkerStatusView]
    slots: int = Field(description="Of all workers")
    occupancy: float = Field(description="Running jobs over slots, at most 1; 0 without workers")
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
        as_of=moment(time.time()),
        queue=QueueStatusView(
            queued=stats.queued,
            running=stats.running,
            oldest_wait_ms=round(1000 * stats.oldest_wait_seconds),
            queued_row_steps=dict(stats.queued_cost),
        ),
        workers=[_worker(worker) for worker in fare.workers],
        slots=fare.num_slots,
        occupancy=round(min(1.0, stats.running / fare.num_slots), 4) if fare.num_slots else 0.0,
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
    )


def _latencies(fare: Fare) -> dict[Priority, LatencyView]:
    views: dict[Priority, LatencyView] = {}
    for priority in Priority:
        recent = [round(1000 * seconds) for found, seconds in fare.latencies if found is priority]
        if recent:
            twentieths = quantiles(recent, n=20, method="inclusive") if len(recent) > 1 else recent * 19
            views[priority] = LatencyView(
                jobs=len(recent), p50_ms=round(twentieths[9]), p95_ms=round(twentieths[18]), recent_ms=recent
            )
    return views
