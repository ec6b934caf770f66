"""A job as an HTTP answer: accepted (202), the job object, or the picture's bytes with their headers."""

from starlette.responses import JSONResponse, Response

from service.api.views import job_url, job_view, result_url, timings_ms
from service.domain.job import Job
from service.domain.result import JobResult

# Without a forecast of the queue, asking once a second costs nobody anything.
_RETRY_AFTER = "1"


def accepted(job: Job, preference_applied: str | None = None) -> Response:
    """202 with the job object and where to look for it."""
    headers = {
        "Location": job_url(job.id),
        "Link": f'<{job_url(job.id)}>; rel="monitor"',
        "Retry-After": _RETRY_AFTER,
    }
    return JSONResponse(job_view(job).model_dump(mode="json"), 202, headers | _applied(preference_applied))


def job_object(job: Job, preference_applied: str | None = None) -> Response:
    """200 with the job object, whatever became of the job."""
    return JSONResponse(job_view(job).model_dump(mode="json"), 200, _applied(preference_applied))


def finished(job: Job, result: JobResult, content: bytes | None, preference_applied: str | None = None) -> Response:
    """A job that ended well: its picture, or the job object where content is None."""
    headers = _applied(preference_applied) | {
        "Server-Timing": ", ".join(f"{stage};dur={ms:g}" for stage, ms in timings_ms(result).items()),
        "X-Xmdpt-Job-Id": job.id,
        "X-Xmdpt-Seed": str(job.request.params.seed),
        "X-Xmdpt-Steps": str(job.request.params.num_steps),
    }
    if content is None:
        return JSONResponse(job_view(job).model_dump(mode="json"), 200, headers | {"Content-Location": job_url(job.id)})
    return Response(content, 200, headers | {"Content-Location": result_url(job.id)}, result.content_type)


def _applied(preference: str | None) -> dict[str, str]:
    return {"Preference-Applied": preference} if preference else {}
