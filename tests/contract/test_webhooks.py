"""Webhooks from a job's end to its receiver: the real queue, the real dispatcher, real HTTP."""

import asyncio
import base64
import dataclasses
import hashlib
import hmac
from collections.abc import AsyncIterator

import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_webhooks import RedisSecretRegister, RedisWebhookQueue
from service.adapters.resolver import SystemResolver
from service.adapters.task_end import end_task
from service.adapters.webhook_sender import HttpWebhookSender
from service.api.webhook_bodies import webhook_body
from service.domain.errors import StorageError
from service.domain.job import JobFailure
from service.domain.webhook import MAX_BODY_BYTES, MAX_METADATA_BYTES, WebhookEvent
from service.gateway.webhooks import WebhookDispatcher
from service.ports.webhooks import Delivery
from service.telemetry.metrics import GatewayMetrics
from tests.contract.queue_parts import open_queue
from tests.fakes.webhook_desk import Desk
from tests.fakes.webhook_receiver import HANG, Told, answer, running_receiver
from tests.unit.builders import a_job, a_job_id


@pytest.fixture
async def desk(valkey_server: EmbeddedValkey) -> AsyncIterator[Desk]:
    async with open_queue(valkey_server.url) as queue:
        yield Desk(queue)


def is_signed(told: Told, secret: str) -> bool:
    """Done by hand, as the standard says."""
    content = f"{told.headers['webhook-id']}.{told.headers['webhook-timestamp']}.".encode() + told.body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}" in told.headers["webhook-signature"].split(" ")


async def test_job_when_it_goes_its_way_then_each_change_is_told_once_in_order_signed_and_as_it_was(desk: Desk) -> None:
    async with running_receiver() as receiver, desk.dispatching():
        await desk.submit(receiver)
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 2)

    started, ended = receiver.told
    assert [told.event["type"] for told in receiver.told] == ["job.started", "job.succeeded"]
    assert [told.event["data"]["status"] for told in receiver.told] == ["running", "succeeded"]
    assert [len(told.event["data"]["outputs"]) for told in receiver.told] == [0, 1]
    assert ended.event["timestamp"] == ended.event["data"]["ended_at"]
    assert ended.event["data"]["id"] == a_job_id(1)
    assert (started.id, ended.id) == (f"msg_{1:032x}_2", f"msg_{1:032x}_3")
    (secret,) = desk.secrets()
    assert all(is_signed(told, secret) for told in receiver.told)
    assert not is_signed(ended, "whsec_" + base64.b64encode(bytes(32)).decode())


async def test_jobs_when_they_fail_or_are_cancelled_then_that_is_told(desk: Desk) -> None:
    async with running_receiver() as receiver, desk.dispatching():
        await desk.submit(receiver, 1, [WebhookEvent.JOB_FAILED])
        (job,) = desk.queue.leases.claim(1, 0)
        desk.queue.leases.fail(job.id, job.fence, JobFailure("backend_error", "x" * 50_000), may_retry=False)
        await desk.submit(receiver, 2, [WebhookEvent.JOB_CANCELLED])
        await desk.queue.intake.cancel(a_job_id(2), "default")
        await desk.submit(receiver, 3, [WebhookEvent.JOB_FAILED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 2)

    told = {told.event["type"]: told for told in receiver.told}
    assert set(told) == {"job.failed", "job.cancelled"}
    assert told["job.failed"].event["data"]["error"]["code"] == "backend_error"
    assert len(told["job.failed"].body) < MAX_BODY_BYTES


async def test_secret_when_it_is_rotated_then_both_sign_and_the_new_one_stays(desk: Desk) -> None:
    (old,) = desk.secrets()
    new, kept = desk.secrets(rotate=True)
    async with running_receiver() as receiver, desk.dispatching():
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: receiver.told)

    assert kept == old != new
    assert is_signed(receiver.told[0], old)
    assert is_signed(receiver.told[0], new)
    assert 24 <= len(base64.b64decode(new.removeprefix("whsec_"))) <= 64


@pytest.mark.parametrize(
    "faults",
    [
        [answer(500), answer(404)],
        [answer(302, Location="http://127.0.0.1:1/")],
        [b"", b"HTTP/1.1 200"],
        [b"HTTP/1.1 500 x\r\n\r\n" + b"x" * 1_000_000],
        [answer(429, Retry_After="0"), answer(503)],
    ],
    ids=["errors", "redirect", "cut", "huge", "busy"],
)
async def test_delivery_when_it_is_not_taken_then_it_is_sent_again_under_the_same_id(
    desk: Desk, faults: list[bytes]
) -> None:
    async with running_receiver(faults) as receiver, desk.dispatching():
        num_tries = len(faults) + 1
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert len(receiver.told) == num_tries
    assert len({told.id for told in receiver.told}) == 1
    assert len({told.body for told in receiver.told}) == 1
    assert desk.counted("retried") == len(faults)


