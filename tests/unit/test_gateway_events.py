"""Following a job while the queue comes and goes."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from service.domain.errors import NotFoundError, StorageError
from service.domain.job import DEFAULT_TENANT
from service.gateway.events import JobEvent, JobEvents
from service.gateway.forecast import Forecasts
from service.telemetry.metrics import GatewayMetrics
from tests.fakes.fake_intake import FakeIntake, a_worker_report
from tests.fakes.memory_blobs import MemoryBlobs
from tests.unit.builders import a_job_id, a_new_job


@pytest.fixture
async def queue() -> FakeIntake:
    queue = FakeIntake()
    await queue.enqueue(a_new_job(1))
    return queue


@pytest.fixture
def metrics() -> GatewayMetrics:
    return GatewayMetrics("test")


@pytest.fixture
def events(queue: FakeIntake, metrics: GatewayMetrics) -> JobEvents:
    return JobEvents(queue, MemoryBlobs(), Forecasts(queue, queue, fresh_seconds=0), metrics, max_streams=1)


def follow(events: JobEvents, number: int = 1) -> AsyncGenerator[JobEvent]:
    return events.follow(a_job_id(number), DEFAULT_TENANT, None)


async def test_follow_when_the_queue_is_away_for_a_while_then_the_stream_outlives_it(
    queue: FakeIntake, events: JobEvents
) -> None:
    stream = follow(events)
    assert (await anext(stream)).kind == "status"
    queue.trouble = "refuses"
    following = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    queue.run(a_job_id(1), 5)
    queue.trouble = "none"

    event = await asyncio.wait_for(following, 20)

    assert (event.kind, event.job.progress.step) == ("progress", 5)
    await stream.aclose()


@pytest.mark.parametrize(("trouble", "number", "error"), [("refuses", 1, StorageError), ("none", 2, NotFoundError)])
async def test_follow_when_it_can_not_begin_then_it_says_why_and_takes_no_place(
    queue: FakeIntake, events: JobEvents, metrics: GatewayMetrics, trouble, number: int, error: type[Exception]
) -> None:
    queue.trouble = trouble

    with pytest.raises(error):
        await anext(follow(events, number))

    assert metrics.sse_clients._value.get() == 0


async def test_follow_when_it_is_closing_then_all_end_and_who_comes_is_told_how_the_job_stands(
    events: JobEvents, metrics: GatewayMetrics
) -> None:
    stream = follow(events)
    await anext(stream)
    following = asyncio.ensure_future(anext(stream, None))
    await asyncio.sleep(0)

    events.close()

    assert await asyncio.wait_for(following, 20) is None
    assert metrics.sse_clients._value.get() == 0
    assert [event.kind async for event in follow(events)] == ["status"]


async def test_follow_when_a_worker_is_calibrated_then_status_and_progress_have_a_forecast(
    queue: FakeIntake, events: JobEvents
) -> None:
    queue.workers.append(a_worker_report(step_seconds=0.1))
    stream = follow(events)
    first = await anext(stream)
    queue.run(a_job_id(1), 2)

    second = await asyncio.wait_for(anext(stream), 20)

    assert (first.kind, second.kind) == ("status", "progress")
    assert first.eta is not None
    assert second.eta is not None
    assert second.eta.p50_seconds < first.eta.p50_seconds
    await stream.aclose()


async def test_follow_when_the_job_waits_again_then_its_steps_are_no_progress(
    queue: FakeIntake, events: JobEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look that finds nothing says so.
    monkeypatch.setattr("service.gateway.events._SILENCE_SECONDS", 0)
    stream = follow(events)
    await anext(stream)
    queue.run(a_job_id(1), 5)
    kinds = [(await anext(stream)).kind, (await anext(stream)).kind]
    queue.run(a_job_id(1), 7)
    queue.delay(a_job_id(1), retry_at=1e10)

    kinds.append((await anext(stream)).kind)

    assert kinds == ["progress", "silence", "silence"]
    await stream.aclose()
