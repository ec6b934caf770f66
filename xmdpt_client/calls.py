"""The calls of the API as plain values: what to send, and how long the service may take on purpose.

It sends nothing and reads no answer.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

from xmdpt_client.inputs import FilePart, NewPose, Photo, Pose, Source, pose_field, pose_part, source_field, source_part
from xmdpt_client.poses import pose_document

# The service waits for an encoder no longer than this.
_WARM_SECONDS = 5
# On a stream something is to be read at least this often.
SILENCE_SECONDS = 15
_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")


class Options(TypedDict, total=False):
    """What may be asked for besides the two pictures; None and absent both mean the service's own choice.

    Attributes:
        model: a name of `models()`.
        preset: `exact`, `fast` or `draft`, as the model offers them; a number of steps beside it comes first.
        steps: denoising steps, 2 .. 250.
        seed: 0 .. 2^53 - 1; drawn by the service if absent, and told in the answer.
        num_images: 1 .. 8; picture i is drawn from seed + i.
        guidance: 1 .. 10; 1 is none.
        sampler: `ddim` or `dpmpp_2m`.
        format: `png`, `jpeg` or `webp`.
        quality: 1 .. 100, of jpeg and webp.
        fit: `model`, 256 x 256 px as generated, or `source`: in the photo's own proportions.
        crop: `person`: of the photo only a frame around the person counts; `none`: all of it. It goes with photos that
            are uploaded by the call, not with stored ones.
        priority: `interactive` or `batch`.
        deadline: seconds from acceptance, 0.1 .. 86,400; what has not ended by then fails.
        webhook: an address that is told of the job's end, or the API's own object `{"url": ..., "events": [...]}`.
        idempotency_key: 1 .. 255 visible ASCII characters, drawn if absent; the same call under the same key finds the
            first one's job.
    """

    model: str | None
    preset: str | None
    steps: int | None
    seed: int | None
    num_images: int | None
    guidance: float | None
    sampler: str | None
    format: str | None
    quality: int | None
    fit: str | None
    crop: str | None
    priority: str | None
    deadline: float | None
    webhook: str | Mapping[str, Any] | None
    idempotency_key: str | None


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes:
        method: of HTTP.
        path: below the service's address.
        headers: besides those of the connection.
        files: of a form, and ids in place of them.
        fields: of a form, as text.
        content: a whole body in the place of a form.
        wait_seconds: how long the service may hold its answer back, because it was asked to.
        is_stream: the answer's body is read line by line as it comes.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, FilePart] = field(default_factory=dict[str, FilePart])
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    wait_seconds: int = 0
    is_stream: bool = False


def submission(
    source: Source,
    pose: Pose,
    *,
    model: str | None = None,
    preset: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    num_images: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    format: str | None = None,
    quality: int | None = None,
    fit: str | None = None,
    crop: str | None = None,
    priority: str | None = None,
    deadline: float | None = None,
    webhook: str | Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> Call:
    """Submit a job without waiting; the arguments are those of `Options`.

    Raises:
        OSError: a file can't be read.
        ValueError: the key is unusable, a file has more than 100 MB, or the pose holds what JSON can't.
        TypeError: source or pose is none of the forms that are taken.
    """
    if idempotency_key is not None:
        check_visible_ascii("idempotency_key", idempotency_key)
    fields = {
        "model": model,
        "preset": preset,
        "steps": steps,
        "seed": seed,
        "num_images": num_images,
        "guidance": guidance,
        "sampler": sampler,
        "format": format,
        "quality": quality,
        "fit": fit,
        "source_crop": crop,
        "priority": priority,
        "deadline_ms": None if deadline is None else round(deadline * 1000),
        "params": None if webhook is None else json.dumps({"webhook": _webhook(webhook)}, allow_nan=False),
    }
    return Call(
        "POST",
        "/v1/jobs",
        headers={"Idempotency-Key": idempotency_key or secrets.token_hex(16)},
        files=dict((source_field(source), pose_field(pose))),
        fields={name: str(value) for name, value in fields.items() if value is not None},
    )


def waited_for(call: Call, wait_seconds: int) -> Call:
    """The same submission, answered with the picture if that is there within so many whole seconds."""
    headers = {**call.headers, "Prefer": f"wait={wait_seconds}"}
    return replace(call, path="/v1/generate", headers=headers, wait_seconds=wait_seconds)


def look(job_id: str, wait_seconds: int = 0) -> Call:
    """The job as it stands, or once it has ended if that happens within so many whole seconds."""
    headers = {"Prefer": f"wait={wait_seconds}"} if wait_seconds else {}
    return Call("GET", _job_path(job_id), headers=headers, wait_seconds=wait_seconds)


def follow(job_id: str, last_event_id: str | None) -> Call:
    """What happens to the job, after an event that was seen already if there is one."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
    return Call("GET", f"{_job_path(job_id)}/events", headers=headers, wait_seconds=SILENCE_SECONDS, is_stream=True)


