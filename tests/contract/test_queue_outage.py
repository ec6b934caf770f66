"""A server that is killed or silent: every call says so in time, and later nothing that was accepted is missing."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters import redis_intake, redis_leases
from service.adapters.redis_server import CALL_TIMEOUT_SECONDS
from service.domain.errors import StorageError
from service.domain.job import DEFAULT_TENANT, JobFailure, JobStatus, Progress
from tests.contract.queue_parts import (
    FASTER_THAN_POLLING_SECONDS,
    POLICY,
    POLL_SECONDS,
    ROUNDS,
    Queue,
    let_calls_take_their_time,
    open_queue,
)
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id, a_new_job, a_result

# Tells a refusal at once from a wait of 20 s or more.
BOUND_SECONDS = 10
# Where a time-out is measured, the other work of a slow computer must be short beside it.
TIMES = 3
NOBODYS_FENCE = 999
WHY = JobFailure("backend_error", "why")


@pytest.fixture
def process(server_binary: str, tmp_path: Path) -> Iterator[RedisProcess]:
    """A server of this test's own."""
    process = RedisProcess(server_binary, tmp_path)
    yield process
    process.process.send_signal(signal.SIGCONT)
    process.stop()


@pytest.fixture
def _measured_times(monkeypatch: pytest.MonkeyPatch) -> None:
    let_calls_take_their_time(monkeypatch, TIMES)


@pytest.fixture
async def queue(process: RedisProcess) -> AsyncIterator[Queue]:
    async with open_queue(process.url) as queue:
        yield queue


def calls_of(queue: Queue) -> dict[str, Callable[[], Awaitable[object]]]:
    """Every verb of the three sides but the worker's wait, which may simply find nothing."""
    leases, job_id = queue.leases, a_job_id(1)
    blocking = {
        "claim": lambda: leases.claim(1, 0),
        "heartbeat": lambda: leases.heartbeat({job_id: (NOBODYS_FENCE, Progress())}),
        "succeed": lambda: leases.succeed(job_id, a_result(NOBODYS_FENCE)),
        "fail": lambda: leases.fail(job_id, NOBODYS_FENCE, WHY, may_retry=True),
        "end_cancelled": lambda: leases.end_cancelled(job_id, NOBODYS_FENCE),
        "release": lambda: leases.release(job_id, NOBODYS_FENCE),
    }
    return {
        "enqueue": lambda: queue.intake.enqueue(a_new_job(99)),
        "read": lambda: queue.intake.read(job_id),
        "cancel": lambda: queue.intake.cancel(a_job_id(99), DEFAULT_TENANT),
        "stats": queue.intake.stats,
        "wait_for_end": lambda: queue.intake.wait_for_end(job_id, 20),
        "wait_for_end of another": lambda: queue.intake.wait_for_end(job_id, 20),
        "reap": lambda: queue.upkeep.reap([]),
        **{name: lambda call=call: asyncio.to_thread(call) for name, call in blocking.items()},
    }


async def assert_unavailable(call: Callable[[], Awaitable[object]], bound_seconds: float) -> None:
    start = time.monotonic()
    with pytest.raises(StorageError) as error:
        await call()
    assert error.value.code == "queue_unavailable"
    assert time.monotonic() - start < bound_seconds


async def test_calls_when_the_server_is_killed_then_each_says_so_in_time(queue: Queue, process: RedisProcess) -> None:
    await queue.submit(1, 2)
    queue.leases.claim(1, 0)
    queue.leases.wait_for_news(20)
    waiter = asyncio.create_task(queue.intake.wait_for_end(a_job_id(2), 20))
    await asyncio.to_thread(process.kill)

    for call in (*calls_of(queue).values(), lambda: asyncio.to_thread(queue.leases.wait_for_news, 1)):
        await assert_unavailable(call, BOUND_SECONDS)

    await assert_unavailable(lambda: waiter, BOUND_SECONDS)


@pytest.mark.usefixtures("_measured_times")
async def test_calls_when_the_server_is_silent_then_each_says_so_in_time_and_later_all_is_well(
    queue: Queue, process: RedisProcess
) -> None:
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)
    os.kill(process.process.pid, signal.SIGSTOP)

    # Less than two time-outs: a slow server is not asked twice.
    bound_seconds = 1.9 * TIMES * CALL_TIMEOUT_SECONDS
    await asyncio.gather(*(assert_unavailable(call, bound_seconds) for call in calls_of(queue).values()))

    os.kill(process.process.pid, signal.SIGCONT)
    # The silent server may have accepted it without a word.
    assert (await queue.intake.enqueue(a_new_job(99))).verdict in ("ok", "dup")
    assert (await queue.intake.read(a_job_id(99))) is not None
    assert queue.leases.succeed(job.id, a_result(job.fence)) == "succeeded"


