"""Typed calls of the queue's functions: upkeep's side.

The promises are kept in `service/adapters/lua`; here are arguments, answers, and what is safe to repeat: everything.
"""

from collections.abc import Sequence

from service.adapters.error_mapping import queue_errors
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import to_ms
from service.adapters.redis_server import connect_async

# One call stays below 5 ms of the server's time.
_MAX_REAPED = 200


class RedisJobUpkeep:
    """JobUpkeep; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._keys, self._policy = keys, policy

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def reap(self, deleted: Sequence[str]) -> Sequence[str]:
        """As the port says."""
        with queue_errors():
            _, _, _, _, deletable, *_ = await self._client.fcall(
                "q1_reap",
                1,
                self._keys.prefix,
                _MAX_REAPED,
                to_ms(self._policy.lease_seconds),
                self._policy.max_deliveries,
                *deleted,
            )
        return tuple(deletable)
