"""A job as an HTTP answer: accepted (202), the job object, the picture's bytes with their headers, or a preview."""

import math

from starlette.responses import JSONResponse, Response

from service.api.views import job_url, job_view, result_url, timings_ms
from service.domain.capacity import Eta
from service.domain.job import Job
from service.domain.result import JobResult


def accepted(job: Job, eta: Eta | None, preference_applied: str | None = None) -> Response:
    """202 with the job object, where to look for it, and when it is likely to have ended."""
    headers = {
        "Location": job_url(job.id),
        "Link": f'<{job_url(job.id)}>; rel="monitor"',
        # Without a forecast, asking once a second costs nobody anything.
        "Retry-After": str(max(1, math.ceil(eta.p50_seconds))) if eta else "1",
    }
    return JSONResponse(job_view(job, eta).model_dump(mode="json"), 202, headers | _applied(preference_applied))


def job_object(job: Job, eta: Eta | None, preference_applied: str | None = None) -> Response:
    """200 with the job object, whatever became of the job."""
    return JSONResponse(job_view(job, eta).model_dump(mode="json"), 200, _applied(preference_applied))


def finished(job: Job, result: JobResult, content: bytes | None, preference_applied: str | None = None) -> Response:
    """A job that ended well: its picture, or the job object where content is None."""
    headers = _applied(preference_applied) | {
        "Server-Timing": ", ".join(f"{stage};dur={ms:g}" for stage, ms in timings_ms(result).items()),
        "X-Xmdpt-Job-Id": job.id,
        "X-Xmdpt-Seed": str(job.request.params.seed),
        "X-Xmdpt-Steps": str(job.request.params.num_steps),
        "X-Xmdpt-Runtime": result.runtime,
    }
    if result.cache:
        headers["X-Xmdpt-Cache"] = ", ".join(f"{kind}={found}" for kind, found in result.cache.items())
    if content is None:
        body = job_view(job, None).model_dump(mode="json")
        return JSONResponse(body, 200, headers | {"Content-Location": job_url(job.id)})
    return Response(content, 200, headers | {"Content-Location": result_url(job.id)}, result.content_type)


def preview(content: bytes) -> Response:
    """The newest preview, which the next one replaces under the same address."""
    return Response(content, 200, {"Cache-Control": "no-store"}, "image/jpeg")


def _applied(preference: str | None) -> dict[str, str]:
    return {"Preference-Applied": preference} if preference else {}
