"""POST /v1/generate and its alias /generate: submit, wait, answer with the picture.

Submitting without waiting is `service.api.jobs`'.
"""

import functools
from contextlib import nullcontext
from typing import Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.api.answers import accepted, finished_archive, finished_object, finished_picture
from service.api.callers import GeneratorDep
from service.api.departures import unless_client_leaves
from service.api.dependencies import EdgeDep
from service.api.idempotency import idempotency_key
from service.api.openapi import (
    GENERATION_BODY,
    GENERATION_PROBLEMS,
    IDEMPOTENCY_KEY,
    JOB_PROBLEMS,
    PREFER,
    job_answer,
    picture_answer,
    problems,
)
from service.api.preferences import Answer, WaitPreference, negotiate, wait_preference
from service.domain.access import Caller
from service.domain.job import Job
from service.domain.request import ImageFormat
from service.gateway.jobs import Jobs, Submitted

router = APIRouter(tags=["generate"])

_RESPONSES = {
    200: picture_answer("The picture, or by `Accept` the job object or an archive of both", is_replayable=True),
    202: job_answer("Not ended in time, or `Prefer: respond-async`: accepted and durable", is_accepted=True),
    **problems(*GENERATION_PROBLEMS, *JOB_PROBLEMS, "concurrency_limited", "no_worker", "not_acceptable", "expired"),
}

_ROUTE: dict[str, Any] = {
    "response_class": Response,
    "responses": _RESPONSES,
    "openapi_extra": GENERATION_BODY | {"parameters": [PREFER, IDEMPOTENCY_KEY]},
}


@router.post(
    "/v1/generate",
    operation_id="generate",
    summary="Make pictures and wait for them",
    **_ROUTE,
)
@router.post(
    "/generate",
    operation_id="generateAlias",
    summary="Alias of POST /v1/generate",
    **_ROUTE,
)
async def generate(request: Request, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """Submit a job and wait for it as `Prefer` says (`wait=20` if it says nothing)."""
    edge.services.readiness.check_open()
    key = idempotency_key(request.headers)
    await edge.services.jobs.room.check(caller.tenant, key)
    default = WaitPreference(edge.waits.default_seconds, f"wait={edge.waits.default_seconds}")
    prefer = wait_preference(",".join(request.headers.getlist("prefer")), edge.waits) or default
    if prefer.seconds:
        await edge.services.workforce.check()
    accept = ",".join(request.headers.getlist("accept"))
    submission = await edge.reader.read(request, caller.tenant, functools.partial(_format, accept))
    output, has_several = submission.options.output, submission.options.num_images > 1
    answer = negotiate(accept, output.format, prefer_json=output.is_inline, has_several=has_several)
    jobs, links = edge.services.jobs, edge.services.access.links
    with edge.services.rates.waiting(caller) if prefer.seconds else nullcontext():
        submitted = await jobs.submit(submission, caller.tenant, key)
        request.state.job_id, request.state.is_replay = submitted.job_id, submitted.is_replay
        if prefer.seconds:
            job = await _wait(request, jobs, submitted, caller, prefer.seconds, is_repeatable=key is not None)
        else:
            job = await jobs.status(submitted.job_id, caller.tenant)
    if not (prefer.seconds and job.status.is_final):
        return accepted(job, await edge.services.forecasts.of_job(job), links, prefer.applied)
    result, contents = await jobs.pictures(job)
    if answer == "json":
        return finished_object(job, result, contents, links, prefer.applied)
    if answer == "zip":
        return finished_archive(job, result, contents, links, prefer.applied)
    return finished_picture(job, result, contents[0], preference_applied=prefer.applied)


async def _wait(
    request: Request, jobs: Jobs, submitted: Submitted, caller: Caller, seconds: int, *, is_repeatable: bool
) -> Job:
    """The job once it has ended or the time is over.

    The job of a client that hangs up is cancelled, unless a repeat of the call could find it.
    """
    try:
        return await unless_client_leaves(request, jobs.wait_for(submitted, caller.tenant, seconds))
    except ClientDisconnect:
        if not is_repeatable:
            await jobs.cancel(submitted.job_id, caller.tenant)
        raise


def _format(accept: str, asked: ImageFormat | None) -> ImageFormat:
    """What to write: `output.format`, else what `Accept` prefers, else png."""
    answer: Answer = negotiate(accept, asked)
    return answer if isinstance(answer, ImageFormat) else asked or ImageFormat.PNG
