"""An answer that gets lost on its way does no harm: what was done is done once, and a repeat hears of it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from service.adapters.redis_intake import RedisJobIntake
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_leases import RedisJobLeases
from service.domain.errors import StorageError
from service.domain.job import DEFAULT_TENANT, JobStatus, Progress
from service.ports.queue import Enqueued
from tests.contract.lossy_proxy import LossyProxy, lossy_proxy
from tests.contract.queue_parts import POLICY, Queue, open_queue
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id, a_new_job, a_result

# The client repeats a call on a broken connection once by itself.
REPEATED_BY_THE_CLIENT, TOLD_TO_THE_CALLER = 1, 2


@pytest.fixture
async def queue(server: RedisProcess) -> AsyncIterator[Queue]:
    # A lost claim is remembered for two leases.
    async with open_queue(server.url, replace(POLICY, lease_seconds=20)) as queue:
        yield queue


@pytest.fixture
def proxy(server: RedisProcess) -> Iterator[LossyProxy]:
    with lossy_proxy(server.url) as proxy:
        yield proxy


def worker_whose_claim_is_lost(queue: Queue, proxy: LossyProxy, free_rows: int) -> RedisJobLeases:
    leases = queue.worker(proxy.url)
    proxy.lose(TOLD_TO_THE_CALLER, "q1_claim")
    with pytest.raises(StorageError):
        leases.claim(free_rows, 0)
    return leases


async def test_claim_when_one_answer_is_lost_then_the_jobs_arrive_once(queue: Queue, proxy: LossyProxy) -> None:
    await queue.submit(1, 2, 3)
    leases = queue.worker(proxy.url)
    proxy.lose(REPEATED_BY_THE_CLIENT, "q1_claim")

    jobs = leases.claim(2, 0)

    assert [job.id for job in jobs] == [a_job_id(1), a_job_id(2)]
    assert proxy.num_to_lose == 0
    assert (await queue.intake.stats()).queued == 1


async def test_claim_when_its_answers_are_lost_then_the_next_claim_gets_the_same_jobs(
    queue: Queue, proxy: LossyProxy
) -> None:
    await queue.submit(1, 2, 3)
    leases = worker_whose_claim_is_lost(queue, proxy, 2)
    lost = {job_id: queue.client.hget(f"{{xmdpt}}:job:{job_id}", "fence") for job_id in (a_job_id(1), a_job_id(2))}

    # The worker may ask with other numbers by now.
    jobs = leases.claim(1, 1)

    assert {job.id: str(job.fence) for job in jobs} == lost
    assert leases.heartbeat({job.id: (job.fence, Progress()) for job in jobs}) == dict.fromkeys(lost, "ok")
    found = await queue.intake.read(a_job_id(1))
    assert found is not None
    assert found.attempt == 1, "one delivery, though it was asked for three times"
    assert [job.id for job in leases.claim(2, 2)] == [a_job_id(3)], "the repeat is over"


async def test_claim_when_its_answers_are_lost_then_a_claim_of_nothing_gets_the_jobs_and_no_others(
    queue: Queue, proxy: LossyProxy
) -> None:
    await queue.submit(1, 2, 3)
    leases = worker_whose_claim_is_lost(queue, proxy, 2)

    jobs = leases.claim(0, 2)

    assert [leases.release(job.id, job.fence) for job in jobs] == ["queued", "queued"]
    assert leases.claim(0, 0) == ()
    assert (await queue.intake.stats()).queued == 3


async def test_claim_when_another_worker_asks_then_it_gets_none_of_the_lost_jobs(
    queue: Queue, proxy: LossyProxy
) -> None:
    await queue.submit(1)
    leases = worker_whose_claim_is_lost(queue, proxy, 1)

    assert queue.worker().claim(1, 0) == ()
    assert [job.id for job in leases.claim(1, 0)] == [a_job_id(1)]


@pytest.mark.parametrize("num_lost", [REPEATED_BY_THE_CLIENT, TOLD_TO_THE_CALLER])
async def test_finish_when_answers_are_lost_then_a_repeat_is_told_already(
    queue: Queue, proxy: LossyProxy, num_lost: int
) -> None:
    await queue.submit(1)
    leases = queue.worker(proxy.url)
    (job,) = leases.claim(1, 0)
    proxy.lose(num_lost, "q1_finish")
    if num_lost == TOLD_TO_THE_CALLER:
        with pytest.raises(StorageError):
            leases.succeed(job.id, a_result(job.fence))

    assert leases.succeed(job.id, a_result(job.fence)) == "succeeded"

    found = await queue.intake.read(job.id)
    assert found is not None
    assert (found.status, found.result) == (JobStatus.SUCCEEDED, a_result(job.fence))


async def test_enqueue_when_the_answer_is_lost_then_the_job_is_accepted_once(queue: Queue, proxy: LossyProxy) -> None:
    intake = RedisJobIntake(proxy.url, RedisKeys(), POLICY)
    proxy.lose(REPEATED_BY_THE_CLIENT, "q1_enqueue")
    try:
        enqueued = await intake.enqueue(a_new_job(1))
    finally:
        await intake.aclose()

    assert enqueued == Enqueued("dup", a_job_id(1)), "which the gateway takes for accepted"
    assert (await queue.intake.stats()).queued == 1


async def test_cancel_when_the_answer_is_lost_then_a_repeat_hears_the_same(queue: Queue, proxy: LossyProxy) -> None:
    await queue.submit(1, 2)
    (job,) = queue.leases.claim(1, 0)
    intake = RedisJobIntake(proxy.url, RedisKeys(), POLICY)
    try:
        for job_id, expected in ((job.id, "cancelling"), (a_job_id(2), "cancelled")):
            proxy.lose(REPEATED_BY_THE_CLIENT, "q1_cancel")
            assert await intake.cancel(job_id, DEFAULT_TENANT) == expected
    finally:
        await intake.aclose()

    assert queue.leases.end_cancelled(job.id, job.fence) == "cancelled"
