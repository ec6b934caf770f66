"""POST /v1/generate and its alias /generate: submit, wait, answer with the picture.

Submitting without waiting is `service.api.jobs`'.
"""

import functools
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.answers import accepted, finished
from service.api.dependencies import EdgeDep
from service.api.openapi import (
    GENERATION_BODY,
    GENERATION_PROBLEMS,
    JOB_PROBLEMS,
    PREFER,
    job_answer,
    picture_answer,
    problems,
)
from service.api.preferences import Answer, WaitPreference, negotiate, wait_preference
from service.domain.request import ImageFormat

router = APIRouter(tags=["generate"])

_RESPONSES = {
    200: picture_answer("The picture, or the job object if `Accept` prefers application/json", with_job=True),
    202: job_answer("Not ended in time, or `Prefer: respond-async`: accepted and durable", is_accepted=True),
    **problems(*GENERATION_PROBLEMS, *JOB_PROBLEMS, "not_acceptable", "expired"),
}

_ROUTE: dict[str, Any] = {
    "response_class": Response,
    "responses": _RESPONSES,
    "openapi_extra": GENERATION_BODY | PREFER,
}


@router.post(
    "/v1/generate",
    operation_id="generate",
    summary="Make one picture and wait for it",
    **_ROUTE,
)
@router.post(
    "/generate",
    operation_id="generateAlias",
    summary="Alias of POST /v1/generate",
    **_ROUTE,
)
async def generate(request: Request, edge: EdgeDep) -> Response:
    """Submit a job and wait for it as `Prefer` says (`wait=20` if it says nothing)."""
    accept = ",".join(request.headers.getlist("accept"))
    submission = await edge.reader.read(request, functools.partial(_format, accept))
    answer = negotiate(accept, submission.output.format)
    default = WaitPreference(edge.waits.default_seconds, f"wait={edge.waits.default_seconds}")
    prefer = wait_preference(",".join(request.headers.getlist("prefer")), edge.waits) or default
    jobs = edge.services.jobs
    job_id = request.state.job_id = await jobs.submit(submission)
    if not prefer.seconds:
        return accepted(await jobs.status(job_id), prefer.applied)
    job = await jobs.wait(job_id, prefer.seconds)
    if not job.status.is_final:
        return accepted(job, prefer.applied)
    result, content = await jobs.picture(job)
    return finished(job, result, None if answer == "json" else content, prefer.applied)


def _format(accept: str, asked: ImageFormat | None) -> ImageFormat:
    """What to write: `output.format`, else what `Accept` prefers, else png."""
    answer: Answer = negotiate(accept, asked)
    return answer if isinstance(answer, ImageFormat) else asked or ImageFormat.PNG
