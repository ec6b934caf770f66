"""The reader behind all waiters: it outlives what it can't read, and says so."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import redis
import structlog

from service.adapters.change_watch import ChangeWatch
from service.domain.trace_context import TraceContext
from service.telemetry.logs import bind_trace
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id

CHANNEL = "test:changes"


@pytest.fixture
async def watch(server: RedisProcess, client: redis.Redis) -> AsyncIterator[ChangeWatch]:
    client.flushall()
    watch = ChangeWatch(server.url, CHANNEL)
    yield watch
    await watch.aclose()


async def test_watch_when_it_meets_the_unforeseen_then_it_is_logged_and_later_changes_are_seen(
    watch: ChangeWatch, client: redis.Redis
) -> None:
    with structlog.testing.capture_logs() as lines, watch.changes_of(a_job_id()) as changed:
        await watch.start()
        client.publish(CHANNEL, "nothing known")
        client.publish(CHANNEL, json.dumps({"type": "job.running", "job": a_job_id()}))

        async with asyncio.timeout(20):
            await changed.wait()

    assert [(line["event"], line["log_level"], line["exc_info"]) for line in lines] == [
        ("change_watch_failed", "error", True)
    ]


async def test_watch_when_a_traced_request_starts_it_then_its_lines_do_not_name_that_trace(
    watch: ChangeWatch, client: redis.Redis
) -> None:
    merge = structlog.contextvars.merge_contextvars
    with structlog.testing.capture_logs(processors=[merge]) as lines, watch.changes_of(a_job_id()) as changed:
        bind_trace(TraceContext("1" * 32, "2" * 16, is_sampled=True))
        await watch.start()
        client.publish(CHANNEL, "nothing known")
        client.publish(CHANNEL, json.dumps({"type": "job.running", "job": a_job_id()}))

        async with asyncio.timeout(20):
            await changed.wait()

    assert [line["event"] for line in lines] == ["change_watch_failed"]
    assert "trace_id" not in lines[0]


async def test_watch_when_the_line_was_cut_then_all_who_wait_look_again(
    watch: ChangeWatch, client: redis.Redis
) -> None:
    with watch.changes_of(a_job_id()) as changed, watch.end_of(a_job_id()) as ended:
        await watch.start()
        client.client_kill_filter(_type="pubsub")

        async with asyncio.timeout(20):
            await changed.wait()
            assert await ended == {}, "nothing is known of it"


async def test_watch_when_its_start_is_cancelled_before_the_answer_then_no_line_stays_open(
    watch: ChangeWatch, client: redis.Redis
) -> None:
    client.client_pause(4000)
    task = asyncio.create_task(watch.start())
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()

    # Answered once the pause is over, and behind what the cancelled line may have sent.
    assert client.pubsub_numsub(CHANNEL) == [(CHANNEL, 0)]
