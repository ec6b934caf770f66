"""/v1/jobs: submit without waiting, look at a job, cancel it, fetch its pictures or a preview."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from service.api.answers import accepted, finished_archive, finished_object, finished_picture, job_object, preview
from service.api.callers import GeneratorDep, PictureReaderDep, ReaderDep
from service.api.conditional import Conditions
from service.api.departures import unless_client_leaves
from service.api.dependencies import EdgeDep
from service.api.idempotency import idempotency_key
from service.api.openapi import (
    GENERATION_BODY,
    GENERATION_PROBLEMS,
    IDEMPOTENCY_KEY,
    LINK,
    PREFER,
    RESULT_ANSWERS,
    RESULT_HEADERS,
    job_answer,
    problems,
)
from service.api.preferences import negotiate, wait_preference
from service.api.submissions import or_png
from service.domain.errors import NotFoundError
from service.domain.job import JOB_ID, JobId
from service.gateway.links import PLAIN

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

JobIdPath = Annotated[str, Path(description="`job_` and 32 lower-case hex digits", examples=["job_" + "0" * 32])]
_INDEX = re.compile(r"0|[1-9][0-9]?")
# Text, so that everything that is no picture's index is 404.
IndexQuery = Annotated[str, Query(description="Which picture, from 0", examples=["0"])]


@router.post(
    "",
    operation_id="createJob",
    summary="Submit a job, do not wait",
    response_class=Response,
    responses={202: job_answer("Accepted and durable", is_accepted=True), **problems(*GENERATION_PROBLEMS)},
    openapi_extra=GENERATION_BODY | {"parameters": [IDEMPOTENCY_KEY]},
    status_code=202,
)
async def create_job(request: Request, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """Submit a job; the format is `output.format`, else png."""
    edge.services.readiness.check_open()
    key = idempotency_key(request.headers)
    await edge.services.jobs.room.check(caller.tenant, key)
    submission = await edge.reader.read(request, caller.tenant, or_png)
    submitted = await edge.services.jobs.submit(submission, caller.tenant, key)
    request.state.job_id, request.state.is_replay = submitted.job_id, submitted.is_replay
    job = await edge.services.jobs.status(submitted.job_id, caller.tenant)
    return accepted(job, await edge.services.forecasts.of_job(job), edge.services.access.links)


@router.get(
    "/{job_id}",
    operation_id="getJob",
    summary="The job as it stands",
    response_class=Response,
    responses={
        200: job_answer("The job object, of a failed job too"),
        **problems("not_found", "queue_unavailable", "storage_unavailable", "concurrency_limited"),
    },
    openapi_extra={"parameters": [PREFER]},
)
async def get_job(request: Request, job_id: JobIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """Answer at once, or with `Prefer: wait=N` when the job has ended or the time is over.

    Whoever hangs up only looked: the job goes on.
    """
    check_id(job_id)
    prefer = wait_preference(",".join(request.headers.getlist("prefer")), edge.waits)
    if prefer and prefer.seconds:
        with edge.services.rates.waiting(caller):
            waiting = edge.services.jobs.wait(job_id, caller.tenant, prefer.seconds)
            job = await unless_client_leaves(request, waiting)
    else:
        job = await edge.services.jobs.status(job_id, caller.tenant)
    contents = await edge.services.jobs.inline_pictures(job)
    eta, applied = await edge.services.forecasts.of_job(job), prefer.applied if prefer else None
    return job_object(job, eta, edge.services.access.links, applied, contents)


@router.post(
    "/{job_id}/cancel",
    operation_id="cancelJob",
    summary="End a job that is no longer wanted",
    response_class=Response,
    responses={200: job_answer("The job object, of an ended job too"), **problems("not_found", "queue_unavailable")},
)
async def cancel_job(job_id: JobIdPath, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """A queued job ends at once, a running one with its present step; an ended one stays as it is."""
    check_id(job_id)
    return job_object(await edge.services.jobs.cancel(job_id, caller.tenant), None, edge.services.access.links)


@router.get(
    "/{job_id}/result",
    operation_id="getJobResult",
    summary="A picture of a job, or all of them",
    response_class=Response,
    responses=RESULT_ANSWERS,
    openapi_extra={"parameters": [*RESULT_HEADERS, *LINK]},
)
@router.head(
    "/{job_id}/result",
    operation_id="headJobResult",
    summary="The headers of `GET .../result`",
    response_class=Response,
    responses=RESULT_ANSWERS,
    openapi_extra={"parameters": LINK},
)
async def get_job_result(
    request: Request, job_id: JobIdPath, tenant: PictureReaderDep, edge: EdgeDep, index: IndexQuery = "0"
) -> Response:
    """The bytes of one picture, or what else `Accept` names; a failed job answers with its own problem and status."""
    check_id(job_id)
    if not _INDEX.fullmatch(index):
        raise NotFoundError("the job has no picture of this index")
    # Who came by a signed address is given no newer one by it.
    jobs, links = edge.services.jobs, edge.services.access.links if tenant else PLAIN
    job = await jobs.status(job_id, tenant)
    request.state.job_id = job.id
    answer = negotiate(",".join(request.headers.getlist("accept")), job.request.output.format)
    result, content = await jobs.picture(job, int(index))
    if answer == "json":
        return finished_object(job, *await jobs.pictures(job), links)
    if answer == "zip":
        return finished_archive(job, *await jobs.pictures(job), links)
    return finished_picture(job, result, content, int(index), _of(request))


@router.get(
    "/{job_id}/preview",
    operation_id="getJobPreview",
    summary="The newest preview of a job",
    response_class=Response,
    responses={
        200: {
            "description": "What the picture is going to be, small",
            "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        },
        **problems("not_found", "queue_unavailable", "storage_unavailable"),
    },
    openapi_extra={"parameters": LINK},
)
async def get_job_preview(job_id: JobIdPath, tenant: PictureReaderDep, edge: EdgeDep) -> Response:
    """A JPEG file of the first picture, once there is one: ask for them with `preview.every_steps`."""
    check_id(job_id)
    return preview(await edge.services.jobs.preview(job_id, tenant))


def _of(request: Request) -> Conditions:
    """What the request says of the file; ranges are defined for GET alone."""
    fields = request.headers
    ranges = fields.get("range", "") if request.method == "GET" else ""
    return Conditions(",".join(fields.getlist("if-none-match")), ranges, fields.get("if-range", ""))


def check_id(job_id: JobId) -> None:
    """Anything that is no id is simply not there."""
    if not JOB_ID.fullmatch(job_id):
        raise NotFoundError("there is no such job")
