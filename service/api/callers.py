"""Who calls, as a route is told: the key, its scopes and its rate are checked before a byte of the body is read."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from service.api.dependencies import EdgeDep
from service.domain.access import Caller, Scope
from service.domain.errors import AccessError


def _allowed(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def caller(request: Request, edge: EdgeDep) -> Caller:
        address = request.client.host if request.client else ""
        found = await edge.services.access.caller(request.headers.get("authorization", ""), address)
        request.state.tenant = found.tenant
        request.state.rate = edge.services.rates.take(found)
        if scope not in found.scopes:
            raise AccessError("forbidden", f"this key lacks the scope {scope.value}")
        return found

    return caller


GeneratorDep = Annotated[Caller, Depends(_allowed(Scope.GENERATE))]
"""The caller of a route that makes or ends jobs."""
ReaderDep = Annotated[Caller, Depends(_allowed(Scope.READ))]
"""The caller of a route that only looks."""