def jobs(status: str | None, batch_id: str | None, limit: int, cursor: str | None) -> Call:
    """A page of the list of jobs."""
    query = {"status": status, "batch": batch_id, "limit": limit, "cursor": cursor}
    return Call("GET", f"/v1/jobs?{urlencode({name: value for name, value in query.items() if value is not None})}")


def cancel(job_id: str) -> Call:
    """End a job that is no longer wanted."""
    return Call("POST", f"{_job_path(job_id)}/cancel")


def picture(job_id: str, index: int = 0) -> Call:
    """A picture of a job."""
    return Call("GET", f"{_job_path(job_id)}/result" + (f"?index={index}" if index else ""))


def batch_of_lines(lines: Sequence[Mapping[str, Any]], deadline: float | None, idempotency_key: str | None) -> Call:
    """Ask for many pictures, an item a line; ValueError if one holds what JSON can't."""
    query = "" if deadline is None else f"?deadline_ms={round(deadline * 1000)}"
    content = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
    return _batch(query, "application/x-ndjson", content, idempotency_key)


def batch_of_json(
    form: Mapping[str, Any],
    deadline: float | None,
    webhook: str | Mapping[str, Any] | None,
    idempotency_key: str | None,
) -> Call:
    """Likewise by `matrix` and `defaults`, or `items`, 1,000 at most."""
    body = dict(form)
    if deadline is not None:
        body["deadline_ms"] = round(deadline * 1000)
    if webhook is not None:
        body["webhook"] = _webhook(webhook)
    return _batch("", "application/json", json.dumps(body, allow_nan=False).encode(), idempotency_key)


def batch(batch_id: str) -> Call:
    """The batch as it stands."""
    return Call("GET", _batch_path(batch_id))


def cancel_batch(batch_id: str) -> Call:
    """End a batch that is no longer wanted."""
    return Call("POST", f"{_batch_path(batch_id)}/cancel")


def batch_results(batch_id: str, after: int) -> Call:
    """The items that end, behind the line of that number."""
    path = f"{_batch_path(batch_id)}/results?after={after}"
    headers = {"Accept": "application/x-ndjson"}
    return Call("GET", path, headers=headers, wait_seconds=SILENCE_SECONDS, is_stream=True)


def keep(part: FilePart, crop: str | None = None) -> Call:
    """Keep the photo or the pose that is the form's `source` or `pose`; a photo may be cropped, as in `Options`."""
    name = part[0] or ""
    fields = {} if crop is None else {"source_crop": crop}
    return replace(_upload(f"/v1/{name}s", {name: part}, warm=False), fields=fields)


def upload_source(source: Photo, *, warm: bool = False) -> Call:
    """Keep a photo, and have it encoded if it is to be warm; raises as `submission`."""
    return _upload("/v1/sources", {"source": source_part(source)}, warm)


def upload_pose(pose: NewPose, *, warm: bool = False) -> Call:
    """Keep a pose, likewise."""
    return _upload("/v1/poses", {"pose": pose_part(pose)}, warm)


def poses_between(start: NewPose, end: NewPose, count: int) -> Call:
    """So many poses on the way from one to another; raises as `submission`, and ValueError for a picture."""
    body = {"from": pose_document(start), "to": pose_document(end), "count": count}
    content = json.dumps(body, allow_nan=False).encode()
    return Call("POST", "/v1/poses/between", headers={"Content-Type": "application/json"}, content=content)


def delete_source(source_id: str) -> Call:
    """Forget a photo."""
    return Call("DELETE", f"/v1/sources/{quote(source_id, safe='')}")


def delete_pose(pose_id: str) -> Call:
    """Forget a pose."""
    return Call("DELETE", f"/v1/poses/{quote(pose_id, safe='')}")


def models() -> Call:
    """What is served."""
    return Call("GET", "/v1/models")


def check_visible_ascii(name: str, value: str) -> None:
    """A header's value must be 1 to 255 visible ASCII characters.

    Raises:
        ValueError: it is not; names the argument, not its value, which may be a secret.
    """
    if not _VISIBLE_ASCII.fullmatch(value):
        raise ValueError(f"{name} must be 1 to 255 visible ASCII characters")


def _upload(path: str, files: Mapping[str, FilePart], warm: bool) -> Call:
    if not warm:
        return Call("POST", path, files=files)
    return Call("POST", f"{path}?warm=true", files=files, wait_seconds=_WARM_SECONDS)


def _webhook(webhook: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"url": webhook} if isinstance(webhook, str) else dict(webhook)


def _batch(query: str, content_type: str, content: bytes, idempotency_key: str | None) -> Call:
    headers = {"Content-Type": content_type, "Idempotency-Key": idempotency_key or secrets.token_hex(16)}
    return Call("POST", f"/v1/batches{query}", headers=headers, content=content)


def _batch_path(batch_id: str) -> str:
    return f"/v1/batches/{quote(batch_id, safe='')}"


def _job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
