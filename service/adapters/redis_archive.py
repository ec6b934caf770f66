"""Typed calls of `lua/archive.lua`."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from service.adapters.change_watch import ChangeWatch
from service.adapters.error_mapping import queue_errors
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_records import job_from_record, job_then, mapping
from service.adapters.redis_server import connect_async
from service.domain.errors import StorageError
from service.domain.job import Job, JobId, Priority
from service.ports.archive import EraseVerdict, JobChange, JobChoice, JobHistory, JobPage, Latency
from service.telemetry.logs import get_logger


class RedisJobArchive:
    """JobArchive; belongs to one event loop."""

    def __init__(self, url: str, keys: RedisKeys, watch: ChangeWatch) -> None:
        """Connects with the first call; the watch is closed by whoever made it."""
        self._client = connect_async(url)
        self._prefix = keys.prefix
        self._watch = watch

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def history(self, job_id: JobId, tenant: str, after: int | None) -> JobHistory | None:
        """As the port says."""
        answer = await self._call("q1_history", job_id, tenant, "" if after is None else after)
        if not answer:
            return None
        fields, position, work_ahead, newest, changes, *_ = answer
        record = mapping(fields)

        def change(entry: str, then: Sequence[str]) -> JobChange:
            # How many were ahead of it long ago, nobody has counted.
            ahead = (position, work_ahead) if entry == newest else (0, 0)
            return JobChange(_number(entry), job_then(job_id, record, mapping(then), *ahead))

        job = job_from_record(job_id, record, position, work_ahead)
        return JobHistory(job, _number(newest), tuple(change(*told[:2]) for told in changes))

    @asynccontextmanager
    async def changes_of(self, job_id: JobId) -> AsyncGenerator[asyncio.Event]:
        """As the port says."""
        await self._watch.start()
        with self._watch.changes_of(job_id) as changed:
            yield changed

    async def page(self, tenant: str, chosen: JobChoice, before: int | None, limit: int) -> JobPage:
        """As the port says; a call looks at 500 jobs at most, and leaves out, logged, what this version can't read."""
        bound = "" if before is None else before
        next_before, found, *_ = await self._call(
            "q1_list", tenant, chosen.status or "", chosen.batch_id or "", bound, limit
        )
        return JobPage(tuple(_readable(found)), int(next_before) if next_before else None)

    async def latencies(self) -> Sequence[Latency]:
        """As the port says; what an earlier version has noted without its end is left out."""
        entries = [entry.split(" ") for entry in await self._call("q1_latencies")]
        return tuple(
            Latency(Priority(name), int(ms) / 1000, int(end[0]) / 1000, int(end[1]))
            for name, ms, *end in entries
            if end
        )

    async def erase(self, job_id: JobId, tenant: str) -> EraseVerdict:
        """As the port says; a repeat inside the client after a broken connection may turn `erased` into `notfound`."""
        return await self._call("q1_erase", job_id, tenant)

    async def _call(self, function: str, *arguments: str | int) -> Any:
        with queue_errors():
            return cast("Any", await self._client.fcall(function, 1, self._prefix, *arguments))


def _readable(found: Sequence[Sequence[Any]]) -> Iterator[Job]:
    for job_id, fields, position, work_ahead, *_ in found:
        try:
            yield job_from_record(job_id, mapping(fields), position, work_ahead)
        except StorageError as error:
            get_logger().warning("job_unreadable", job=job_id, detail=error.detail)


def _number(entry: str) -> int:
    """Of a change, from its id in the stream."""
    return int(entry.partition("-")[2])
