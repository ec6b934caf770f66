"""The queue keeps which trace a job continues: for each delivery, for its webhooks, and for the items of a batch."""

import dataclasses
from collections.abc import AsyncIterator

import pytest

from service.adapters.redis_batches import RedisBatchBooks
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_webhooks import RedisWebhookQueue
from service.domain.batch import NewBatch
from service.domain.trace_context import TraceContext
from service.domain.webhook import Webhook, WebhookEvent
from tests.contract.queue_parts import POLICY, Queue, open_queue
from tests.fakes.redis_process import RedisProcess
from tests.unit.builders import a_job_id, a_new_job

TRACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", is_sampled=True)
HOOK = Webhook("https://example.org/hook", (WebhookEvent.JOB_STARTED,))


@pytest.fixture
async def queue(server: RedisProcess) -> AsyncIterator[Queue]:
    async with open_queue(server.url) as queue:
        yield queue


async def test_claim_when_a_delivery_was_lost_then_the_next_one_continues_the_same_trace(queue: Queue) -> None:
    await queue.intake.enqueue(dataclasses.replace(a_new_job(1), trace=TRACE))
    (first,) = queue.leases.claim(1, 0)
    await queue.reap_until(lambda _: queue.client.hget(RedisKeys().job(a_job_id(1)), "state") == "queued")

    (second,) = queue.worker().claim(1, 0)

    assert (first.trace, first.attempt) == (TRACE, 1)
    assert (second.trace, second.attempt) == (TRACE, 2)


async def test_claim_when_a_job_belongs_to_no_trace_then_none_is_told(queue: Queue) -> None:
    await queue.submit(1)

    (job,) = queue.leases.claim(1, 0)

    assert job.trace is None
    assert not queue.client.hexists(RedisKeys().job(a_job_id(1)), "trace")


@pytest.mark.parametrize("trace", [TRACE, None])
async def test_webhook_when_its_job_belongs_to_a_trace_then_so_does_its_delivery(
    queue: Queue, trace: TraceContext | None
) -> None:
    hooks = RedisWebhookQueue(queue.url, RedisKeys())
    try:
        await queue.intake.enqueue(dataclasses.replace(a_new_job(1), trace=trace, webhook=HOOK))
        queue.leases.claim(1, 0)
        await hooks.plan()

        (delivery,) = await hooks.claim(8)
    finally:
        await hooks.aclose()

    assert delivery.trace == trace


@pytest.mark.parametrize("trace", [TRACE, None])
async def test_batch_when_it_belongs_to_a_trace_then_so_do_its_items(queue: Queue, trace: TraceContext | None) -> None:
    books = RedisBatchBooks(queue.url, RedisKeys(), POLICY)
    try:
        await books.open(NewBatch("bat_" + "1" * 32, "default", 2, 8, 60.0, 60.0, {}, trace=trace))

        (turn,) = await books.turns("feeder", 3.0)
    finally:
        await books.aclose()

    assert turn.trace == trace
