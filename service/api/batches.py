"""/v1/batches: many pictures asked for at once."""

import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, suppress
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.batch_openapi import (
    BATCH_BODY,
    BATCH_QUERY,
    BATCH_RESULTS,
    MAX_AFTER,
    NDJSON,
    RESULTS_QUERY,
    ZIP,
)
from service.api.batch_views import BatchView, batch_line, batch_url, batch_view
from service.api.callers import GeneratorDep, ReaderDep
from service.api.dependencies import Edge, EdgeDep
from service.api.idempotency import idempotency_key
from service.api.openapi import GENERATION_PROBLEMS, IDEMPOTENCY_KEY, problems
from service.api.preferences import choose_type
from service.api.strict_json import escape
from service.api.zip_stream import ZipStream
from service.domain.access import Caller
from service.domain.batch import BATCH_ID, BatchEnd, BatchId
from service.domain.errors import DamagedError, JobStateError, NotFoundError, RequestError, StorageError
from service.domain.job import Job, JobStatus
from service.gateway.batch_draft import BatchDraft
from service.gateway.batches import FollowBrokenError
from service.gateway.jobs import Jobs
from service.gateway.links import Links

router = APIRouter(prefix="/v1/batches", tags=["batches"])

BatchIdPath = Annotated[str, Path(description="`bat_` and 32 lower-case hex digits", examples=["bat_" + "0" * 32])]


def _batch_answer(description: str, *names: str) -> dict[str, Any]:
    return {
        "model": BatchView,
        "description": description,
        "headers": {n: {"schema": {"type": "string"}} for n in names},
    }


