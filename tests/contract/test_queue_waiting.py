"""Who waits is woken: a client by its job's end, a worker by a job or a cancel. Polling would be too slow here."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from service.adapters import redis_intake
from service.adapters.redis_keys import RedisKeys
from service.domain.job import DEFAULT_TENANT, JobFailure, JobStatus, Progress
from tests.contract.queue_parts import FASTER_THAN_POLLING_SECONDS, POLL_SECONDS, ROUNDS, Queue, open_queue
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id, a_result


@pytest.fixture
async def queue(server: RedisProcess) -> AsyncIterator[Queue]:
    async with open_queue(server.url) as queue:
        yield queue


@pytest.fixture
def _rare_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a slow computer, too, is faster."""
    monkeypatch.setattr(redis_intake, "_POLL_SECONDS", POLL_SECONDS)


@pytest.mark.usefixtures("_rare_polls")
async def test_wait_for_end_when_the_job_ends_then_it_wakes_at_once(queue: Queue) -> None:
    seconds = 0.0
    for number in range(ROUNDS):
        await queue.submit(number)
        task = await queue.waiter(number)
        (job,) = queue.leases.claim(1, 0)
        start = time.monotonic()
        if number % 2:
            queue.leases.succeed(job.id, a_result(job.fence))
        else:
            queue.leases.fail(job.id, job.fence, JobFailure("backend_error", "why"), may_retry=False)
        ended = await task
        seconds += time.monotonic() - start
        assert ended.status is (JobStatus.SUCCEEDED if number % 2 else JobStatus.FAILED)

    assert seconds < FASTER_THAN_POLLING_SECONDS


@pytest.mark.usefixtures("_rare_polls")
async def test_wait_for_end_when_the_job_is_cancelled_then_it_wakes_at_once(queue: Queue) -> None:
    seconds = 0.0
    for number in range(ROUNDS):
        await queue.submit(number)
        task = await queue.waiter(number)
        claimed = queue.leases.claim(1, 0) if number % 2 else ()
        start = time.monotonic()
        verdict = await queue.intake.cancel(a_job_id(number), DEFAULT_TENANT)
        for job in claimed:
            queue.leases.end_cancelled(job.id, job.fence)
        assert (await task).status is JobStatus.CANCELLED
        seconds += time.monotonic() - start
        assert verdict == ("cancelling" if number % 2 else "cancelled")

    assert seconds < FASTER_THAN_POLLING_SECONDS


async def test_wait_for_end_when_many_wait_then_those_of_the_job_wake_and_the_others_go_on(queue: Queue) -> None:
    await queue.submit(1, 2)
    first, second, other = [await queue.waiter(number) for number in (1, 1, 2)]
    (job,) = queue.leases.claim(1, 0)

    queue.leases.succeed(job.id, a_result(job.fence))

    assert (await first).status is (await second).status is JobStatus.SUCCEEDED
    assert not other.done()
    (job,) = queue.leases.claim(1, 0)
    queue.leases.succeed(job.id, a_result(job.fence))
    assert (await other).id == a_job_id(2)
    assert queue.intake.watch._waiters == {}, "who has left is forgotten"


async def test_wait_for_end_when_the_job_is_only_retried_then_it_waits_on(queue: Queue) -> None:
    await queue.submit(1)
    task = await queue.waiter(1)
    (job,) = queue.leases.claim(1, 0)
    queue.leases.fail(job.id, job.fence, JobFailure("backend_error", "why"), may_retry=True)
    await queue.reap_until(lambda _: not queue.client.zcard("{xmdpt}:delayed"))
    assert not task.done()

    (job,) = queue.leases.claim(1, 0)
    queue.leases.succeed(job.id, a_result(job.fence))

    assert (await task).status is JobStatus.SUCCEEDED


