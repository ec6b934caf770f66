"""The service's answers become values or errors: pure functions of one answer each."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import httpx

from xmdpt_client.errors import (
    FieldError,
    JobFailedError,
    UnexpectedAnswerError,
    UnreachableError,
    XmdptError,
    family_of,
)
from xmdpt_client.inputs import StoredPose, StoredSource
from xmdpt_client.streams import Event
from xmdpt_client.values import (
    Batch,
    BatchCounts,
    BatchResult,
    Eta,
    Generation,
    Job,
    JobPage,
    Model,
    NumberRange,
    Output,
    Picture,
    Preset,
    Progress,
)

T = TypeVar("T")
Document = Mapping[str, Any]

_NO_SERVICE_YET = frozenset({429, 502, 503})


def error_of(response: httpx.Response) -> XmdptError:
    """The error that an answer without success tells."""
    retry_after = response.headers.get("retry-after", "")
    about: dict[str, Any] = {
        "status": response.status_code,
        "retry_after": float(retry_after) if retry_after.isdecimal() else None,
        "request_id": response.headers.get("x-request-id"),
    }
    problem = _json_of(response) if _media_type(response) == "application/problem+json" else None
    try:
        return family_of(response.status_code)(**_problem(cast("Document", problem)), **about)
    except (AttributeError, KeyError, TypeError):
        # A proxy's own refusal is no problem document, and means the same.
        is_retryable = response.status_code in _NO_SERVICE_YET
        return UnexpectedAnswerError(_unlike_us(response), retryable=is_retryable, **about)


def unreachable(fault: httpx.RequestError) -> UnreachableError:
    """The error of a call without a whole answer."""
    reason = str(fault) or type(fault).__name__
    return UnreachableError(f"no answer from {_address(fault.request)}: {reason}", code="unreachable", retryable=True)


def read_job(response: httpx.Response) -> Job:
    """A job object; raises UnexpectedAnswerError for anything else."""
    return _read(response, job_of)


def read_models(response: httpx.Response) -> tuple[Model, ...]:
    """The list of models; raises UnexpectedAnswerError for anything else."""
    return _read(response, lambda document: tuple(_model(item) for item in document["data"]))


def read_source(response: httpx.Response) -> StoredSource:
    """A source object; raises UnexpectedAnswerError for anything else."""
    return _read(response, lambda document: StoredSource(**_stored(document, "source")))


def read_pose(response: httpx.Response) -> StoredPose:
    """A pose object; raises UnexpectedAnswerError for anything else."""
    return _read(response, lambda document: StoredPose(**_stored(document, "pose")))


def read_poses(response: httpx.Response) -> tuple[Document, ...]:
    """A list of poses, each as a request takes it; raises UnexpectedAnswerError for anything else."""
    fields = ("keypoints", "size", "origin")
    return _read(response, lambda document: tuple({name: pose[name] for name in fields} for pose in document["data"]))


def read_jobs(response: httpx.Response) -> JobPage:
    """A page of the list of jobs; raises UnexpectedAnswerError for anything else."""
    return _read(
        response,
        lambda document: JobPage(tuple(job_of(item) for item in document["data"]), document["next_cursor"]),
    )


def read_batch(response: httpx.Response) -> Batch:
    """A batch object; raises UnexpectedAnswerError for anything else."""
    return _read(response, _batch)


def read_batch_line(response: httpx.Response, line: str) -> BatchResult:
    """A line of a batch's results; raises UnexpectedAnswerError for anything else."""
    try:
        return _batch_result(json.loads(line))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _unexpected(response) from None


def read_picture(response: httpx.Response, seed: int) -> Picture:
    """A picture that this seed has made; raises UnexpectedAnswerError for anything else."""
    if not is_picture(response):
        raise _unexpected(response)
    return Picture(response.content, _media_type(response), seed)


def read_generation(response: httpx.Response) -> Generation | Job:
    """What a submission that was to be waited for has become; raises UnexpectedAnswerError for anything else."""
    if not is_picture(response):
        return read_job(response)
    try:
        headers = response.headers
        picture = read_picture(response, int(headers["x-xmdpt-seed"]))
        return Generation(headers["x-xmdpt-job-id"], (picture,))
    except (KeyError, ValueError):
        raise _unexpected(response) from None


def is_picture(response: httpx.Response) -> bool:
    """Whether the answer's body is a picture."""
    return _media_type(response).startswith("image/")


def is_event_stream(response: httpx.Response) -> bool:
    """Whether what comes are server-sent events."""
    return response.status_code == 200 and _media_type(response) == "text/event-stream"


