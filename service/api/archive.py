"""GET /v1/jobs and DELETE /v1/jobs/{id}: the list of the caller's jobs, and how one is erased."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from service.api.callers import GeneratorDep, ReaderDep
from service.api.dependencies import EdgeDep
from service.api.jobs import JobIdPath, check_id
from service.api.list_query import DEFAULT_LIMIT, MAX_LIMIT, cursor_of, list_query
from service.api.openapi import list_answer, problems, query_parameter
from service.api.views import JobListView, job_view
from service.domain.batch import BATCH_ID
from service.domain.job import JobStatus

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# A running job leaves with its present step, and is erased by the next round of upkeep.
_ERASED_AFTER_SECONDS = 2


_QUERY = [
    query_parameter(
        "status", {"type": "string", "enum": [status.value for status in JobStatus]}, "Only jobs of this status"
    ),
    query_parameter(
        "batch",
        {"type": "string", "pattern": f"^{BATCH_ID.pattern}$"},
        "Only items of this batch; one that is not there has none",
    ),
    query_parameter("cursor", {"type": "string"}, "`next_cursor` of the page before"),
    query_parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        "Most jobs of one page; fewer do not mean that it is the last",
    ),
]


@router.get(
    "",
    operation_id="listJobs",
    summary="The caller's jobs, the newest first",
    response_class=Response,
    responses={200: list_answer(), **problems("validation", "queue_unavailable")},
    openapi_extra={"parameters": _QUERY},
)
async def list_jobs(request: Request, caller: ReaderDep, edge: EdgeDep) -> Response:
    """A page; jobs that come later are before its first, so a cursor never shows a job twice."""
    query = list_query(request.query_params)
    page = await edge.services.archive.page(caller.tenant, query.chosen, query.before, query.limit)
    cursor = None if page.next_before is None else cursor_of(page.next_before)
    links = edge.services.access.links
    view = JobListView(data=[job_view(job, None, links=links) for job in page.jobs], next_cursor=cursor)
    return JSONResponse(view.model_dump(mode="json"))


@router.delete(
    "/{job_id}",
    operation_id="eraseJob",
    summary="Forget a job and its pictures",
    response_class=Response,
    responses={
        202: {
            "description": "It is cancelled, and erased once it has ended; every other call answers 404 from now on",
            "headers": {"Retry-After": {"schema": {"type": "string"}}},
        },
        204: {"description": "Nothing of it is left"},
        **problems("not_found", "queue_unavailable"),
    },
    status_code=204,
)
async def erase_job(job_id: JobIdPath, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """Of an ended job at once; a live one is cancelled first."""
    check_id(job_id)
    if await edge.services.archive.erase(job_id, caller.tenant):
        return Response(status_code=204)
    return Response(status_code=202, headers={"Retry-After": str(_ERASED_AFTER_SECONDS)})
