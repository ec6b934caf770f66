"""The one table from an error's code to its HTTP status, and its form on the wire (RFC 9457).

It decides no error: whoever finds a fault names a code, here it becomes an answer. `docs/errors.md` is made from it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from service.domain.errors import (
    AccessError,
    FieldIssue,
    JobStateError,
    OverloadedError,
    RangeNotSatisfiableError,
    ServiceError,
)

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True)
class ProblemKind:
    """What is the same in every problem of one code.

    Attributes:
        status: of HTTP.
        title: a few words, for people.
        remedy: what the caller can do about it.
        is_retryable: the very same call may succeed later.
    """

    status: int
    title: str
    remedy: str
    is_retryable: bool = False


PROBLEMS: Mapping[str, ProblemKind] = {
    "malformed_request": ProblemKind(400, "Malformed request", "Send JSON by RFC 8259 or a form by RFC 7578."),
    "bad_header": ProblemKind(400, "Unusable header", "Correct the header that `detail` names."),
    "unauthenticated": ProblemKind(
        401, "No valid API key", "Send `Authorization: Bearer` and a key; who runs the server makes them."
    ),
    "forbidden": ProblemKind(403, "Not allowed with this key", "Use a key with the scope that `detail` names."),
    "not_found": ProblemKind(404, "Not found", "Check the address; follow the links in `urls`."),
    "method_not_allowed": ProblemKind(405, "Method not allowed", "Use a method that the header `Allow` names."),
    "not_acceptable": ProblemKind(
        406,
        "Not acceptable",
        "Accept image/png, image/jpeg, image/webp or application/json, in agreement with `output`.",
    ),
    "request_timeout": ProblemKind(408, "Request too slow", "Send the whole request faster."),
    "not_finished": ProblemKind(409, "Job not finished", "Ask again after `Retry-After`.", True),
    "cancelled": ProblemKind(409, "Job cancelled", "Submit the request again."),
    "expired": ProblemKind(410, "Picture expired", "Submit the request again with the same seed."),
    "body_too_large": ProblemKind(413, "Body too large", "Send a smaller picture or less text."),
    "uri_too_long": ProblemKind(414, "URL too long", "Send a shorter URL; parameters belong into the body."),
    "media_type": ProblemKind(415, "Unsupported media type", "Send multipart/form-data or application/json."),
    "image_type": ProblemKind(415, "Unsupported picture type", "Send a PNG, JPEG or WebP file."),
    "range_not_satisfiable": ProblemKind(
        416, "No such bytes", "Ask for at most 5 ranges that begin below the length in `Content-Range`."
    ),
    "validation": ProblemKind(422, "Invalid field", "Correct the fields that `errors` points to."),
    "image_invalid": ProblemKind(422, "Damaged picture", "Send a picture that other programs can open."),
    "image_too_large": ProblemKind(422, "Picture too large", "Scale the picture down."),
    "image_too_small": ProblemKind(422, "Picture too small", "Send a larger picture."),
    "image_animated": ProblemKind(422, "Animated picture", "Send a single frame."),
    "keypoints_format": ProblemKind(422, "Unusable key points", "Send 18 entries in the order of OpenPose COCO-18."),
    "pose_too_sparse": ProblemKind(422, "Too few key points", "Send at least 3 key points that are seen and apart."),
    "pose_out_of_frame": ProblemKind(422, "Pose outside of its frame", "Check `size` and `origin`."),
    "no_person": ProblemKind(
        422, "Nobody found", "Send a photo of one upright person, head included, at least a fifth of the photo high."
    ),
    "several_persons": ProblemKind(422, "Several persons", "Cut the photo to one of the persons."),
    "person_too_small": ProblemKind(422, "Person too small", "Send a larger photo, or one that is cut to the person."),
    "person_out_of_frame": ProblemKind(
        422, "Person out of the picture", "Send a photo that shows the person from the head to the hips at least."
    ),
    "unknown_model": ProblemKind(422, "Unknown model", "Use a name of `GET /v1/models`, or none."),
    "unavailable_preset": ProblemKind(422, "Preset not offered", "Use one that `GET /v1/models` lists, or none."),
    "unknown_preset": ProblemKind(422, "Unknown pose", "Use a name of `GET /v1/poses/presets`."),
    "webhook_url": ProblemKind(
        422, "Unusable webhook", "Name an https address, on port 443 or 8443, of a host that the internet reaches."
    ),
    "idempotency_mismatch": ProblemKind(
        422, "Key of another request", "Use a new Idempotency-Key for each new request."
    ),
    "tenant_queue_full": ProblemKind(
        429, "Too many jobs of yours", "Let some of your jobs end, or send the call again after `Retry-After`.", True
    ),
    "quota_exhausted": ProblemKind(
        429,
        "Too many sources and poses of yours",
        "Delete some; those that are unused for 7 days go by themselves.",
        True,
    ),
    "headers_too_large": ProblemKind(431, "Headers too large", "Send fewer and shorter headers, cookies above all."),
    "rate_limited": ProblemKind(429, "Too many requests", "Send the call again after `Retry-After`.", True),
    "concurrency_limited": ProblemKind(
        429,
        "Too many calls at one time",
        "Wait for fewer jobs, or follow fewer; or send `Prefer: respond-async`.",
        True,
    ),
    "internal_error": ProblemKind(500, "Internal error", "Report it with the `instance`."),
    "backend_error": ProblemKind(500, "The model could not be run", "Report it with the `job_id`."),
    "input_lost": ProblemKind(500, "Pictures of the job lost", "Submit the request again, with its pictures."),
    "attempts_exhausted": ProblemKind(
        500, "Attempts used up", "Report it with the `job_id`; a worker died repeatedly."
    ),
    "overloaded": ProblemKind(503, "Overloaded", "Send the call again after `Retry-After`.", True),
    "draining": ProblemKind(503, "Gateway about to stop", "Send the call again: another gateway takes it.", True),
    "no_worker": ProblemKind(
        503, "Nobody works", "Send the call again later, or with `Prefer: respond-async`: then the job waits.", True
    ),
    "queue_unavailable": ProblemKind(503, "Queue unavailable", "Send the call again later.", True),
    "storage_unavailable": ProblemKind(503, "Storage unavailable", "Send the call again later.", True),
    "resource_exhausted": ProblemKind(503, "Out of device memory", "Send the call again later.", True),
    "backend_unavailable": ProblemKind(503, "The model's server is away", "Send the call again later.", True),
    "deadline_exceeded": ProblemKind(
        504, "Deadline exceeded", "Send the call again later, or with a longer `deadline_ms`.", True
    ),
    "backend_timeout": ProblemKind(504, "The model took too long", "Send the call again later.", True),
}

# Statuses that the framework answers by itself.
_FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed", 400: "malformed_request"}


class IssueBody(BaseModel):
    """One field at fault."""

    pointer: str = Field(description="JSON pointer of the field, as in the JSON body", examples=["/pose/keypoints/3"])
    detail: str


class Problem(BaseModel):
    """An error by RFC 9457; `code` is stable, the texts are not."""

    type: str = Field(examples=["/problems/validation"])
    title: str
    status: int
    detail: str
    instance: str | None = Field(None, description="Id of the request, as in `X-Request-Id`")
    code: str = Field(examples=["validation"])
    retryable: bool = Field(description="The very same call may succeed later")
    job_id: str | None = None
    errors: list[IssueBody] | None = None


def problem_of(
    code: str,
    detail: str,
    *,
    issues: Sequence[FieldIssue] = (),
    request_id: str | None = None,
    job_id: str | None = None,
) -> dict[str, Any]:
    """The wire form; a code that the table lacks becomes `internal_error`, whose detail stays here."""
    if code not in PROBLEMS or code == "internal_error":
        code, detail = "internal_error", "something went wrong here; it has been logged"
    kind = PROBLEMS[code]
    problem = Problem(
        type=f"/problems/{code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request_id,
        code=code,
        retryable=kind.is_retryable,
        job_id=job_id,
        errors=[IssueBody(pointer=issue.pointer, detail=issue.detail) for issue in issues] or None,
    )
    return problem.model_dump(exclude_none=True)


def problem_response(error: ServiceError, request_id: str | None = None, job_id: str | None = None) -> JSONResponse:
    """Answer an error that was raised on purpose."""
    problem = problem_of(error.code, error.detail, issues=error.issues, request_id=request_id, job_id=job_id)
    headers = {}
    retry_after = error.retry_after_seconds if isinstance(error, OverloadedError | JobStateError) else None
    if retry_after is None and PROBLEMS[problem["code"]].is_retryable:
        retry_after = 1.0
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    if isinstance(error, AccessError) and problem["status"] == 401:
        # RFC 6750, section 3.
        headers["WWW-Authenticate"] = "Bearer" + (' error="invalid_token"' if error.is_key_given else "")
    if isinstance(error, RangeNotSatisfiableError):
        headers["Content-Range"] = f"bytes */{error.num_bytes}"
    return JSONResponse(problem, problem["status"], headers, CONTENT_TYPE)


def framework_error(status: int, detail: str) -> ServiceError:
    """The framework's own error of this status, in our words where there are any."""
    code = _FRAMEWORK_CODES.get(status, "internal_error")
    texts = {"not_found": "there is nothing at this address", "method_not_allowed": "this address has other methods"}
    return ServiceError(code, texts.get(code, detail))