@pytest.mark.usefixtures("_rare_polls")
async def test_wait_for_end_when_the_job_has_ended_before_then_the_answer_is_immediate(queue: Queue) -> None:
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)
    queue.leases.succeed(job.id, a_result(job.fence))
    start = time.monotonic()

    for _ in range(ROUNDS):
        assert (await queue.intake.wait_for_end(job.id, 20)).status is JobStatus.SUCCEEDED

    assert time.monotonic() - start < FASTER_THAN_POLLING_SECONDS


async def test_wait_for_end_when_the_time_is_over_or_the_job_unknown_then_what_there_is(queue: Queue) -> None:
    await queue.submit(1)
    start = time.monotonic()

    job = await queue.intake.wait_for_end(a_job_id(1), 0.2)

    assert time.monotonic() - start >= 0.2
    assert job is not None
    assert job.status is JobStatus.QUEUED
    assert await queue.intake.wait_for_end(a_job_id(2), 20) is None


async def test_wait_for_end_when_waits_are_ended_then_all_read_their_job_as_it_stands_and_nobody_waits_again(
    queue: Queue,
) -> None:
    await queue.submit(1, 2)
    waiting = [await queue.waiter(number) for number in (1, 2)]

    queue.intake.end_waits()
    jobs = [*await asyncio.gather(*waiting), await queue.intake.wait_for_end(a_job_id(1), 600)]

    assert [(job.id, job.status) for job in jobs] == [(a_job_id(n), JobStatus.QUEUED) for n in (1, 2, 1)]


async def test_wait_for_end_when_the_job_ends_while_it_is_looked_at_then_no_other_state_is_told(queue: Queue) -> None:
    await queue.intake.watch.start()

    # At each turn of the loop that a read takes, and then in the wait.
    for number in range(40):
        await queue.submit(number)
        (job,) = queue.leases.claim(1, 0)
        task = asyncio.create_task(queue.intake.wait_for_end(job.id, 20))
        for _ in range(number):
            await asyncio.sleep(0)
        queue.leases.succeed(job.id, a_result(job.fence))
        assert (await task).status is JobStatus.SUCCEEDED


async def test_wait_for_end_when_the_job_ends_then_it_is_told_as_a_look_would_find_it(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_intake, "_POLL_SECONDS", 20)
    await queue.submit(1)
    queue.client.config_resetstat()
    task = await queue.waiter(1)
    (job,) = queue.leases.claim(1, 0)
    queue.leases.succeed(job.id, a_result(job.fence))

    told = await task

    (calls,) = [stats["calls"] for name, stats in queue.client.info("commandstats").items() if name == "cmdstat_fcall"]
    assert calls == 3, "a look, the claim, the end: that says it all, and nobody looks again"
    assert told == await queue.intake.read(job.id)


async def test_wait_for_end_when_the_job_was_erased_meanwhile_then_its_end_is_not_told(queue: Queue) -> None:
    await queue.submit(1)
    task = await queue.waiter(1)
    (job,) = queue.leases.claim(1, 0)
    assert queue.client.fcall("q1_erase", 1, "{xmdpt}:", job.id, DEFAULT_TENANT) == "erasing"
    queue.leases.succeed(job.id, a_result(job.fence))

    assert await task is None


async def test_wait_for_end_when_the_line_was_cut_then_it_is_mended_and_wakes_at_once(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.intake.watch.start()
    queue.client.client_kill_filter(_type="pubsub")
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)
    # Within a second the waiter looks by itself.
    task = await queue.waiter(1)
    queue.leases.succeed(job.id, a_result(job.fence))
    assert (await task).status is JobStatus.SUCCEEDED

    async with asyncio.timeout(20):
        while not queue.client.pubsub_numsub(RedisKeys().changes)[0][1]:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
    monkeypatch.setattr(redis_intake, "_POLL_SECONDS", POLL_SECONDS)
    seconds = 0.0
    for number in range(2, 2 + ROUNDS):
        await queue.submit(number)
        task = await queue.waiter(number)
        (job,) = queue.leases.claim(1, 0)
        start = time.monotonic()
        queue.leases.succeed(job.id, a_result(job.fence))
        assert (await task).status is JobStatus.SUCCEEDED
        seconds += time.monotonic() - start
    assert seconds < FASTER_THAN_POLLING_SECONDS


