"""The gateway's side of the real queue, on both servers: accepted once, found again, bounded, and honest about it."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.domain.job import JobFailure, JobStatus, Progress
from tests.contract.queue_parts import POLICY, Queue, open_queue
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id, a_new_job, a_request, a_result


@pytest.fixture
async def queue(server: RedisProcess) -> AsyncIterator[Queue]:
    async with open_queue(server.url) as queue:
        yield queue


async def test_job_when_accepted_then_it_is_found_as_it_was_sent(queue: Queue) -> None:
    start = time.time()
    await queue.submit(1)

    job = await queue.intake.read(a_job_id(1))

    assert job is not None
    assert (job.id, job.status, job.request, job.attempt) == (a_job_id(1), JobStatus.QUEUED, a_request(1), 0)
    # The server's clock is this machine's.
    assert start - 1 <= job.created_at <= time.time() + 1
    assert (job.started_at, job.ended_at, job.expires_at, job.result, job.failure) == (None,) * 5


async def test_job_when_unknown_then_none(queue: Queue) -> None:
    await queue.submit(1)

    assert await queue.intake.read(a_job_id(2)) is None


async def test_jobs_when_they_wait_then_each_knows_how_many_are_ahead(queue: Queue) -> None:
    await queue.submit(3, 1, 2)

    positions = [job.position for number in (3, 1, 2) if (job := await queue.intake.read(a_job_id(number)))]
    queue.leases.claim(1, 0)
    later = [job.position for number in (3, 1, 2) if (job := await queue.intake.read(a_job_id(number)))]

    assert positions == [0, 1, 2]
    assert later == [0, 0, 1]


async def test_job_when_submitted_again_then_dup_and_nothing_changes(queue: Queue) -> None:
    await queue.submit(1)
    queue.leases.claim(1, 0)

    assert await queue.intake.enqueue(replace(a_new_job(1), request=a_request(2))) == "dup"

    job = await queue.intake.read(a_job_id(1))
    assert job is not None
    assert (job.status, job.request) == (JobStatus.RUNNING, a_request(1))


async def test_queue_when_full_then_nothing_is_kept_until_a_job_has_ended(server: RedisProcess) -> None:
    async with open_queue(server.url, replace(POLICY, max_live=2)) as queue:
        await queue.submit(1, 2)
        (claimed,) = queue.leases.claim(1, 0)

        assert await queue.intake.enqueue(a_new_job(3)) == "full"
        assert await queue.intake.read(a_job_id(3)) is None
        queue.leases.succeed(claimed.id, a_result(claimed.fence))
        assert await queue.intake.enqueue(a_new_job(3)) == "ok"


async def test_stats_when_jobs_wait_run_and_end_then_they_count_the_first_two(queue: Queue) -> None:
    await queue.submit(1, 2, 3, 4)
    first, second = queue.leases.claim(2, 0)
    queue.leases.succeed(first.id, a_result(first.fence))
    queue.leases.fail(second.id, second.fence, JobFailure("backend_error", "why"), may_retry=False)
    queue.leases.claim(1, 0)

    stats = await queue.intake.stats()

    assert (stats.queued, stats.running) == (1, 1)
    assert 0 <= stats.oldest_wait_seconds < 60


async def test_stats_when_a_job_waits_longer_then_the_oldest_wait_grows(queue: Queue) -> None:
    assert (await queue.intake.stats()).oldest_wait_seconds == 0
    await queue.submit(1)
    first = (await queue.intake.stats()).oldest_wait_seconds
    give_up_at = time.monotonic() + 20

    while (await queue.intake.stats()).oldest_wait_seconds <= first:
        assert time.monotonic() < give_up_at


async def test_job_when_it_runs_then_its_reader_sees_how_far_it_is(queue: Queue) -> None:
    await queue.submit(1)
    (claimed,) = queue.leases.claim(1, 0)
    queue.leases.heartbeat({claimed.id: (claimed.fence, Progress("tdnet_step", 3))})

    job = await queue.intake.read(claimed.id)

    assert job is not None
    assert (job.status, job.attempt, job.progress) == (JobStatus.RUNNING, 1, Progress("tdnet_step", 3))
    assert job.started_at is not None
    assert job.started_at >= job.created_at


async def test_job_when_it_ended_well_then_its_result_and_times_are_read(queue: Queue) -> None:
    await queue.submit(1)
    (claimed,) = queue.leases.claim(1, 0)
    result = a_result(claimed.fence)
    queue.leases.succeed(claimed.id, result)

    job = await queue.intake.read(claimed.id)

    assert job is not None
    assert (job.status, job.result, job.failure, job.is_expired) == (JobStatus.SUCCEEDED, result, None, False)
    assert job.ended_at is not None
    assert job.expires_at == pytest.approx(job.ended_at + POLICY.retention_seconds, abs=0.01)


async def test_job_when_it_failed_then_the_reason_is_read_in_any_language(queue: Queue) -> None:
    await queue.submit(1)
    (claimed,) = queue.leases.claim(1, 0)
    failure = JobFailure("backend_error", "grün \N{PILE OF POO} %s {{7*7}}\r\n")
    queue.leases.fail(claimed.id, claimed.fence, failure, may_retry=False)

    job = await queue.intake.read(claimed.id)

    assert job is not None
    assert (job.status, job.failure, job.result) == (JobStatus.FAILED, failure, None)
