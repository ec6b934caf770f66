"""Ends background tasks for sure. It knows nothing of what they do."""

import asyncio

_PATIENCE_SECONDS = 0.1


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: while it opens a connection, the Redis client may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
