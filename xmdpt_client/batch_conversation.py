"""What a client says of batches and makes of the answers: flows, as those of `xmdpt_client.conversation`."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import httpx

from xmdpt_client import calls
from xmdpt_client.answers import read_batch, read_batch_line, read_picture, read_pose, read_source, unreachable
from xmdpt_client.calls import Options, check_visible_ascii
from xmdpt_client.errors import FieldError, JobStateError, RequestError, UnreachableError, XmdptError
from xmdpt_client.exchanges import Asker, Flow, NextLine, Work
from xmdpt_client.inputs import (
    FilePart,
    KeyPoints,
    Matrix,
    StoredPose,
    StoredSource,
    holds_picture,
    pose_part,
    source_part,
)
from xmdpt_client.values import Batch, BatchResult, Picture

OnPrepared: TypeAlias = Callable[[int, int], object]

# Of a request's fields these stand in `output`.
_OF_THE_OUTPUT = ("format", "quality", "fit")
# These stand in no item: they are for the whole call, and `crop`, as items name sources by their ids, for the uploads.
_ELSEWHERE = ("deadline", "webhook", "idempotency_key", "crop")


class BatchConversation:
    """The calls about batches, with their repeats.

    Args:
        max_retries: how often a call is sent again, 0 or more.
    """

    def __init__(self, max_retries: int) -> None:
        self._asker = Asker(max_retries)

    def submit(
        self, items: Sequence[Mapping[str, Any]] | Matrix, options: Options, on_progress: OnPrepared | None
    ) -> Flow[Batch]:
        """Upload each picture once, then ask for all items in one call."""
        pictures, tell = _Pictures(self._asker), on_progress or _nobody
        deadline, key, defaults = options.get("deadline"), options.get("idempotency_key"), _defaults(options)
        webhook, crop = options.get("webhook"), options.get("crop")
        if key is not None:
            check_visible_ascii("idempotency_key", key)
        if isinstance(items, Matrix):
            matrix: dict[str, list[Any]] = {"sources": [], "poses": []}
            given = [("source", each) for each in items.sources] + [("pose", each) for each in items.poses]
            for done, (name, each) in enumerate(given, 1):
                column = matrix[f"{name}s"]
                column.append((yield from pictures.reference(name, each, f"/matrix/{name}s/{len(column)}", crop)))
                tell(done, len(given))
            call = calls.batch_of_json({"matrix": matrix, "defaults": defaults}, deadline, webhook, key)
        else:
            lines: list[Mapping[str, Any]] = []
            for number, item in enumerate(items):
                line = _merged(defaults, item)
                its_crop = line.pop("crop", crop)
                for name in ("source", "pose"):
                    if name in item:
                        place = f"/items/{number}/{name}"
                        line[name] = yield from pictures.reference(name, item[name], place, its_crop)
                lines.append(line)
                tell(number + 1, len(items))
            # Lines leave no room for a webhook.
            by_lines = webhook is None
            call = (
                calls.batch_of_lines(lines, deadline, key)
                if by_lines
                else calls.batch_of_json({"items": lines}, deadline, webhook, key)
            )
        return read_batch((yield from self._asker.answer(call)))

    def batch(self, batch_id: str) -> Flow[Batch]:
        """Look at a batch."""
        return read_batch((yield from self._asker.answer(calls.batch(batch_id))))

    def cancel(self, batch_id: str) -> Flow[Batch]:
        """Cancel a batch."""
        return read_batch((yield from self._asker.answer(calls.cancel_batch(batch_id))))

    def picture(self, result: BatchResult, index: int) -> Flow[Picture]:
        """Fetch a picture of an item that has ended well."""
        if result.error:
            raise result.error
        if result.job_id is None or not result.outputs:
            code = "cancelled" if result.status == "cancelled" else "expired"
            status = 409 if code == "cancelled" else 410
            detail = f"{result.custom_id} is {result.status} and has no picture"
            raise JobStateError(detail, code=code, status=status, job_id=result.job_id)
        response = yield from self._asker.answer(calls.picture(result.job_id, index))
        return read_picture(response, result.outputs[index].seed)


class BatchReading:
    """Reads the lines of a batch one by one; goes on behind the last one if a connection breaks.

    Args:
        max_retries: how often in a row a stream may bring nothing.
        batch_id: whose lines.
        after: number of a line that was read before.
    """

    def __init__(self, max_retries: int, batch_id: str, after: int) -> None:
        self._asker, self._batch_id, self._after = Asker(max_retries), batch_id, after
        self._stream: httpx.Response | None = None
        self._total: int | None = None
        self._num_failures, self._pause = 0, 0.0

    def next(self) -> Flow[BatchResult | None]:
        """The item that ends next; None once all have been read."""
        if self._total is None:
            batch = read_batch((yield from self._asker.answer(calls.batch(self._batch_id))))
            self._total = batch.counts.total
        while self._after < self._total:
            if self._stream is None:
                call = calls.batch_results(self._batch_id, self._after)
                self._stream = yield from self._asker.answer(call, self._pause)
            try:
                line: str | None = yield NextLine()
            except httpx.RequestError as fault:
                self._note_failure(unreachable(fault), fault)
            else:
                if line is None:
                    detail = f"the results of {self._batch_id} end before all items have"
                    self._note_failure(UnreachableError(detail, code="unreachable", retryable=True), None)
                elif line:
                    result = read_batch_line(self._stream, line)
                    self._after, self._num_failures, self._pause = result.number, 0, 0.0
                    return result
        return None

    def _note_failure(self, error: XmdptError, cause: Exception | None) -> None:
        self._stream = None
        self._num_failures += 1
        pause = self._asker.pause_after(error, self._num_failures)
        if pause is None:
            raise error from cause
        self._pause = pause


class _Pictures:
    """What a batch calls its photos and poses: files are uploaded, each content once."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._known: dict[tuple[str, str, str | None], Mapping[str, Any]] = {}

    def reference(self, name: str, given: Any, pointer: str, crop: str | None) -> Flow[Mapping[str, Any]]:
        """What stands in an item for a photo or a pose that is given in whatever way; crop is for a photo."""
        # A crop of `none` is what a photo has without any.
        crop = crop if name == "source" and crop != "none" else None
        if crop is not None and isinstance(given, Mapping | StoredSource):
            raise ValueError(f"{pointer}: crop goes with a photo that is uploaded now, not with one that was before")
        if isinstance(given, Mapping):
            document = cast("Mapping[str, Any]", given)
            if name == "source" or not holds_picture(document):
                return dict(document)
        if isinstance(given, StoredSource | StoredPose):
            return {"id": given.id}
        if isinstance(given, KeyPoints):
            return given.document()
        path = (name, f"path {os.fspath(given)}", crop) if isinstance(given, str | os.PathLike) else None
        if path and path in self._known:
            return self._known[path]
        part, digest, pose = yield Work(lambda: _read(name, given, pointer))
        content = (name, digest, crop)
        if content not in self._known:
            self._known[content] = (yield from self._upload(part, pointer, crop)) if pose is None else pose
        if path:
            self._known[path] = self._known[content]
        return self._known[content]

    def _upload(self, part: FilePart, pointer: str, crop: str | None) -> Flow[Mapping[str, Any]]:
        try:
            response = yield from self._asker.answer(calls.keep(part, crop))
        except RequestError as error:
            # Of all the pictures of the batch this one; in the upload's form it is `source` or `pose`.
            faults = error.errors or (FieldError("", error.detail),)
            places = [f"{pointer}{fault.pointer.removeprefix(f'/{part[0]}')}" for fault in faults]
            error.errors = tuple(FieldError(place, fault.detail) for place, fault in zip(places, faults, strict=True))
            raise
        return {"id": (read_source(response) if part[0] == "source" else read_pose(response)).id}