async def test_deliveries_of_a_job_when_the_first_fails_then_the_next_one_waits_for_its_end(desk: Desk) -> None:
    async with running_receiver([answer(500)] * 3) as receiver, desk.dispatching():
        await desk.submit(receiver)
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 2)

    assert [told.event["type"] for told in receiver.told] == ["job.started"] * 4 + ["job.succeeded"]


async def test_delivery_when_every_try_fails_then_it_is_given_up_and_the_next_one_is_told(desk: Desk) -> None:
    async with running_receiver([answer(500)] * 3) as receiver, desk.dispatching(retry_seconds=(0.01, 0.01)):
        await desk.submit(receiver)
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert [told.event["type"] for told in receiver.told] == ["job.started"] * 3 + ["job.succeeded"]
    assert (desk.counted("retried"), desk.counted("given_up")) == (2, 1)


async def test_delivery_when_a_fault_of_the_gateway_stops_it_then_it_is_put_off_given_up_and_the_next_one_is_told(
    desk: Desk,
) -> None:
    def body(delivery: Delivery) -> bytes:
        if delivery.event == "job.started":
            raise OverflowError
        return webhook_body(delivery)

    async with running_receiver() as receiver, desk.dispatching(retry_seconds=(0.01, 0.01), body_of=body):
        await desk.submit(receiver)
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert [told.event["type"] for told in receiver.told] == ["job.succeeded"]
    assert (desk.counted("retried"), desk.counted("given_up")) == (2, 1)


