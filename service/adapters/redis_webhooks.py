"""Typed calls of `lua/hooks.lua`: the dispatcher's side, and the operator's."""

import json
import secrets
from collections.abc import Sequence
from typing import Any, cast

from service.adapters.error_mapping import queue_errors
from service.adapters.redis_batches import batch_from_record
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import job_then, mapping
from service.adapters.redis_server import connect, connect_async
from service.domain.errors import StorageError
from service.domain.trace_context import parse_traceparent
from service.domain.webhook import SECRET_BYTES, secret_text
from service.ports.webhooks import Delivery, EndOutcome
from service.telemetry.logs import get_logger

# One call takes less than 5 ms of the server's time.
_MAX_PLANNED = 500
_MAX_CLAIMED = 32
# What this version knows of a delivery; a newer library may tell more.
_NUM_GIVEN = 7


class RedisWebhookQueue:
    """WebhookQueue; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, lease_seconds: float = 60.0) -> None:
        """Connects with the first call; the lease must be longer than a try may take."""
        self._client = connect_async(url)
        self._prefix = keys.prefix
        self._lease_ms = round(1000 * lease_seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def plan(self) -> bool:
        """As the port says."""
        return await self._call("q1_hook_plan", _MAX_PLANNED) == _MAX_PLANNED

    async def claim(self, limit: int) -> Sequence[Delivery]:
        """As the port says; what a lost answer gave is given again when its lease is over."""
        given = await self._call("q1_hook_claim", min(limit, _MAX_CLAIMED), self._lease_ms)
        deliveries = (_delivery(*fields[:_NUM_GIVEN]) for fields in given)
        return tuple(delivery for delivery in deliveries if delivery)

    async def end(self, delivery: Delivery, outcome: EndOutcome) -> None:
        """As the port says; of a delivery that is another's by now, nothing happens."""
        await self._call("q1_hook_done", delivery.id, delivery.num_tries, outcome, 0)

    async def put_off(self, delivery: Delivery, seconds: float) -> None:
        """As the port says; likewise."""
        await self._call("q1_hook_done", delivery.id, delivery.num_tries, "retry", round(1000 * seconds))

    async def secrets(self, tenant: str) -> Sequence[str]:
        """As the port says."""
        return await self._call("q1_hook_secrets", tenant, _new_secret())

    async def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", await self._client.fcall(function, 1, self._prefix, *arguments))


class RedisSecretRegister:
    """SecretRegister."""

    def __init__(self, url: str, keys: RedisKeys) -> None:
        """Connects with the first call; the queue's functions must have been loaded."""
        self._client, self._prefix = connect(url), keys.prefix

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def secrets(self, tenant: str) -> Sequence[str]:
        """As the port says."""
        return self._call("q1_hook_secrets", tenant)

    def rotate(self, tenant: str) -> Sequence[str]:
        """As the port says."""
        return self._call("q1_hook_rotate", tenant)

    def _call(self, function: str, tenant: str) -> Sequence[str]:
        with queue_errors():
            return cast("Any", self._client.fcall(function, 1, self._prefix, tenant, _new_secret()))


def _new_secret() -> str:
    return secret_text(secrets.token_bytes(SECRET_BYTES))


def _delivery(
    message_id: str, num_tries: int, owner: str, event: str, at_ms: str, seen: str, fields: Sequence[str]
) -> Delivery | None:
    """None for what this version can't read: its lease runs out, and another version may."""
    kind, _, owner_id = owner.partition(":")
    try:
        record = mapping(fields)
        url = json.loads(record["hook"])["url"]
        about = (
            batch_from_record(owner_id, record)
            if kind == "batch"
            else job_then(owner_id, record, mapping(json.loads(seen)), 0, 0)
        )
        trace = parse_traceparent(record.get("trace", ""))
        return Delivery(message_id, num_tries, event, int(at_ms) / 1000, url, about, trace)
    except (StorageError, KeyError, ValueError):
        get_logger().exception("webhook_unreadable", delivery=message_id)
        return None
