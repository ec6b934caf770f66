"""A client that hangs up while it waits: what was waited for is dropped. What that means for the job is the route's."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from anyio import CancelScope
from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def unless_client_leaves(request: Request, answer: Awaitable[T]) -> T:
    """The answer, if the client is still there when it comes.

    Args:
        request: its body has been read to the end.
        answer: dropped when the client hangs up.

    Raises:
        ClientDisconnect: it has hung up. A stop of the server is no departure: it cancels the caller.
    """
    # Not asyncio's own cancellation: the Redis client may swallow one while it opens a connection, a scope repeats it.
    with CancelScope() as scope:
        watch = asyncio.create_task(_cancel_at_departure(request, scope))
        try:
            return await answer
        finally:
            watch.cancel()
    raise ClientDisconnect


async def _cancel_at_departure(request: Request, scope: CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