def _nobody(_done: int, _total: int) -> None:
    pass


def _read(name: str, given: Any, pointer: str) -> tuple[FilePart, str, Mapping[str, Any] | None]:
    """What is to be uploaded, its digest, and instead of it the pose if that has no picture and stands in the item."""
    part = source_part(given) if name == "source" else pose_part(given)
    return part, hashlib.sha256(part[1]).hexdigest(), _document(part, pointer)


def _document(part: FilePart, pointer: str) -> Mapping[str, Any] | None:
    name, content, _ = part
    if name != "pose" or content.lstrip()[:1] != b"{":
        return None
    try:
        document: Mapping[str, Any] = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{pointer} is no JSON: {error}") from None
    return None if holds_picture(document) else document


def _defaults(options: Options) -> dict[str, Any]:
    """The options as fields of a request."""
    chosen = {name: value for name, value in options.items() if value is not None and name not in _ELSEWHERE}
    output = {name: chosen.pop(name) for name in _OF_THE_OUTPUT if name in chosen}
    return chosen | ({"output": output} if output else {})


def _merged(defaults: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's own fields come first, those of its output too."""
    merged = dict(defaults) | dict(item)
    ours, its = defaults.get("output"), item.get("output")
    if isinstance(ours, Mapping) and isinstance(its, Mapping):
        merged["output"] = {**ours, **its}
    return merged
