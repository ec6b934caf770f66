"""Who calls, as a route is told: the key, its scopes and its rate are checked before a byte of the body is read.

A picture's address that is signed stands for a key.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from service.api.dependencies import EdgeDep
from service.domain.access import Caller, CallerLimits, Scope
from service.domain.errors import AccessError
from service.gateway.rates import RateLimitedError
from service.telemetry.spans import part


def _allowed(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(request: Request, edge: EdgeDep) -> Caller:
        address = request.client.host if request.client else ""
        with part("admission"):
            found = await edge.services.access.caller(request.headers.get("authorization", ""), address)
        request.state.tenant = found.tenant
        _count(request, edge, found)
        if scope not in found.scopes:
            raise AccessError("forbidden", f"this key lacks the scope {scope.value}")
        return found

    return caller


def _count(request: Request, edge: EdgeDep, caller: Caller) -> None:
    """Count the request; every answer tells where the caller stands, and a refusal above all."""
    try:
        request.state.rate = edge.services.rates.take(caller)
    except RateLimitedError as error:
        request.state.rate = error.state
        raise


async def _picture_reader(request: Request, edge: EdgeDep) -> str | None:
    access, query = edge.services.access, request.query_params
    if "signature" not in query or access.is_open:
        return (await _allowed(Scope.READ)(request, edge)).tenant
    try:
        access.links.check(request.url.path, query.get("index", "0"), query.get("expires", ""), query["signature"])
    except AccessError:
        if "authorization" not in request.headers:
            raise
        return (await _allowed(Scope.READ)(request, edge)).tenant
    # Each job counts for itself: who holds its address has no name.
    holder = Caller("", frozenset({Scope.READ}), key_id=request.path_params["job_id"], limits=CallerLimits())
    _count(request, edge, holder)
    return None


GeneratorDep = Annotated[Caller, Depends(_allowed(Scope.GENERATE))]
"""The caller of a route that makes or ends jobs."""
ReaderDep = Annotated[Caller, Depends(_allowed(Scope.READ))]
"""The caller of a route that only looks."""
PictureReaderDep = Annotated[str | None, Depends(_picture_reader)]
"""The tenant that fetches a job's picture; None for a caller with a signed address, who may have this one alone."""
