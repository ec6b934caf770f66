"""The gateway's side of the real queue, on both servers: accepted once, found again, bounded, and honest about it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import structlog

from service.adapters.redis_archive import RedisJobArchive
from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_keys import RedisKeys
from service.domain.job import DEFAULT_TENANT, IdempotencyKey, JobFailure, JobStatus, NewJob, Priority, Progress
from service.ports.archive import JobChoice
from service.ports.queue import Enqueued
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

    assert await queue.intake.enqueue(replace(a_new_job(1), request=a_request(2))) == Enqueued("dup", a_job_id(1))

    job = await queue.intake.read(a_job_id(1))
    assert job is not None
    assert (job.status, job.request) == (JobStatus.RUNNING, a_request(1))


async def test_queue_when_full_then_nothing_is_kept_until_a_job_has_ended(server: RedisProcess) -> None:
    async with open_queue(server.url, replace(POLICY, max_live=2)) as queue:
        await queue.submit(1, 2)
        (claimed,) = queue.leases.claim(1, 0)

        assert await queue.intake.enqueue(a_new_job(3)) == Enqueued("full", a_job_id(3))
        assert await queue.intake.room(DEFAULT_TENANT) == "full"
        assert await queue.intake.read(a_job_id(3)) is None
        queue.leases.succeed(claimed.id, a_result(claimed.fence))
        await queue.submit(3)


async def test_tenant_when_it_has_its_share_then_only_others_are_accepted(server: RedisProcess) -> None:
    async with open_queue(server.url, replace(POLICY, max_live_per_tenant=1)) as queue:
        await queue.submit(1)

        assert (await queue.intake.enqueue(a_new_job(2))).verdict == "quota"
        assert (await queue.intake.enqueue(replace(a_new_job(2), tenant="other"))).verdict == "ok"


def a_job_under_a_key(number: int, fingerprint: str = "f", key: str = "k") -> NewJob:
    return replace(a_new_job(number), idempotency=IdempotencyKey(key, fingerprint))


async def test_key_when_used_again_then_it_stands_for_the_first_job_and_for_nothing_else(queue: Queue) -> None:
    # As long as a key may be; what the queue keeps of it is not longer than of any other.
    key = "~" * 255
    assert await queue.intake.enqueue(a_job_under_a_key(1, key=key)) == Enqueued("ok", a_job_id(1))

    assert await queue.intake.enqueue(a_job_under_a_key(2, key=key)) == Enqueued("dup", a_job_id(1))
    assert (await queue.intake.enqueue(a_job_under_a_key(2, "g", key))).verdict == "mismatch"
    assert await queue.intake.enqueue(a_job_under_a_key(3, key=key[1:])) == Enqueued("ok", a_job_id(3))
    assert await queue.intake.read(a_job_id(2)) is None
    assert not [name for name in queue.client.scan_iter("*") if "~" in name]


async def test_key_when_64_calls_use_it_at_once_then_there_is_one_job(server: RedisProcess) -> None:
    async with open_queue(server.url) as queue:
        intakes = [RedisJobIntake(queue.url, RedisKeys(), POLICY) for _ in range(4)]
        calls = [intakes[number % 4].enqueue(a_job_under_a_key(number)) for number in range(64)]
        answers = await asyncio.gather(*calls)
        for intake in intakes:
            await intake.aclose()

        assert sorted(answer.verdict for answer in answers) == ["dup"] * 63 + ["ok"]
        assert len({answer.job_id for answer in answers}) == 1
        assert (await queue.intake.stats()).queued == 1


async def test_job_when_it_has_class_deadline_and_line_then_its_reader_sees_them(queue: Queue) -> None:
    await queue.submit(1)
    job = replace(a_new_job(2), priority=Priority.BATCH, deadline_seconds=60, tenant="other")
    await queue.intake.enqueue(job)

    first, second = [await queue.intake.read(a_job_id(number)) for number in (1, 2)]

    assert first is not None
    assert second is not None
    assert (first.priority, first.position, first.work_ahead, first.retry_at) == (Priority.INTERACTIVE, 0, 0, None)
    assert (second.priority, second.position, second.work_ahead) == (Priority.BATCH, 1, a_new_job(1).cost)
    assert second.deadline_at == pytest.approx(second.created_at + 60, abs=0.01)


async def test_job_when_it_waits_for_its_next_try_then_its_reader_sees_until_when(server: RedisProcess) -> None:
    async with open_queue(server.url, replace(POLICY, retry_delay_seconds=3600)) as queue:
        await queue.submit(1)
        (claimed,) = queue.leases.claim(1, 0)
        queue.leases.fail(claimed.id, claimed.fence, JobFailure("backend_error", "why"), may_retry=True)

        job = await queue.intake.read(claimed.id)

        assert job is not None
        assert (job.status, job.position, job.attempt) == (JobStatus.QUEUED, 0, 1)
        assert job.retry_at is not None
        assert job.created_at <= job.retry_at <= job.created_at + 3700


async def test_list_when_one_job_is_of_a_newer_version_then_the_others_are_there_and_it_is_named(
    queue: Queue,
) -> None:
    await queue.submit(1, 2, 3)
    key = RedisKeys().job(a_job_id(2))
    fields = json.loads(queue.client.hget(key, "request"))
    fields["params"]["sampler"] = "newest"
    queue.client.hset(key, "request", json.dumps(fields))
    archive = RedisJobArchive(queue.url, RedisKeys(), queue.intake.watch)

    with structlog.testing.capture_logs() as lines:
        page = await archive.page(DEFAULT_TENANT, JobChoice(), None, 10)
    await archive.aclose()

    assert [job.id for job in page.jobs] == [a_job_id(3), a_job_id(1)]
    assert [(line["event"], line["job"]) for line in lines] == [("job_unreadable", a_job_id(2))]


async def test_cancel_when_the_job_waits_runs_or_has_ended_then_it_says_what_became_of_it(queue: Queue) -> None:
    await queue.submit(1, 2, 3)
    ended, running = queue.leases.claim(2, 0)
    queue.leases.succeed(ended.id, a_result(ended.fence))
    ids = [ended.id, running.id, a_job_id(3)]

    assert [await queue.intake.cancel(job_id, "other") for job_id in ids] == ["notfound"] * 3
    verdicts = [await queue.intake.cancel(job_id, DEFAULT_TENANT) for job_id in (*ids, a_job_id(4))]

    assert verdicts == ["succeeded", "cancelling", "cancelled", "notfound"]
    statuses = [job.status for job_id in ids if (job := await queue.intake.read(job_id))]
    assert statuses == [JobStatus.SUCCEEDED, JobStatus.CANCELLING, JobStatus.CANCELLED]
    assert await queue.intake.cancel(running.id, DEFAULT_TENANT) == "cancelling"


async def test_stats_when_jobs_wait_run_and_end_then_they_count_the_first_two(queue: Queue) -> None:
    await queue.submit(1, 2, 3, 4)
    first, second = queue.leases.claim(2, 0)
    queue.leases.succeed(first.id, a_result(first.fence))
    queue.leases.fail(second.id, second.fence, JobFailure("backend_error", "why"), may_retry=False)
    queue.leases.claim(1, 0)

    stats = await queue.intake.stats()

    assert (stats.queued, stats.running) == (1, 1)
    assert stats.queued_cost == {Priority.INTERACTIVE: a_new_job(4).cost, Priority.BATCH: 0}
    assert (stats.running_cost, stats.num_suspects, stats.num_dead) == (a_new_job(3).cost, 0, 0)
    assert 0 <= stats.oldest_wait_seconds < 60
    assert stats.forecast_ratios == ()


async def test_stats_when_jobs_had_a_forecast_then_they_tell_how_wrong_it_was(queue: Queue) -> None:
    await queue.intake.enqueue(replace(a_new_job(1), forecast_seconds=1000))
    (job,) = queue.leases.claim(1, 0)
    queue.leases.succeed(job.id, a_result(job.fence))

    (ratio,) = (await queue.intake.stats()).forecast_ratios

    assert 0 <= ratio < 0.06


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
    await queue.intake.enqueue(replace(a_new_job(1), retention_seconds=77))
    (claimed,) = queue.leases.claim(1, 0)
    result = a_result(claimed.fence)
    queue.leases.succeed(claimed.id, result)

    job = await queue.intake.read(claimed.id)

    assert job is not None
    assert (job.status, job.result, job.failure, job.is_expired) == (JobStatus.SUCCEEDED, result, None, False)
    assert job.ended_at is not None
    assert job.expires_at == pytest.approx(job.ended_at + 77, abs=0.01)


async def test_job_when_it_failed_then_the_reason_is_read_in_any_language(queue: Queue) -> None:
    await queue.submit(1)
    (claimed,) = queue.leases.claim(1, 0)
    failure = JobFailure("backend_error", "grün \N{PILE OF POO} %s {{7*7}}\r\n")
    queue.leases.fail(claimed.id, claimed.fence, failure, may_retry=False)

    job = await queue.intake.read(claimed.id)

    assert job is not None
    assert (job.status, job.failure, job.result) == (JobStatus.FAILED, failure, None)
