"""GET /v1/jobs/{id}/events: what happens to a job, as server-sent events."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.callers import ReaderDep
from service.api.dependencies import EdgeDep
from service.api.jobs import JobIdPath, check_id
from service.api.openapi import problems
from service.api.views import job_view, preview_event, progress_event
from service.domain.errors import RequestError
from service.gateway.events import JobEvent
from service.gateway.links import Links

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# Longer numbers are no job's, and the queue's own end at 64 bits.
_NUMBER = re.compile(r"[0-9]{1,18}")
_RETRY = "retry: 2000\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_LAST_EVENT_ID: dict[str, Any] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "description": "The id of the last event that was seen: the stream goes on after it",
}


_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "Each of the stream; `data` is JSON",
    "properties": {
        "event": {"type": "string", "enum": ["status", "progress", "preview", "end"]},
        "id": {"type": "string", "description": "The number of the job's change"},
        "data": {"type": "string"},
    },
}


@router.get(
    "/{job_id}/events",
    operation_id="followJob",
    summary="What happens to a job, as it happens",
    response_class=Response,
    responses={
        200: {
            "description": "Events `status` and `end` with an id and the job object, `progress` (ProgressEvent) and "
            "`preview` (PreviewEvent) without; closed after `end`",
            "content": {"text/event-stream": {"schema": _EVENT}},
        },
        204: {"description": "The job has ended and its `end` has been seen"},
        **problems("bad_header", "not_found", "concurrency_limited", "overloaded", "queue_unavailable"),
    },
    openapi_extra={"parameters": [_LAST_EVENT_ID]},
)
async def follow_job(request: Request, job_id: JobIdPath, caller: ReaderDep, edge: EdgeDep) -> Response:
    """Begin with the job as it stands, or after `Last-Event-ID`; whoever hangs up cancels nothing."""
    check_id(job_id)
    events = edge.services.events.follow(job_id, caller.tenant, _last_event_id(request.headers))
    links = edge.services.access.links
    with ExitStack() as held:
        held.enter_context(edge.services.rates.following(caller))
        # Before the head is sent: what goes wrong here has a status of its own.
        first = await anext(events, None)
        return (
            _EventStream(first, events, links, held.pop_all()) if first else Response(status_code=204, headers=_HEADERS)
        )


class _EventStream(StreamingResponse):
    """Ends what it follows as soon as its client has left, and gives back what it holds."""

    def __init__(self, first: JobEvent, events: AsyncGenerator[JobEvent], links: Links, held: ExitStack) -> None:
        super().__init__(_texts(first, events, links), headers=_HEADERS, media_type="text/event-stream")
        self._events, self._held = events, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._held.close()
            await self._events.aclose()


async def _texts(first: JobEvent, events: AsyncIterator[JobEvent], links: Links) -> AsyncGenerator[str]:
    yield _RETRY + _text(first, links)
    async for event in events:
        yield _text(event, links)


def _text(event: JobEvent, links: Links) -> str:
    """One event on the wire; its data are one line of JSON."""
    if event.kind == "silence":
        return ": still here\n\n"
    if event.kind == "progress":
        data = progress_event(event.job, event.eta)
    elif event.kind == "preview":
        data = preview_event(event.job, links)
    else:
        data = job_view(event.job, event.eta, links=links)
    number = "" if event.number is None else f"id: {event.number}\n"
    return f"event: {event.kind}\n{number}data: {data.model_dump_json()}\n\n"


def _last_event_id(headers: Headers) -> int | None:
    given = headers.get("last-event-id")
    if given is None:
        return None
    if not _NUMBER.fullmatch(given):
        raise RequestError("bad_header", "Last-Event-ID must be a whole number of at most 18 digits")
    return int(given)
