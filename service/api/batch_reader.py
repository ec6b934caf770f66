"""A call's bytes become a batch in the making, a few items at a time.

What an item may hold is `service.api.batch_body`'s and `service.api.schemas`'; here is what is read when.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request

from service.api.batch_body import (
    BatchBody,
    BatchQuery,
    Items,
    batch_query,
    check_batch,
    check_item,
    refuse_pictures,
)
from service.api.limits import UploadLimits
from service.api.pose_reading import key_points_of, moves_of
from service.api.pose_schemas import PoseBody
from service.api.schemas import GenerationBody
from service.api.strict_json import parse_object
from service.api.submissions import SubmissionReader, media_type, or_png, read_body
from service.domain.batch import ItemFailure
from service.domain.digest import content_digest
from service.domain.errors import FieldIssue, NotFoundError, RequestError
from service.domain.library import PictureKind, StoredPicture
from service.domain.pose import KeyPoints
from service.domain.pose_moves import Moves
from service.domain.webhook import Webhook
from service.gateway.batch_draft import MAX_ITEMS, BatchDraft
from service.gateway.batch_items import BatchItem, ItemPose
from service.gateway.batches import Batches, BatchOptions
from service.gateway.library import Library
from service.gateway.models import ServedModel
from service.gateway.receivers import check_metadata

# Items that are checked in a row: other requests go between.
_ITEMS_AT_ONCE = 100
_MAX_JSON_BYTES = 2_000_000
_MAX_LINES_BYTES = 32_000_000
_MAX_LOOKUPS = 16
_MAX_CHECKERS = 2
_MAX_ISSUES, _MAX_WORDS = 2, 160

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class _Given:
    """An item as it was given: a line, fields, whatever stands in their place, or the RequestError that it amounts to.

    Its name is None if it may have one of its own.
    """

    number: int
    content: object
    name: str | None = None


@dataclass(frozen=True)
class _Checked:
    """An item as far as it can be checked without looking anything up."""

    number: int
    custom_id: object
    body: GenerationBody | None = None
    key_points: KeyPoints | None = None
    failure: ItemFailure | None = None


@dataclass(frozen=True)
class _Call:
    """What holds for all items, and who asks."""

    tenant: str
    body: BatchBody | BatchQuery
    request: Request
    found: dict[tuple[PictureKind, str], StoredPicture | None] = field(
        default_factory=dict[tuple[PictureKind, str], StoredPicture | None]
    )


class BatchReader:
    """Reads batches; two at a time check items, and of no batch are all items in memory."""

    def __init__(
        self, reader: SubmissionReader, library: Library, batches: Batches, model: ServedModel, limits: UploadLimits
    ) -> None:
        self._reader, self._library, self._batches = reader, library, batches
        self._model, self._limits = model, limits
        self._checkers = CapacityLimiter(_MAX_CHECKERS)

    async def read(self, request: Request, tenant: str, draft: BatchDraft) -> BatchOptions:
        """Read one call into the draft.

        Args:
            request: its body has not been read.
            tenant: whose pictures its items can name.
            draft: empty; pictures that come with the call are stored for it.

        Raises:
            RequestError: the call is not usable; with `on_invalid=reject` also for one bad item.
            StorageError: queue or storage do not answer.
            starlette.requests.ClientDisconnect: nobody is there any more.
        """
        query = batch_query(request.query_params)
        if media_type(request.headers, "application/json", "application/x-ndjson") == "application/json":
            content = await read_body(request, self._limits.max_body_bytes)
            request.state.is_body_read = True
            chosen = query.model_dump(exclude_unset=True)
            body = await self._in_thread(lambda: check_batch(chosen | parse_object(content, _MAX_JSON_BYTES)))
            items = await self._in_thread(lambda: Items(body))
            call = _Call(tenant, body, request)
            given = (_Given(number, content, name) for number, (name, content) in enumerate(items))
            while chunk := list(islice(given, _ITEMS_AT_ONCE)):
                await self._add(call, chunk, draft)
            hook = Webhook(body.webhook.url, tuple(body.webhook.events)) if body.webhook else None
            options = BatchOptions(body.deadline_ms / 1000, body.retention_s, body.metadata, hook)
            is_strict = body.on_invalid == "reject"
        else:
            call = _Call(tenant, query, request)
            async for chunk in self._lines(request):
                await self._add(call, chunk, draft)
            request.state.is_body_read = True
            options = BatchOptions(query.deadline_ms / 1000, query.retention_s, {})
            is_strict = query.on_invalid == "reject"
        if draft.num_items == 0:
            raise RequestError.of_field("validation", "", "must hold at least one item")
        if is_strict and draft.failures:
            raise _rejection(draft)
        return options

    async def _lines(self, request: Request) -> AsyncIterator[list[_Given]]:
        """The lines as they come, some at a time; empty ones are none."""
        rest, num_bytes, number = b"", 0, 0
        async for part in _parts(request):
            num_bytes += len(part)
            if num_bytes > _MAX_LINES_BYTES:
                raise RequestError("body_too_large", f"a body of lines may have {_MAX_LINES_BYTES} bytes")
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > self._limits.max_json_bytes:
                raise RequestError("body_too_large", f"a line may have {self._limits.max_json_bytes} bytes")
            given = [_Given(number + i, line) for i, line in enumerate(line for line in lines if line.strip())]
            number += len(given)
            if number > MAX_ITEMS:
                raise RequestError.of_field("validation", "", f"may hold {MAX_ITEMS} items")
            for start in range(0, len(given), _ITEMS_AT_ONCE):
                yield given[start : start + _ITEMS_AT_ONCE]

    async def _add(self, call: _Call, given: Sequence[_Given], draft: BatchDraft) -> None:
        checked = await self._in_thread(lambda: [self._check(call, item) for item in given])
        await self._look_up(call, checked)
        for item in checked:
            name, bad_name = draft.name(item.number, item.custom_id)
            # Before any picture of it is stored.
            if failure := item.failure or bad_name:
                draft.add(BatchItem(item.number, name, failure=failure))
            else:
                draft.add(*await self._complete(call, item, name, draft))

    def _check(self, call: _Call, given: _Given) -> _Checked:
        custom_id: object = given.name
        try:
            fields = given.content
            if isinstance(fields, RequestError):
                raise fields
            if isinstance(fields, bytes):
                # A line that can't be read has no name but its number.
                custom_id = f"line-{given.number}"
                fields = parse_object(fields, self._limits.max_json_bytes)
            if not isinstance(fields, dict):
                raise RequestError.of_field("validation", "", "must be a JSON object")
            fields = cast("dict[str, Any]", dict(fields))
            custom_id = given.name or fields.pop("custom_id", None)
            body = check_item(fields, call.body)
            self._check_together(call.body, body)
            return _Checked(given.number, custom_id, body, _key_points(body.pose))
        except RequestError as error:
            return _Checked(given.number, custom_id, failure=_failure(error))

    def _check_together(self, batch: BatchBody | BatchQuery, item: GenerationBody) -> None:
        """What the item may hold in this batch, and of this deployment."""
        self._model.check(item.model, item.preset)
        if isinstance(batch, BatchQuery):
            refuse_pictures(item)
        elif batch.webhook:
            check_metadata(item.metadata)

    async def _look_up(self, call: _Call, checked: Sequence[_Checked]) -> None:
        """Find the pictures that these items name, each of the call's once."""
        named = {each for item in checked for each in _named(item)} - set(call.found)
        slots = asyncio.Semaphore(_MAX_LOOKUPS)

        async def find(kind: PictureKind, name: str) -> None:
            async with slots:
                try:
                    call.found[kind, name] = await self._library.find(name, call.tenant, kind)
                except NotFoundError:
                    call.found[kind, name] = None

        await asyncio.gather(*(find(*each) for each in named))

    async def _complete(self, call: _Call, item: _Checked, name: str, draft: BatchDraft) -> tuple[BatchItem, str]:
        """The item, and what its own pictures add to the call's fingerprint."""
        body = item.body
        assert body, "it has been checked"
        try:
            for kind, picture_id in _named(item):
                if call.found[kind, picture_id] is None:
                    raise RequestError.of_field("validation", f"/{kind}/id", f"must name a {kind} of yours")
            cost = self._model.cost(body.num_steps, body.num_images, body.preset)
            if body.source.data or body.pose.skeleton or body.pose.photo:
                submission = await self._reader.complete(body, call.tenant, or_png, call.request)
                await self._batches.store(draft, item.number, submission)
                found = ItemPose(key_points=submission.found_pose) if submission.found_pose else None
                made = BatchItem(item.number, name, cost, submission.options, pose=found)
                return made, content_digest(submission.photo + submission.skeleton)
            source = call.found["source", body.source.id or ""]
            assert source, "every item has a source"
            options = self._reader.options(body, source.width_px, source.height_px)
            preset = None if item.key_points else body.pose.preset
            pose = ItemPose(body.pose.id, preset, item.key_points)
            return BatchItem(item.number, name, cost, options, source.id, pose), ""
        except RequestError as error:
            return BatchItem(item.number, name, failure=_failure(error)), ""

    async def _in_thread(self, function: Callable[[], _Made]) -> _Made:
        return await anyio.to_thread.run_sync(function, limiter=self._checkers)