async def test_receiver_when_it_is_gone_then_nothing_more_of_the_job_is_told(desk: Desk) -> None:
    async with running_receiver([answer(410)]) as receiver, desk.dispatching():
        await desk.submit(receiver)
        desk.succeed()
        await receiver.until(lambda: desk.counted("disabled") == 1)
        await desk.submit(receiver, 2, [WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert [told.event["data"]["id"] for told in receiver.told] == [a_job_id(1), a_job_id(2)]


@pytest.mark.parametrize(("seconds", "least", "most"), [("600", 600, 660), ("0", 300, 330), ("999999", 50_400, 55_440)])
async def test_delivery_when_the_receiver_says_when_to_come_back_then_not_sooner_and_not_for_ever_later(
    desk: Desk, seconds: str, least: int, most: int
) -> None:
    async with running_receiver([answer(503, Retry_After=seconds)]) as receiver, desk.dispatching(retry_seconds=(300,)):
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("retried") == 1)

    ((_, due_ms),) = desk.queue.client.zrange("{xmdpt}:hooks", 0, -1, withscores=True)  # pyright: ignore
    server_seconds = desk.queue.client.time()[0]  # pyright: ignore
    a_minute_passes = 60
    assert least - a_minute_passes <= float(due_ms) / 1000 - server_seconds <= most + a_minute_passes


async def test_receiver_when_it_hangs_then_it_delays_no_other_one(desk: Desk) -> None:
    async with (
        running_receiver(otherwise=HANG) as hanging,
        running_receiver() as well,
        desk.dispatching(timeout_seconds=60),
    ):
        for number in range(20):
            await desk.submit(hanging, number, [WebhookEvent.JOB_SUCCEEDED])
        desk.succeed(20)
        await hanging.until(lambda: len(hanging.told) == 4)
        for number in range(20, 30):
            await desk.submit(well, number, [WebhookEvent.JOB_SUCCEEDED])
        desk.succeed(10)
        await well.until(lambda: len(well.told) == 10)

        assert (len(hanging.told), desk.counted("retried")) == (4, 0)


async def test_receiver_when_it_hangs_then_it_is_left_after_its_time_and_called_again(desk: Desk) -> None:
    async with running_receiver([HANG]) as receiver, desk.dispatching(timeout_seconds=4.0):
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert len(receiver.told) == 2


async def test_dispatchers_when_there_are_several_then_each_delivery_is_told_once(desk: Desk) -> None:
    async with running_receiver() as receiver, desk.dispatching(), desk.dispatching(), desk.dispatching():
        for number in range(40):
            await desk.submit(receiver, number)
        for _ in range(5):
            desk.succeed(8)
        await receiver.until(lambda: desk.counted("delivered") == 80)

    ids = [told.id for told in receiver.told]
    assert len(ids) == len(set(ids)) == 80
    places = {message: place for place, message in enumerate(ids)}
    assert all(places[f"msg_{number:032x}_2"] < places[f"msg_{number:032x}_3"] for number in range(40))


async def test_gateway_when_it_dies_between_the_answer_and_its_note_then_another_one_tells_again_under_the_same_id(
    desk: Desk,
) -> None:
    async with running_receiver() as receiver:
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        hooks = RedisWebhookQueue(desk.queue.url, RedisKeys(), lease_seconds=0.3)
        await hooks.plan()
        (delivery,) = await hooks.claim(5)  # It sends this, and dies.
        async with desk.dispatching():
            await receiver.until(lambda: desk.counted("delivered") == 1)
        await hooks.end(delivery, "ended")  # A zombie's word changes nothing.
        await hooks.aclose()

    assert [told.id for told in receiver.told] == [delivery.id]


async def test_delivery_when_its_job_is_erased_meanwhile_then_nobody_is_told_again(desk: Desk) -> None:
    async with running_receiver([answer(500)]) as receiver, desk.dispatching(retry_seconds=(600,)):
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("retried") == 1)
        desk.queue.client.fcall("q1_erase", 1, "{xmdpt}:", a_job_id(1), "default")
        await desk.submit(receiver, 2, [WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert [told.event["data"]["id"] for told in receiver.told] == [a_job_id(1), a_job_id(2)]
    assert list(desk.queue.client.scan_iter("{xmdpt}:hook*:*")) == ["{xmdpt}:hook_secrets:default"]


async def test_delivery_when_development_is_over_then_nothing_is_sent_to_this_computer(desk: Desk) -> None:
    async with running_receiver() as receiver, desk.dispatching(retry_seconds=(), is_development=False):
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("given_up") == 1)

    assert receiver.num_connections == 0
    assert desk.metrics.webhook_blocked._value.get() == 1


async def test_dispatcher_when_it_stops_then_what_is_being_sent_comes_to_its_end(desk: Desk) -> None:
    async with running_receiver() as receiver, desk.dispatching():
        await desk.submit(receiver, events=[WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: receiver.told)

    assert desk.counted("delivered") == 1


async def test_queue_when_it_does_not_answer_then_that_is_counted_and_waited_out() -> None:
    metrics = GatewayMetrics("test")
    hooks = RedisWebhookQueue("unix:///tmp/no-such-socket", RedisKeys())
    sender = HttpWebhookSender(SystemResolver(1), "test")
    dispatcher = WebhookDispatcher(hooks, sender, webhook_body, metrics, look_every_seconds=0.001)
    task = asyncio.create_task(dispatcher.run())
    async with asyncio.timeout(20):
        while metrics.redis_errors._value.get() < 3:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.001)

    assert not task.done()
    await end_task(task)
    await hooks.aclose()
    register = RedisSecretRegister("unix:///tmp/no-such-socket", RedisKeys())
    with pytest.raises(StorageError, match="does not answer"):
        register.secrets("default")
    register.close()


async def test_delivery_when_its_record_is_of_another_version_then_the_others_are_told(desk: Desk) -> None:
    async with running_receiver() as receiver, desk.dispatching():
        await desk.submit(receiver, 1)
        desk.queue.client.hset(f"{{xmdpt}}:job:{a_job_id(1)}", "request", "{}")
        await desk.queue.intake.cancel(a_job_id(1), "default")
        await desk.submit(receiver, 2, [WebhookEvent.JOB_SUCCEEDED])
        desk.succeed()
        await receiver.until(lambda: desk.counted("delivered") == 1)

    assert [told.event["data"]["id"] for told in receiver.told] == [a_job_id(2)]


def test_body_when_the_metadata_is_as_long_as_it_may_be_then_it_is_below_20_kb() -> None:
    texts = {f"{number:040}": "\U0001f642" * 230 for number in range(16)}
    assert MAX_METADATA_BYTES - 1000 < sum(44 + len(text.encode()) for text in texts.values()) < MAX_METADATA_BYTES
    job = a_job(failure=JobFailure("backend_error", "\U0001f642" * 50_000))
    job = dataclasses.replace(job, request=dataclasses.replace(job.request, metadata=texts))

    assert len(webhook_body(Delivery("msg_1", 1, "job.failed", 1.0, "https://x/", job))) < MAX_BODY_BYTES