@router.post(
    "",
    operation_id="createBatch",
    summary="Ask for many pictures at once",
    response_class=Response,
    responses={
        202: _batch_answer("Accepted and durable", "Location", "Retry-After", "Idempotency-Replayed"),
        **problems(*GENERATION_PROBLEMS, "quota_exhausted"),
    },
    openapi_extra=BATCH_BODY | {"parameters": [*BATCH_QUERY, IDEMPOTENCY_KEY]},
    status_code=202,
)
async def create_batch(request: Request, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """Items, lines of items, or every source in every pose; each becomes a job of its own."""
    edge.services.readiness.check_open()
    key = idempotency_key(request.headers)
    batches = edge.services.batches
    with BatchDraft() as draft:
        try:
            options = await edge.batch_reader.read(request, caller.tenant, draft)
        except BaseException:
            await batches.discard(draft)
            raise
        batch_id, request.state.is_replay = await batches.submit(draft, options, caller.tenant, key)
    return await _batch_object(edge, batch_id, caller, is_accepted=True)


@router.get(
    "/{batch_id}",
    operation_id="getBatch",
    summary="The batch as it stands",
    response_class=Response,
    responses={200: _batch_answer("The batch object"), **problems("not_found", "queue_unavailable")},
)
async def get_batch(batch_id: BatchIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """How many of its items have ended, and when all of them will have."""
    _check_id(batch_id)
    return await _batch_object(edge, batch_id, caller)


@router.post(
    "/{batch_id}/cancel",
    operation_id="cancelBatch",
    summary="End a batch that is no longer wanted",
    response_class=Response,
    responses={
        200: _batch_answer("The batch object"),
        **problems("not_found", "queue_unavailable"),
    },
)
async def cancel_batch(batch_id: BatchIdPath, caller: GeneratorDep, edge: EdgeDep) -> Response:
    """No more items begin, and those that have end soon; what has ended stays."""
    _check_id(batch_id)
    await edge.services.batches.cancel(batch_id, caller.tenant)
    return await _batch_object(edge, batch_id, caller)


@router.get(
    "/{batch_id}/results",
    operation_id="getBatchResults",
    summary="The items of a batch as they end",
    response_class=Response,
    responses=BATCH_RESULTS,
    openapi_extra={"parameters": RESULTS_QUERY},
)
async def get_batch_results(request: Request, batch_id: BatchIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """A line an item, or a ZIP file of their pictures, until the batch has ended; `after` goes on behind a line."""
    _check_id(batch_id)
    after, is_live = _results_query(request.query_params)
    media_type = choose_type(",".join(request.headers.getlist("accept")), (NDJSON, ZIP))
    ends = edge.services.batches.follow(batch_id, caller.tenant, after, is_live=is_live)
    with ExitStack() as waiting:
        waiting.enter_context(edge.services.rates.waiting(caller))
        # Before the head is sent: what goes wrong here has a status of its own.
        first = await anext(ends)
        links = edge.services.access.links
        content = _lines(first, ends, links) if media_type == NDJSON else _zip(first, ends, edge.services.jobs, links)
        return _Results(content, media_type, batch_id, ends, waiting.pop_all())


class _Results(StreamingResponse):
    """Counts as a waiting call, and ends what it follows as soon as its client has left."""

    def __init__(
        self,
        content: AsyncGenerator[bytes],
        media_type: str,
        batch_id: BatchId,
        ends: AsyncGenerator[Sequence[BatchEnd]],
        waiting: ExitStack,
    ) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
        if media_type == ZIP:
            headers["Content-Disposition"] = f'attachment; filename="{batch_id}.zip"'
        super().__init__(content, headers=headers, media_type=media_type)
        self._ends, self._waiting = ends, waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._waiting:
            try:
                await super().__call__(scope, receive, send)
            finally:
                await self._ends.aclose()


async def _lines(
    first: Sequence[BatchEnd], rest: AsyncGenerator[Sequence[BatchEnd]], links: Links
) -> AsyncGenerator[bytes]:
    yield _text(first, links)
    # What breaks off here is seen by the number of lines, and goes on with `after`.
    with suppress(FollowBrokenError):
        async for ends in rest:
            # An empty line says that the connection lives.
            yield _text(ends, links) or b"\n"


def _text(ends: Sequence[BatchEnd], links: Links) -> bytes:
    return b"".join(batch_line(end, links).model_dump_json(exclude_none=True).encode() + b"\n" for end in ends)


async def _zip(
    first: Sequence[BatchEnd], rest: AsyncGenerator[Sequence[BatchEnd]], jobs: Jobs, links: Links
) -> AsyncGenerator[bytes]:
    archive, index, names = ZipStream(), bytearray(), set[str]()
    # What breaks off here has no end that a program takes for one.
    with suppress(FollowBrokenError, StorageError):
        async for ends in _chained(first, rest):
            for end in ends:
                files: list[str] = []
                for name, content, ended_at in await _files(end, jobs, names):
                    files.append(name)
                    yield archive.add(name, content, ended_at)
                index += batch_line(end, links, files).model_dump_json(exclude_none=True).encode() + b"\n"
        yield archive.add("results.ndjson", bytes(index), time.time())
        yield archive.end()


async def _chained(
    first: Sequence[BatchEnd], rest: AsyncGenerator[Sequence[BatchEnd]]
) -> AsyncGenerator[Sequence[BatchEnd]]:
    yield first
    async for ends in rest:
        yield ends


async def _files(end: BatchEnd, jobs: Jobs, names: set[str]) -> list[tuple[str, bytes, float]]:
    """The item's pictures under names that no other file has; none of one whose pictures are gone or damaged."""
    if end.job is None or end.status is not JobStatus.SUCCEEDED:
        return []
    try:
        result, contents = await jobs.pictures(end.job)
    except (JobStateError, NotFoundError, DamagedError):
        return []
    has_several = len(contents) > 1
    found: list[tuple[str, bytes, float]] = []
    suffix = result.content_type.removeprefix("image/")
    for index, content in enumerate(contents):
        stem = f"{end.custom_id}-{index}" if has_several else end.custom_id
        name = _free_name(stem, end.job, suffix, names)
        found.append((name, content, end.job.ended_at or 0.0))
    return found


def _free_name(stem: str, job: Job, suffix: str, names: set[str]) -> str:
    name = f"{stem}.{suffix}"
    if name in names:
        name = f"{stem}.{job.id}.{suffix}"
    names.add(name)
    return name


async def _batch_object(edge: Edge, batch_id: BatchId, caller: Caller, *, is_accepted: bool = False) -> Response:
    batch = await edge.services.batches.status(batch_id, caller.tenant)
    eta = await edge.services.forecasts.of_batch(batch)
    content = batch_view(batch, eta).model_dump(mode="json")
    if not is_accepted:
        return JSONResponse(content)
    seconds = max(1, math.ceil(eta.p50_seconds)) if eta else 1
    return JSONResponse(content, 202, {"Location": batch_url(batch_id), "Retry-After": str(seconds)})


def _results_query(parameters: QueryParams) -> tuple[int, bool]:
    """`after` and `follow`.

    Raises:
        RequestError: `validation`.
    """
    for name in parameters:
        if name not in ("after", "follow"):
            raise RequestError.of_field("validation", f"/{escape(name)}", "there is no such parameter")
        if len(parameters.getlist(name)) > 1:
            raise RequestError.of_field("validation", f"/{name}", "must be given once")
    after, follow = parameters.get("after", "0"), parameters.get("follow", "true")
    if not (after.isascii() and after.isdigit() and len(after) < 10):
        raise RequestError.of_field("validation", "/after", f"must be a whole number from 0 to {MAX_AFTER}")
    if follow not in ("true", "false"):
        raise RequestError.of_field("validation", "/follow", "must be true or false")
    return int(after), follow == "true"


def _check_id(batch_id: str) -> None:
    """Whatever is no batch's id names no batch: 404."""
    if not BATCH_ID.fullmatch(batch_id):
        raise NotFoundError("there is no such batch")
