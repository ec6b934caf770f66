"""How long a call may take until its client is told that the queue is away."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from service.domain.errors import StorageError

MAX_QUEUE_SECONDS = 2.0


@asynccontextmanager
async def queue_answers_within(seconds: float = MAX_QUEUE_SECONDS) -> AsyncGenerator[None]:
    """StorageError: `queue_unavailable`, if what is inside takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StorageError("queue_unavailable", "the queue does not answer; try again later") from None
