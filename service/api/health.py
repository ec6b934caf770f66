"""Probes, metrics, and what is served."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from service.api.callers import ReaderDep
from service.api.dependencies import Edge, EdgeDep
from service.api.model_views import ModelListView, model_list
from service.api.openapi import problems
from service.domain.errors import OverloadedError, StorageError

router = APIRouter(tags=["service"])


@router.get(
    "/v1/models",
    operation_id="listModels",
    summary="Variants, digests, defaults and limits",
    responses=problems(),
)
async def list_models(_caller: ReaderDep, edge: EdgeDep) -> ModelListView:
    """The one variant that this deployment serves."""
    return model_list(edge.services.model)


@router.get("/livez", operation_id="livez", summary="The event loop turns")
async def livez() -> dict[str, str]:
    """Answering is the proof."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="A job would be accepted",
    responses=problems("draining", "queue_unavailable", "storage_unavailable", is_open=True),
)
@router.get(
    "/healthz",
    operation_id="healthz",
    summary="Alive and ready",
    responses=problems("draining", "queue_unavailable", "storage_unavailable", is_open=True),
)
async def readyz(edge: EdgeDep) -> dict[str, str]:
    """The queue answers and has our functions, the storage can be written, and the gateway was not told to stop."""
    await _check(edge)
    return {"status": "ok"}


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Prometheus text",
    response_class=Response,
    responses={200: {"description": "Metrics in Prometheus' text format", "content": {"text/plain": {}}}},
)
async def metrics(edge: EdgeDep) -> Response:
    """The process's instruments; the queue's figures are read now, and stay as they were if it does not answer."""
    instruments, is_queue_there = edge.services.metrics, True
    try:
        await _check(edge)
    except (OverloadedError, StorageError) as error:
        instruments.count_outage(error)
        is_queue_there = error.code != "queue_unavailable"
    if is_queue_there:
        await _show_queue(edge)
    return Response(generate_latest(instruments.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _show_queue(edge: Edge) -> None:
    instruments = edge.services.metrics
    try:
        instruments.show_queue(await edge.services.readiness.figures())
    except StorageError as error:
        instruments.count_outage(error)
    num_workers = await edge.services.forecasts.num_workers()
    if num_workers is not None:
        instruments.workers_live.set(num_workers)


async def _check(edge: Edge) -> None:
    """Look whether a job would be accepted, and keep the answer in the metrics; raises as `Readiness.check` if not."""
    ready = edge.services.metrics.ready
    try:
        await edge.services.readiness.check()
    except (OverloadedError, StorageError):
        ready.set(0)
        raise
    ready.set(1)
