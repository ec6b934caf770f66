"""The worker's and upkeep's side of the real queue, on both servers: one owner at a time, and nothing forgotten."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_upkeep import RedisJobUpkeep
from service.domain.job import DEFAULT_TENANT, ClaimedJob, JobFailure, JobStatus, Priority, Progress
from tests.contract.queue_parts import POLICY, Queue, open_queue
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id, a_new_job, a_request, a_result

WHY = JobFailure("backend_error", "why")


@pytest.fixture
async def queue(server: RedisProcess) -> AsyncIterator[Queue]:
    async with open_queue(server.url) as queue:
        yield queue


async def status_of(queue: Queue, number: int) -> JobStatus | None:
    job = await queue.intake.read(a_job_id(number))
    return job.status if job else None


async def test_claim_when_jobs_wait_then_as_many_as_fit_in_their_order(queue: Queue) -> None:
    await queue.submit(5, 6, 7)

    first, second = queue.leases.claim(2, 0), queue.leases.claim(8, 2)

    assert [job.id for job in (*first, *second)] == [a_job_id(5), a_job_id(6), a_job_id(7)]
    assert [job.request for job in first] == [a_request(5), a_request(6)]
    fences = [job.fence for job in (*first, *second)]
    assert fences == sorted(set(fences))
    assert not any(job.is_suspect for job in first)
    assert all(0 <= job.queue_seconds < 60 for job in first)
    assert queue.leases.claim(8, 3) == ()


async def test_claim_when_a_request_is_of_a_newer_version_then_its_job_waits_unharmed_for_a_worker_of_that(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.submit(1, 2)
    key = RedisKeys().job(a_job_id(1))
    known = queue.client.hget(key, "request")
    queue.client.hset(key, "request", json.dumps(json.loads(known) | {"shade": 3}))

    (other,) = queue.leases.claim(2, 0)
    assert other.id == a_job_id(2)
    # Its lease must not end meanwhile.
    assert queue.leases.succeed(other.id, a_result(other.fence)) == "succeeded"
    told = queue.client.xlen("{xmdpt}:events")
    for _ in range(POLICY.max_failures + POLICY.max_deliveries):
        assert queue.client.hmget(key, "state", "deliveries", "failures") == ["delayed", "0", "0"]
        job = await queue.intake.read(a_job_id(1))
        assert job
        assert (job.status, job.request, job.failure) == (JobStatus.QUEUED, a_request(1), None), "it is shown"
        queue.client.zadd("{xmdpt}:delayed", {a_job_id(1): 1})
        await queue.reap_until(lambda _: not queue.client.zcard("{xmdpt}:delayed"))
        assert queue.worker().claim(1, 0) == ()
    assert queue.client.xlen("{xmdpt}:events") == told, "it is said once, whoever of this version asks again"

    # A worker of the newer version.
    queue.client.hset(key, "request", known)
    monkeypatch.setattr("service.adapters.redis_leases.reader_name", lambda: "newer")
    queue.client.zadd("{xmdpt}:delayed", {a_job_id(1): 1})
    await queue.reap_until(lambda _: not queue.client.zcard("{xmdpt}:delayed"))
    (job,) = queue.worker().claim(1, 0)
    assert (job.id, job.attempt) == (a_job_id(1), 1)
    assert queue.leases.succeed(job.id, a_result(job.fence)) == "succeeded"


async def test_claim_when_many_jobs_of_a_newer_version_are_before_an_ordinary_one_then_that_one_runs(
    queue: Queue,
) -> None:
    await queue.submit(*range(1, 22))
    for number in range(1, 21):
        key = RedisKeys().job(a_job_id(number))
        queue.client.hset(key, "request", json.dumps(json.loads(queue.client.hget(key, "request")) | {"shade": 3}))

    assert [job.id for job in queue.leases.claim(1, 0)] == [a_job_id(21)]
    assert queue.client.zcard("{xmdpt}:delayed") == 20


async def test_claim_when_a_stored_request_can_not_be_read_then_its_job_is_given_back_and_the_rest_is_claimed(
    queue: Queue,
) -> None:
    await queue.submit(1, 2, 3)
    queue.client.hset(RedisKeys().job(a_job_id(2)), "request", "{}")

    first, third = queue.leases.claim(3, 0)

    assert [first.id, third.id] == [a_job_id(1), a_job_id(3)]
    for _ in range(POLICY.max_failures - 1):
        assert queue.client.hget(RedisKeys().job(a_job_id(2)), "state") == "delayed"
        await queue.reap_until(lambda _: not queue.client.zcard("{xmdpt}:delayed"))
        assert queue.leases.claim(1, 2) == ()
    assert queue.client.hget(RedisKeys().job(a_job_id(2)), "state") == "failed"
    assert queue.client.hget(RedisKeys().job(a_job_id(2)), "error_code") == "internal_error"


async def test_claim_when_two_workers_ask_then_no_job_is_given_twice(queue: Queue) -> None:
    await queue.submit(*range(1, 21))
    workers = [queue.worker() for _ in range(4)]

    claimed = [job.id for _ in range(5) for worker in workers for job in worker.claim(1, 0)]

    assert sorted(claimed) == [a_job_id(number) for number in range(1, 21)]


async def test_heartbeat_when_several_jobs_are_reported_then_each_has_its_own_verdict(queue: Queue) -> None:
    await queue.submit(1, 2)
    first, second = queue.leases.claim(2, 0)

    verdicts = queue.leases.heartbeat(
        {
            first.id: (first.fence, Progress("canet", 0)),
            a_job_id(9): (1, Progress()),
            second.id: (second.fence + 1, Progress()),
        }
    )

    assert verdicts == {first.id: "ok", a_job_id(9): "lost", second.id: "lost"}


async def test_finish_when_said_twice_or_by_another_then_it_counts_once(queue: Queue) -> None:
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)

    assert queue.leases.succeed(job.id, a_result(job.fence + 1)) == "fenced"
    assert queue.leases.succeed(a_job_id(9), a_result(job.fence)) == "gone"
    assert queue.leases.succeed(job.id, a_result(job.fence)) == "succeeded"
    assert queue.leases.succeed(job.id, a_result(job.fence)) == "succeeded"
    assert queue.leases.fail(job.id, job.fence, WHY, may_retry=False) == "succeeded"
    assert queue.leases.release(job.id, job.fence) == "fenced"
    assert await status_of(queue, 1) is JobStatus.SUCCEEDED


async def test_failure_when_it_may_be_tried_again_then_it_is_until_the_tries_are_used_up(queue: Queue) -> None:
    await queue.submit(1)
    verdicts = []
    for _ in range(POLICY.max_failures):
        (job,) = queue.leases.claim(1, 0)
        verdicts.append(queue.leases.fail(job.id, job.fence, WHY, may_retry=True))
        await queue.reap_until(lambda _: not queue.client.zcard("{xmdpt}:delayed"))

    assert verdicts == ["retry", "retry", "failed"]
    ended = await queue.intake.read(a_job_id(1))
    assert ended is not None
    assert (ended.status, ended.failure, ended.attempt) == (JobStatus.FAILED, WHY, 3)


async def test_claim_when_a_job_has_class_and_deadline_then_its_worker_knows_them(queue: Queue) -> None:
    await queue.intake.enqueue(replace(a_new_job(1), priority=Priority.BATCH, deadline_seconds=100))

    (job,) = queue.leases.claim(1, 0)

    assert job.priority is Priority.BATCH
    assert 40 < job.seconds_left <= 100


async def test_claim_when_a_deadline_has_passed_then_the_job_has_failed(queue: Queue) -> None:
    await queue.intake.enqueue(replace(a_new_job(1), deadline_seconds=0.001))
    await queue.submit(2)
    job = await queue.intake.read(a_job_id(1))
    assert job is not None
    assert job.deadline_at is not None
    wait_until_the_server_says(queue, job.deadline_at)

    assert [claimed.id for claimed in queue.leases.claim(8, 0)] == [a_job_id(2)]

    job = await queue.intake.read(a_job_id(1))
    assert job is not None
    assert job.failure is not None
    assert (job.status, job.failure.code) == (JobStatus.FAILED, "deadline_exceeded")


async def test_deadline_when_it_passes_at_work_then_the_worker_is_told_and_the_job_fails(queue: Queue) -> None:
    await queue.intake.enqueue(replace(a_new_job(1), deadline_seconds=60))
    (job,) = queue.leases.claim(1, 0)
    found = await queue.intake.read(job.id)
    assert found is not None
    assert found.deadline_at is not None
    # As if the minute were over: one that is short enough to wait for may end before a busy computer has claimed.
    assert queue.client.hset(RedisKeys().job(job.id), "deadline_ms", 1) == 0

    assert queue.leases.heartbeat({job.id: (job.fence, Progress())}) == {job.id: "cancel"}
    assert await status_of(queue, 1) is JobStatus.RUNNING
    assert queue.leases.end_cancelled(job.id, job.fence) == "expired"
    assert await status_of(queue, 1) is JobStatus.FAILED


def wait_until_the_server_says(queue: Queue, seconds: float) -> None:
    give_up_at = time.monotonic() + 20
    while int(queue.client.time()[0]) + queue.client.time()[1] / 1e6 <= seconds + 0.001:
        assert time.monotonic() < give_up_at


async def test_cancel_when_the_job_runs_then_its_worker_is_told_and_ends_it(queue: Queue) -> None:
    await queue.submit(1, 2)
    job, other = queue.leases.claim(2, 0)
    assert queue.leases.end_cancelled(job.id, job.fence) == "fenced", "nobody has asked for it"
    await queue.intake.cancel(job.id, DEFAULT_TENANT)

    reports = {job.id: (job.fence, Progress("tdnet_step", 1)), other.id: (other.fence, Progress("tdnet_step", 1))}
    assert queue.leases.heartbeat(reports) == {job.id: "cancel", other.id: "ok"}
    assert queue.leases.end_cancelled(job.id, job.fence) == "cancelled"
    assert queue.leases.end_cancelled(job.id, job.fence) == "cancelled"
    assert await status_of(queue, 1) is JobStatus.CANCELLED


async def test_cancel_when_it_races_the_finish_then_one_wins_and_all_agree(server: RedisProcess) -> None:
    async with open_queue(server.url) as queue:
        numbers = range(1, POLICY.max_live + 1)
        await queue.submit(*numbers)
        jobs = queue.leases.claim(len(numbers), 0)

        async def race(job: ClaimedJob) -> tuple[str, str, JobStatus | None]:
            finished, cancelled = await asyncio.gather(
                asyncio.to_thread(queue.leases.succeed, job.id, a_result(job.fence)),
                queue.intake.cancel(job.id, DEFAULT_TENANT),
            )
            found = await queue.intake.read(job.id)
            return finished, cancelled, found.status if found else None

        outcomes = await asyncio.gather(*(race(job) for job in jobs))

    assert set(outcomes) <= {
        ("succeeded", "succeeded", JobStatus.SUCCEEDED),
        ("cancelled", "cancelling", JobStatus.CANCELLED),
    }


async def test_bury_when_a_worker_of_that_name_has_ended_then_its_jobs_wait_again_and_nobody_elses(
    queue: Queue,
) -> None:
    await queue.submit(1, 2, 3, 4)
    ended, other = queue.worker(name="pod-1"), queue.worker(name="pod-10")
    held = ended.claim(2, 0)
    (unnamed,), (elsewhere,) = queue.leases.claim(1, 0), other.claim(1, 0)

    heir = queue.worker(name="pod-1")
    assert heir.bury_predecessor(0.0) == 2
    assert heir.bury_predecessor(0.0) == 0

    assert [await status_of(queue, number) for number in (1, 2, 3, 4)] == [
        *[JobStatus.QUEUED] * 2,
        *[JobStatus.RUNNING] * 2,
    ]
    assert ended.succeed(held[0].id, a_result(held[0].fence)) == "fenced"
    # One after the other, alone: they may have killed their worker.
    (first,) = heir.claim(4, 0)
    assert (first.id, first.is_suspect, first.attempt) == (a_job_id(1), True, 2)
    assert heir.succeed(first.id, a_result(first.fence)) == "succeeded"
    assert [job.id for job in heir.claim(4, 0)] == [a_job_id(2)]
    assert other.succeed(elsewhere.id, a_result(elsewhere.fence)) == "succeeded"
    assert queue.leases.succeed(unnamed.id, a_result(unnamed.fence)) == "succeeded"


async def test_bury_when_another_worker_of_that_name_lives_then_it_keeps_its_jobs(queue: Queue) -> None:
    await queue.submit(1, 2)
    twin, newcomer = queue.worker(name="pod"), queue.worker(name="pod")
    held = twin.claim(2, 0)

    # The newcomer was there when the twin claimed.
    assert newcomer.bury_predecessor(age_seconds=60.0) == 0

    assert [twin.succeed(job.id, a_result(job.fence)) for job in held] == ["succeeded"] * 2


async def test_bury_when_a_worker_has_no_name_then_it_is_nobodys_successor(queue: Queue) -> None:
    await queue.submit(1)
    queue.leases.claim(1, 0)

    assert queue.worker().bury_predecessor(0.0) == 0
    assert await status_of(queue, 1) is JobStatus.RUNNING


async def test_bury_when_a_job_has_ended_its_last_worker_then_it_fails(queue: Queue) -> None:
    await queue.submit(1)
    for _ in range(POLICY.max_deliveries):
        assert await status_of(queue, 1) is JobStatus.QUEUED
        queue.worker(name="pod").claim(1, 0)
        assert queue.worker(name="pod").bury_predecessor(0.0) == 1

    job = await queue.intake.read(a_job_id(1))
    assert job is not None
    assert (job.status, job.failure and job.failure.code) == (JobStatus.FAILED, "attempts_exhausted")


async def test_release_when_the_job_is_no_longer_wanted_then_it_ends(queue: Queue) -> None:
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)
    await queue.intake.cancel(job.id, DEFAULT_TENANT)

    assert queue.leases.release(job.id, job.fence) == "cancelled"
    assert queue.leases.claim(1, 0) == ()


async def test_release_when_a_worker_goes_then_the_delivery_does_not_count(queue: Queue) -> None:
    await queue.submit(1)
    (job,) = queue.leases.claim(1, 0)

    assert queue.leases.release(job.id, job.fence) == "queued"
    assert queue.leases.release(job.id, job.fence) == "queued"

    found = await queue.intake.read(job.id)
    assert found is not None
    assert (found.status, found.attempt) == (JobStatus.QUEUED, 0)
    (again,) = queue.worker().claim(1, 0)
    assert (again.id, again.is_suspect) == (job.id, False)
    assert again.fence > job.fence


async def test_lease_when_its_worker_is_silent_then_another_gets_the_job_and_the_first_is_fenced(queue: Queue) -> None:
    await queue.submit(1)
    zombie, heir = queue.leases, queue.worker()
    (old,) = zombie.claim(1, 0)
    await queue.reap_until(lambda _: queue.client.zcard("{xmdpt}:suspects"))

    (new,) = heir.claim(1, 0)

    assert (new.id, new.is_suspect) == (old.id, True)
    assert zombie.heartbeat({old.id: (old.fence, Progress("tdnet_step", 4))}) == {old.id: "lost"}
    assert zombie.succeed(old.id, a_result(old.fence)) == "fenced"
    assert heir.succeed(new.id, a_result(new.fence)) == "succeeded"
    found = await queue.intake.read(old.id)
    assert found is not None
    assert found.result == a_result(new.fence)


async def test_lease_when_its_worker_reports_then_it_outlives_its_length(server: RedisProcess) -> None:
    # On a busy computer, too, each of many heartbeats must come within the lease that the one before it has renewed.
    async with open_queue(server.url, replace(POLICY, lease_seconds=4.0)) as queue:
        await queue.submit(1)
        (job,) = queue.leases.claim(1, 0)
        first_end = queue.client.zscore("{xmdpt}:leases", job.id)
        step = 0

        def keep_on(_: list[str]) -> bool:
            nonlocal step
            step += 1
            time.sleep(0.05)
            assert queue.leases.heartbeat({job.id: (job.fence, Progress("tdnet_step", step))}) == {job.id: "ok"}
            return queue.client.time()[0] * 1000 > first_end + 500

        await queue.reap_until(keep_on)

        assert queue.leases.succeed(job.id, a_result(job.fence)) == "succeeded"


async def test_pictures_when_their_time_is_over_then_they_are_named_until_somebody_has_deleted_them(
    server: RedisProcess,
) -> None:
    async with open_queue(server.url) as queue:
        await queue.intake.enqueue(replace(a_new_job(1), retention_seconds=0.01))
        await queue.submit(2)
        (job,) = queue.leases.claim(1, 0)
        queue.leases.succeed(job.id, a_result(job.fence))

        assert await queue.reap_until(lambda named: named) == [job.id]
        # That gateway dies before it has deleted anything; another one is told.
        other = RedisJobUpkeep(queue.url, RedisKeys(), queue.policy)
        assert await other.reap([]) == (job.id,)
        assert await other.reap([]) == (job.id,)
        assert await other.reap([job.id]) == ()
        assert await other.reap([]) == ()
        await other.aclose()

        found = await queue.intake.read(job.id)
        assert found is not None
        assert (found.status, found.is_expired) == (JobStatus.SUCCEEDED, True)
        assert await status_of(queue, 2) is JobStatus.QUEUED
