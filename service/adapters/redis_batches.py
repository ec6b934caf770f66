"""Typed calls of `lua/batches.lua`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from service.adapters.error_mapping import queue_errors
from service.adapters.queue_policy import QueuePolicy
from service.adapters.reader_name import reader_name
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import (
    job_from_record,
    key_digest,
    mapping,
    to_ms,
    trace_to_text,
    webhook_from_json,
    webhook_to_json,
)
from service.adapters.redis_server import connect_async
from service.domain.batch import Batch, BatchEnd, BatchId, BatchStatus, ItemFailure, NewBatch
from service.domain.job import JobStatus
from service.domain.trace_context import parse_traceparent
from service.ports.batches import FeedingTurn, Opened, SkippedItem

# A feeder has at most so many batches to look after.
_MAX_OPEN, _MAX_OPEN_OF_TENANT = 100, 20
# Of one tenant; each takes some hundred bytes of the server's memory for a week.
_MAX_KEPT_ITEMS = 300_000


class RedisBatchBooks:
    """BatchBooks; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, policy: QueuePolicy) -> None:
        """Connects with the first call."""
        self._client = connect_async(url)
        self._prefix, self._policy = keys.prefix, policy

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def open(self, batch: NewBatch) -> Opened:
        """As the port says; a repeat inside the client after a broken connection may turn `ok` into `dup`."""
        verdict, batch_id, *_ = await self._call(
            "q1_batch_open",
            batch.id,
            batch.tenant,
            batch.num_items,
            batch.cost,
            to_ms(batch.deadline_seconds),
            to_ms(batch.retention_seconds),
            json.dumps(dict(batch.metadata)),
            key_digest(batch.idempotency),
            batch.idempotency.fingerprint if batch.idempotency else "",
            _MAX_OPEN,
            _MAX_OPEN_OF_TENANT,
            webhook_to_json(batch.webhook),
            _MAX_KEPT_ITEMS,
            trace_to_text(batch.trace),
        )
        return Opened(verdict, batch_id)

    async def read(self, batch_id: BatchId, tenant: str) -> Batch | None:
        """As the port says."""
        answer = await self._call("q1_batch_read", batch_id, tenant)
        return batch_from_record(batch_id, mapping(answer[0]), answer[1]) if answer else None

    async def cancel(self, batch_id: BatchId, tenant: str) -> BatchStatus | None:
        """As the port says."""
        state = await self._call("q1_batch_cancel", batch_id, tenant)
        return None if state == "notfound" else BatchStatus(state)

    async def ends(
        self, batch_id: BatchId, tenant: str, after: int, limit: int
    ) -> tuple[BatchStatus, Sequence[BatchEnd]] | None:
        """As the port says."""
        answer = await self._call("q1_batch_results", batch_id, tenant, after, limit)
        if not answer:
            return None
        state, found, *_ = answer
        return BatchStatus(state), tuple(_end(after + i, *entry[:2]) for i, entry in enumerate(found, 1))

    async def turns(self, feeder: str, lease_seconds: float) -> Sequence[FeedingTurn]:
        """As the port says; batches fill half of the queue at most, and half of their tenant's part of it."""
        bounds = (max(1, self._policy.max_live // 2), max(1, self._policy.max_live_per_tenant // 2))
        found = await self._call("q1_batch_feed", feeder, to_ms(lease_seconds), *bounds, reader_name())
        endings = {"": None, "client": "cancelled", "deadline": "overdue"}
        return tuple(
            FeedingTurn(
                batch_id,
                tenant,
                cursor,
                num_left,
                room,
                cast("Any", endings[cause]),
                max(0.0, left_ms / 1000),
                webhook_from_json(hook),
                parse_traceparent(trace),
            )
            for batch_id, tenant, cursor, num_left, room, cause, left_ms, hook, trace, *_ in found
        )

    async def set_aside(self, batch_id: BatchId) -> None:
        """As the port says."""
        await self._call("q1_batch_set_aside", batch_id, reader_name())

    async def skip(self, batch_id: BatchId, index: int, items: Sequence[SkippedItem]) -> None:
        """As the port says."""
        told = [
            argument
            for item in items
            for argument in (item.status.value, item.custom_id, item.cost, _failure_to_json(item.failure))
        ]
        await self._call("q1_batch_skip", batch_id, index, *told)

    async def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", await self._client.fcall(function, 1, self._prefix, *arguments))


def batch_from_record(batch_id: BatchId, record: Mapping[str, str], num_running: int = 0) -> Batch:
    """A batch's record as a client sees it."""
    ended_at = int(record["ended_ms"]) / 1000 if "ended_ms" in record else None
    return Batch(
        id=batch_id,
        tenant=record["tenant"],
        status=BatchStatus(record["state"]),
        num_items=int(record["total"]),
        num_running=num_running,
        num_succeeded=int(record["succeeded"]),
        num_failed=int(record["failed"]),
        num_cancelled=int(record["cancelled"]),
        cost_left=int(record["cost"]) - int(record["cost_ended"]),
        created_at=int(record["created_ms"]) / 1000,
        deadline_at=int(record["deadline_ms"]) / 1000,
        started_at=int(record["started_ms"]) / 1000 if "started_ms" in record else None,
        ended_at=ended_at,
        expires_at=None if ended_at is None else ended_at + int(record["retention_ms"]) / 1000,
        metadata=json.loads(record["metadata"]),
    )


def _end(number: int, entry: str, fields: Sequence[str]) -> BatchEnd:
    state, custom_id, job_id, *failure = entry.split(" ", maxsplit=3)
    if job_id == "-":
        return BatchEnd(number, custom_id, JobStatus(state), failure=_failure_from_json(failure[0]))
    job = job_from_record(job_id, mapping(fields)) if fields else None
    return BatchEnd(number, custom_id, JobStatus(state), job_id, job)


def _failure_to_json(failure: ItemFailure | None) -> str:
    return json.dumps([failure.code, failure.detail, failure.issues], ensure_ascii=False) if failure else ""


def _failure_from_json(text: str) -> ItemFailure | None:
    if not text:
        return None
    code, detail, issues = json.loads(text)
    return ItemFailure(code, detail, tuple((pointer, issue) for pointer, issue in issues))