def job_after(job: Job, event: Event) -> Job:
    """The job as one of its events tells it; an event that can't be read tells nothing."""
    try:
        document = json.loads(event.data)
        if event.kind in ("status", "end"):
            return job_of(document)
        if event.kind == "progress":
            return replace(job, progress=_progress(document, job.status, document["eta"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return job


def is_wait_granted(response: httpx.Response) -> bool:
    """Whether the service waited as asked; one with a lower limit ignores the wish and answers at once."""
    return "preference-applied" in response.headers


def job_of(document: Document) -> Job:
    """A job object of docs/api.md."""
    if document["object"] != "job":
        raise ValueError("not a job object")
    status, progress = str(document["status"]), document["progress"]
    return Job(
        id=str(document["id"]),
        status=status,
        seed=int(document["request"]["seed"]),
        position=int(document["queue"]["position"]),
        progress=_progress(progress, status, document["eta"]),
        outputs=tuple(_output(item) for item in document["outputs"]),
        error=_failure(document["error"], str(document["id"])) if document["error"] else None,
        document=document,
    )


def _stored(document: Document, kind: str) -> dict[str, Any]:
    if document["object"] != kind:
        raise ValueError(f"not a {kind} object")
    return {"id": str(document["id"]), "is_encoded": document["vector"] == "ready", "document": document}


def _progress(document: Document, status: str, eta: Document | None) -> Progress:
    return Progress(
        status=status,
        stage=document["stage"],
        step=int(document["step"]),
        steps=int(document["steps"]),
        ratio=float(document["ratio"]),
        eta=_eta(eta) if eta else None,
    )


def _batch(document: Document) -> Batch:
    if document["object"] != "batch":
        raise ValueError("not a batch object")
    counts = document["request_counts"]
    return Batch(
        id=str(document["id"]),
        status=str(document["status"]),
        counts=BatchCounts(**{name: int(counts[name]) for name in BatchCounts.__dataclass_fields__}),
        eta=_eta(document["eta"]) if document["eta"] else None,
        document=document,
    )


def _batch_result(document: Document) -> BatchResult:
    job_id, error = document.get("job_id"), document.get("error")
    return BatchResult(
        number=int(document["n"]),
        custom_id=str(document["custom_id"]),
        status=str(document["status"]),
        job_id=job_id,
        outputs=tuple(_output(item) for item in document.get("outputs") or ()),
        error=_failure(error, job_id) if error else None,
        document=document,
    )


def _eta(document: Document) -> Eta:
    return Eta(document["p50_ms"] / 1000, document["p90_ms"] / 1000)


def _output(document: Document) -> Output:
    return Output(
        index=int(document["index"]),
        content_type=str(document["content_type"]),
        sha256=str(document["sha256"]),
        num_bytes=int(document["bytes"]),
        seed=int(document["seed"]),
    )


def _failure(document: Document, job_id: str | None) -> JobFailedError:
    return JobFailedError(status=int(document["status"]), **_problem(document, job_id))


def _problem(document: Document, job_id: str | None = None) -> dict[str, Any]:
    """Arguments of an error from a problem (RFC 9457); raises if it is none."""
    faults: list[Document] = document.get("errors") or []
    return {
        "detail": str(document["detail"]),
        "code": str(document["code"]),
        "retryable": bool(document["retryable"]),
        "errors": [FieldError(str(fault["pointer"]), str(fault["detail"])) for fault in faults],
        "job_id": job_id or document.get("job_id"),
    }


def _model(document: Document) -> Model:
    width, height = document["size"]
    return Model(
        name=str(document["name"]),
        digest=str(document["digest"]),
        is_trained=bool(document["is_trained"]),
        steps=_range(document["steps"]),
        guidance=_range(document["guidance"]),
        samplers=tuple(document["samplers"]),
        # A service of before there were presets names none.
        presets=tuple(_preset(preset) for preset in document.get("presets", ())),
        formats=tuple(document["formats"]),
        size=(int(width), int(height)),
        document=document,
    )


def _preset(document: Document) -> Preset:
    quality: Document = document["quality"] or {}
    return Preset(str(document["name"]), int(document["steps"]), str(document["precision"]), quality.get("psnr_db"))


def _range(document: Document) -> NumberRange:
    return NumberRange(document["min"], document["max"], document["default"])


def _read(response: httpx.Response, reader: Callable[[Document], T]) -> T:
    try:
        return reader(_json_of(response))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _unexpected(response) from None


def _json_of(response: httpx.Response) -> Any:
    """The body as JSON, None if it is none."""
    try:
        return response.json()
    except ValueError:
        return None


def _unexpected(response: httpx.Response) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(_unlike_us(response), status=response.status_code)


def _unlike_us(response: httpx.Response) -> str:
    kind = _media_type(response) or "nothing"
    return (
        f"{_address(response.request)} answers {response.status_code} with {kind}, which is not how xmdpt-serve answers"
    )


def _address(request: httpx.Request) -> str:
    """Where a call went, without a password that the address may hold."""
    url = request.url
    return f"{url.scheme}://{url.netloc.decode()}{url.path}"


def _media_type(response: httpx.Response) -> str:
    return response.headers.get("content-type", "").split(";")[0].strip().lower()