async def test_wait_for_end_when_the_line_is_cut_and_mended_meanwhile_then_it_waits_on_for_the_end(
    queue: Queue,
) -> None:
    await queue.submit(1)
    task = await queue.waiter(1)
    with queue.intake.watch.changes_of(a_job_id(1)) as mended:
        queue.client.client_kill_filter(_type="pubsub")
        async with asyncio.timeout(20):
            await mended.wait()
    for _ in range(3):
        await queue.intake.read(a_job_id(1))
    assert not task.done()

    (job,) = queue.leases.claim(1, 0)
    queue.leases.succeed(job.id, a_result(job.fence))

    assert (await task).status is JobStatus.SUCCEEDED


async def test_wait_for_end_when_the_waiter_leaves_then_nothing_of_it_stays(queue: Queue) -> None:
    await queue.submit(1)
    await queue.intake.wait_for_end(a_job_id(1), 0)  # opens the connections

    # At each turn of the loop that a read takes, and then in the wait.
    for num_turns in range(40):
        task = asyncio.create_task(queue.intake.wait_for_end(a_job_id(1), 20))
        for _ in range(num_turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    assert queue.intake.watch._waiters == {}
    assert (await queue.intake.read(a_job_id(1))).status is JobStatus.QUEUED


async def test_wait_for_news_when_it_is_the_first_time_then_anything_may_have_been_missed(queue: Queue) -> None:
    assert queue.leases.wait_for_news(20) == {"work", "cancel"}
    assert queue.leases.wait_for_news(0.01) == set()


async def test_wait_for_news_when_a_job_comes_then_it_wakes_at_once(queue: Queue) -> None:
    queue.leases.wait_for_news(20)
    start = time.monotonic()
    for number in range(ROUNDS):
        task = asyncio.create_task(asyncio.to_thread(queue.leases.wait_for_news, 20))
        await queue.submit(number)
        assert await task == {"work"}
        assert [job.id for job in queue.leases.claim(8, number)] == [a_job_id(number)]

    assert time.monotonic() - start < FASTER_THAN_POLLING_SECONDS


async def test_wait_for_news_when_a_running_job_is_cancelled_then_it_wakes_at_once(queue: Queue) -> None:
    await queue.submit(*range(ROUNDS))
    jobs = queue.leases.claim(ROUNDS, 0)
    queue.leases.wait_for_news(20)
    start = time.monotonic()
    for job in jobs:
        task = asyncio.create_task(asyncio.to_thread(queue.leases.wait_for_news, 20))
        await queue.intake.cancel(job.id, DEFAULT_TENANT)
        assert await task == {"cancel"}
        assert queue.leases.heartbeat({job.id: (job.fence, Progress())}) == {job.id: "cancel"}

    assert time.monotonic() - start < FASTER_THAN_POLLING_SECONDS


async def test_wait_for_news_when_a_job_comes_back_then_it_wakes_too(queue: Queue) -> None:
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)
    other = queue.worker()
    other.wait_for_news(20)
    task = asyncio.create_task(asyncio.to_thread(other.wait_for_news, 20))
    start = time.monotonic()

    queue.leases.release(job.id, job.fence)

    assert await task == {"work"}
    assert time.monotonic() - start < POLL_SECONDS
    assert [job.id for job in other.claim(1, 0)] == [a_job_id(1)]


async def test_wait_for_news_when_much_came_while_busy_then_it_is_one_reason_to_look(queue: Queue) -> None:
    queue.leases.wait_for_news(20)
    await queue.submit(1, 2, 3)
    queue.leases.claim(1, 0)
    await queue.intake.cancel(a_job_id(1), DEFAULT_TENANT)
    queue.client.ping()  # The server answers this only after it has sent the news of the commands before.

    assert queue.leases.wait_for_news(20) == {"work", "cancel"}
    assert queue.leases.wait_for_news(0.01) == set()