def _key_points(pose: PoseBody) -> KeyPoints | None:
    """Those of a pose that has some; None for a picture, an id, and a name that says it all."""
    is_named = pose.preset is not None and moves_of(pose) == Moves()
    return None if is_named or pose.skeleton or pose.photo or pose.id is not None else key_points_of(pose)


async def _parts(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes, with a line feed at its end."""
    async for part in request.stream():
        yield part
    yield b"\n"


def _named(item: _Checked) -> list[tuple[PictureKind, str]]:
    """The pictures of the library that the item names."""
    if item.body is None:
        return []
    named: list[tuple[PictureKind, str | None]] = [("source", item.body.source.id), ("pose", item.body.pose.id)]
    return [(kind, name) for kind, name in named if name is not None]


def _failure(error: RequestError) -> ItemFailure:
    """Its first words: the failures of a batch are kept for a week, and there may be as many as items."""
    issues = tuple((issue.pointer[:_MAX_WORDS], issue.detail[:_MAX_WORDS]) for issue in error.issues[:_MAX_ISSUES])
    return ItemFailure(error.code, error.detail[:_MAX_WORDS], issues)


def _rejection(draft: BatchDraft) -> RequestError:
    issues = tuple(
        FieldIssue(f"/items/{number}{pointer}", detail)
        for number, failure in draft.failures
        for pointer, detail in failure.issues or (("", failure.detail),)
    )
    return RequestError("validation", f"{issues[0].pointer} {issues[0].detail}", issues)