@pytest.mark.usefixtures("_measured_times")
async def test_heartbeat_when_the_server_is_silent_then_a_short_lease_is_given_up_before_other_calls(
    process: RedisProcess,
) -> None:
    policy = replace(POLICY, lease_seconds=6)
    async with open_queue(process.url, policy, redis_leases._HEARTBEAT_OF_LEASE) as queue:
        await queue.submit(1)
        (job,) = queue.leases.claim(1, 0)
        queue.leases.heartbeat({job.id: (job.fence, Progress())})
        os.kill(process.process.pid, signal.SIGSTOP)
        calls = {name: asyncio.ensure_future(calls_of(queue)[name]()) for name in ("claim", "release", "heartbeat")}

        over, _ = await asyncio.wait(calls.values(), return_when=asyncio.FIRST_COMPLETED)

        assert over == {calls["heartbeat"]}
        results = await asyncio.gather(*calls.values(), return_exceptions=True)
        assert [type(result) for result in results] == 3 * [StorageError]


async def test_server_when_killed_and_started_again_then_every_job_is_where_it_was(
    queue: Queue, process: RedisProcess
) -> None:
    await queue.submit(*range(1, 21))
    ended, failed, running, cancelling = queue.leases.claim(4, 0)
    queue.leases.succeed(ended.id, a_result(ended.fence))
    queue.leases.fail(failed.id, failed.fence, WHY, may_retry=False)
    queue.leases.heartbeat({running.id: (running.fence, Progress("tdnet_step", 3))})
    await queue.intake.cancel(cancelling.id, DEFAULT_TENANT)
    await queue.intake.cancel(a_job_id(20), DEFAULT_TENANT)
    before = [await queue.intake.read(a_job_id(number)) for number in range(1, 21)]
    process.kill()
    await asyncio.to_thread(process.start)

    after = [await queue.intake.read(a_job_id(number)) for number in range(1, 21)]

    assert after == before
    assert queue.leases.heartbeat({running.id: (running.fence, Progress("tdnet_step", 4))}) == {running.id: "ok"}
    assert queue.leases.succeed(running.id, a_result(running.fence)) == "succeeded"
    assert queue.leases.succeed(ended.id, a_result(ended.fence)) == "succeeded"
    assert queue.leases.succeed(cancelling.id, a_result(cancelling.fence)) == "cancelled"
    assert [job.id for job in queue.leases.claim(50, 0)] == [a_job_id(number) for number in range(5, 20)]


async def test_server_when_killed_in_the_middle_of_submissions_then_every_accepted_job_is_there(
    queue: Queue, process: RedisProcess
) -> None:
    accepted: list[int] = []

    async def submit(first: int) -> None:
        for number in range(first, 10_000, 4):
            try:
                await queue.intake.enqueue(a_new_job(number))
            except StorageError:
                return
            accepted.append(number)

    tasks = [asyncio.create_task(submit(first)) for first in range(4)]
    async with asyncio.timeout(20):
        while len(accepted) < 40:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0)
    process.process.kill()
    await asyncio.gather(*tasks)
    process.kill()
    await asyncio.to_thread(process.start)

    assert [number for number in accepted if await queue.intake.read(a_job_id(number)) is None] == []


async def test_waiters_when_the_server_is_back_then_they_are_woken_as_before(
    queue: Queue, process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_intake, "_POLL_SECONDS", POLL_SECONDS)
    await queue.submit(0)
    queue.leases.wait_for_news(20)
    assert (await queue.intake.wait_for_end(a_job_id(0), 0.01)).status is JobStatus.QUEUED
    process.kill()
    await assert_unavailable(lambda: asyncio.to_thread(queue.leases.wait_for_news, 20), BOUND_SECONDS)
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(queue.leases.wait_for_news, 0.1)
    start = time.monotonic()

    for number in range(ROUNDS):
        end = await queue.waiter(number)
        (job,) = queue.leases.claim(1, 0)
        work = asyncio.create_task(asyncio.to_thread(queue.leases.wait_for_news, 20))
        queue.leases.succeed(job.id, a_result(job.fence))
        await queue.submit(number + 1)
        assert (await end).status is JobStatus.SUCCEEDED
        await work

    assert time.monotonic() - start < FASTER_THAN_POLLING_SECONDS
