"""A job as an HTTP answer: accepted (202), the job object, a picture's bytes, all of it as an archive, or a preview."""

import io
import json
import math
import time
import zipfile
from collections.abc import Sequence

from starlette.responses import JSONResponse, Response

from service.api.conditional import (
    Conditions,
    content_range,
    entity_tag,
    is_known,
    multipart_byteranges,
    wanted_ranges,
)
from service.api.views import job_url, job_view, result_url, timings_ms
from service.domain.capacity import Eta
from service.domain.job import Job
from service.domain.result import JobResult
from service.gateway.links import Links


def accepted(job: Job, eta: Eta | None, links: Links, preference_applied: str | None = None) -> Response:
    """202 with the job object, where to look for it, and when it is likely to have ended."""
    headers = {
        "Location": job_url(job.id),
        "Link": f'<{job_url(job.id)}>; rel="monitor"',
        # Without a forecast, asking once a second costs nobody anything.
        "Retry-After": str(max(1, math.ceil(eta.p50_seconds))) if eta else "1",
    }
    view = job_view(job, eta, links=links)
    return JSONResponse(view.model_dump(mode="json"), 202, headers | _applied(preference_applied))


def job_object(
    job: Job, eta: Eta | None, links: Links, preference_applied: str | None = None, contents: Sequence[bytes] = ()
) -> Response:
    """200 with the job object, whatever became of the job; it holds the pictures' files if there are any."""
    view = job_view(job, eta, contents, links)
    return JSONResponse(view.model_dump(mode="json"), 200, _applied(preference_applied))


def finished_object(
    job: Job, result: JobResult, contents: Sequence[bytes], links: Links, preference_applied: str | None = None
) -> Response:
    """The job object of a job that ended well, with the pictures' files if that was asked for."""
    headers = _applied(preference_applied) | _about(job, result)
    headers |= {"Vary": "Accept", "Content-Location": job_url(job.id)}
    view = job_view(job, None, contents if job.request.output.is_inline else (), links)
    return JSONResponse(view.model_dump(mode="json"), 200, headers)


def finished_archive(
    job: Job, result: JobResult, contents: Sequence[bytes], links: Links, preference_applied: str | None = None
) -> Response:
    """A zip of a job that ended well: its pictures as `<index>.<format>`, and the job object as `job.json`."""
    buffer = io.BytesIO()
    # Pictures are compressed already.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for index, content in enumerate(contents):
            archive.writestr(zipfile.ZipInfo(f"{index}.{job.request.output.format}"), content)
        view = job_view(job, None, links=links)
        archive.writestr(zipfile.ZipInfo("job.json"), json.dumps(view.model_dump(mode="json"), indent=2))
    headers = _applied(preference_applied) | _about(job, result)
    headers |= {"Vary": "Accept", "Content-Disposition": f'attachment; filename="{job.id}.zip"'}
    return Response(buffer.getvalue(), 200, headers, "application/zip")


def finished_picture(
    job: Job,
    result: JobResult,
    content: bytes,
    index: int = 0,
    conditions: Conditions = Conditions(),  # noqa: B008 - frozen
    preference_applied: str | None = None,
) -> Response:
    """A picture of a job that ended well: all of it, the bytes that are wanted, or 304 if the client has it.

    Raises:
        RangeNotSatisfiableError: none of the wanted bytes are there.
    """
    sha256 = result.files[index].sha256
    tag = entity_tag(sha256)
    seconds_left = max(0, math.floor((job.expires_at or 0) - time.time()))
    cached = {
        "ETag": tag,
        "Cache-Control": f"private, max-age={seconds_left}, immutable",
        "Vary": "Accept",
        "Content-Location": result_url(job.id, index),
    }
    if is_known(conditions.if_none_match, tag):
        return Response(status_code=304, headers=cached)
    spans = wanted_ranges(conditions, tag, len(content))
    headers = _applied(preference_applied) | _about(job, result, index) | cached | {"Accept-Ranges": "bytes"}
    if not spans:
        return Response(content, 200, headers, result.content_type)
    if len(spans) == 1:
        headers["Content-Range"] = content_range(spans[0], len(content))
        return Response(content[spans[0].start : spans[0].stop], 206, headers, result.content_type)
    # No file holds its own digest.
    boundary = sha256
    body = multipart_byteranges(content, result.content_type, spans, boundary)
    return Response(body, 206, headers, f"multipart/byteranges; boundary={boundary}")


def preview(content: bytes) -> Response:
    """The newest preview, which the next one replaces under the same address."""
    return Response(content, 200, {"Cache-Control": "no-store"}, "image/jpeg")


def _about(job: Job, result: JobResult, index: int = 0) -> dict[str, str]:
    headers = {
        "Server-Timing": ", ".join(f"{stage};dur={ms:g}" for stage, ms in timings_ms(result).items()),
        "X-Xmdpt-Job-Id": job.id,
        "X-Xmdpt-Seed": str(job.request.params.seed + index),
        "X-Xmdpt-Preset": job.request.params.preset.value,
        "X-Xmdpt-Steps": str(job.request.params.num_steps),
        "X-Xmdpt-Runtime": result.runtime,
    }
    if result.precision:
        headers["X-Xmdpt-Precision"] = result.precision
    if result.cache:
        headers["X-Xmdpt-Cache"] = ", ".join(f"{kind}={found}" for kind, found in result.cache.items())
    return headers


def _applied(preference: str | None) -> dict[str, str]:
    return {"Preference-Applied": preference} if preference else {}
