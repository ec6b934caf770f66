"""The auditor finds nothing in a queue that is well, whatever has gone on there, and names what is not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis

from service.adapters import queue_audit
from service.adapters.queue_audit import RedisQueueAuditor
from service.adapters.queue_policy import QueuePolicy
from service.adapters.redis_keys import RedisKeys
from service.domain.errors import StorageError
from tests.fakes.queue_lab import LEASE_MS, PREFIX, RETENTION_MS, STALL_MS, QueueLab, a_hook, job_id, message_id
from tests.fakes.redis_process import RedisProcess

POLICY = QueuePolicy(lease_seconds=LEASE_MS / 1000, stall_timeout_seconds=STALL_MS / 1000)
# Jobs by how they are left by `fill`.
QUEUED, OTHERS_QUEUED, RUNNING, DELAYED, SUCCEEDED, FAILED, CANCELLED, SUSPECT, DEAD = range(9)


@pytest.fixture
async def auditor(server: RedisProcess) -> AsyncIterator[RedisQueueAuditor]:
    auditor = RedisQueueAuditor(server.url, RedisKeys(), POLICY)
    yield auditor
    await auditor.aclose()


def fill(lab: QueueLab) -> None:
    """One job in every state that is looked at, and one more that waits."""
    lab.enqueue(DEAD)
    for delivery in range(5):
        lab.claim(f"victim {delivery}")
        lab.lapse()
    lab.enqueue(SUSPECT)
    lab.claim("dead")
    lab.lapse()
    for number in (RUNNING, DELAYED, SUCCEEDED, FAILED, CANCELLED):
        lab.enqueue(number, hook=a_hook("job.started", "job.succeeded", host=f"host {number}"))
    fences = lab.claim("busy", running=1)
    lab.finish(DELAYED, fences[DELAYED], "retry")
    lab.finish(SUCCEEDED, fences[SUCCEEDED])
    lab.finish(FAILED, fences[FAILED], "failed")
    lab.cancel(CANCELLED)
    lab.heartbeat(CANCELLED, fences[CANCELLED], 1)
    lab.finish(CANCELLED, fences[CANCELLED], "cancelled")
    lab.enqueue(QUEUED)
    lab.plan()
    lab.claim_hooks(1)
    lab.enqueue(OTHERS_QUEUED, tenant="other", priority="batch")
    lab.check()


def job_key(number: int) -> str:
    return f"{PREFIX}job:{job_id(number)}"


async def test_audit_when_every_state_is_there_then_nothing_is_found(lab: QueueLab, auditor: RedisQueueAuditor) -> None:
    assert await auditor.audit() == {}, "an empty queue"
    fill(lab)
    before = lab.snapshot()

    assert await auditor.audit() == {}
    assert lab.snapshot() == before


async def test_audit_when_pictures_and_records_go_then_nothing_is_found(
    lab: QueueLab, auditor: RedisQueueAuditor
) -> None:
    fill(lab)
    lab.advance(RETENTION_MS)
    lab.reap()

    assert await auditor.audit() == {}


# what is damaged: the finding, and how
DAMAGES: dict[str, tuple[dict[str, list[str]], Callable[[redis.Redis], object]]] = {
    "a lease is missing": (
        {"lease": [job_id(RUNNING)]},
        lambda client: client.zrem(f"{PREFIX}leases", job_id(RUNNING)),
    ),
    "a queued job has a lease": (
        {"lease": [job_id(QUEUED)]},
        lambda client: client.zadd(f"{PREFIX}leases", {job_id(QUEUED): 1}),
    ),
    "a lease of nobody": ({"lease": ["nobody"]}, lambda client: client.zadd(f"{PREFIX}leases", {"nobody": 1})),
    "a deadline of nobody": (
        {"deadline": ["nobody"]},
        lambda client: client.zadd(f"{PREFIX}deadlines", {"nobody": 1}),
    ),
    "a pause of nobody": ({"delay": ["nobody"]}, lambda client: client.zadd(f"{PREFIX}delayed", {"nobody": 1})),
    "an end of nobody": ({"final": ["nobody"]}, lambda client: client.zadd(f"{PREFIX}gc", {"nobody": 1})),
    "a queued job is in no line": (
        {"line": [job_id(SUSPECT)]},
        lambda client: client.zrem(f"{PREFIX}suspects", job_id(SUSPECT)),
    ),
    "a line is gone and its tenant is still called": (
        {"line": [job_id(QUEUED), "ready:interactive:t"]},
        lambda client: client.zrem(f"{PREFIX}ready:interactive:t", job_id(QUEUED)),
    ),
    "a job is in two lines": (
        {"line": [job_id(QUEUED)]},
        lambda client: client.zadd(f"{PREFIX}suspects", {job_id(QUEUED): 1}),
    ),
    "a job is in another tenant's line": (
        {"line": [job_id(QUEUED)]},
        lambda client: client.zadd(f"{PREFIX}ready:batch:other", {job_id(QUEUED): 1}),
    ),
    "a running job is in line": (
        {"line": [job_id(RUNNING)]},
        lambda client: client.zadd(f"{PREFIX}ready:interactive:t", {job_id(RUNNING): 1}),
    ),
    "a line that nobody calls": (
        {"line": ["nobody", "ready:batch:unknown"]},
        lambda client: client.zadd(f"{PREFIX}ready:batch:unknown", {"nobody": 1}),
    ),
    "a delay is missing": (
        {"delay": [job_id(DELAYED)]},
        lambda client: client.zrem(f"{PREFIX}delayed", job_id(DELAYED)),
    ),
    "a deadline is missing": (
        {"deadline": [job_id(QUEUED)], "live": ["*", "tenant:t"], "cost": ["cost:queued:interactive"]},
        lambda client: client.zrem(f"{PREFIX}deadlines", job_id(QUEUED)),
    ),
    "an ended job has a deadline": (
        {"deadline": [job_id(FAILED)]},
        lambda client: client.zadd(f"{PREFIX}deadlines", {job_id(FAILED): 1}),
    ),
    "an ended job is never collected": (
        {"final": [job_id(CANCELLED)]},
        lambda client: client.zrem(f"{PREFIX}gc", job_id(CANCELLED)),
    ),
    "a live job is collected": (
        {"final": [job_id(QUEUED)]},
        lambda client: client.zadd(f"{PREFIX}gc", {job_id(QUEUED): 1}),
    ),
    "a dead job is not listed": ({"final": [job_id(DEAD)]}, lambda client: client.zrem(f"{PREFIX}dead", job_id(DEAD))),
    "a record is gone": (
        {"final": [job_id(SUCCEEDED)], "list": [job_id(SUCCEEDED)]},
        lambda client: client.delete(job_key(SUCCEEDED)),
    ),
    "a job is not listed": (
        {"list": [job_id(QUEUED)]},
        lambda client: client.zrem(f"{PREFIX}listed:t", job_id(QUEUED)),
    ),
    "a job that is being erased is listed": (
        {"list": [job_id(RUNNING)]},
        lambda client: client.hset(job_key(RUNNING), "erase", 1),
    ),
    "a job is in another tenant's list": (
        {"list": [job_id(QUEUED)]},
        lambda client: client.zadd(f"{PREFIX}listed:other", {job_id(QUEUED): 1}),
    ),
    "a list names nobody": ({"list": ["nobody"]}, lambda client: client.zadd(f"{PREFIX}listed:t", {"nobody": 1})),
    "a result is missing": (
        {"result": [job_id(SUCCEEDED)]},
        lambda client: client.hdel(job_key(SUCCEEDED), "result"),
    ),
    "a delivery has no place": (
        {"hook": [job_id(SUCCEEDED)]},
        lambda client: client.zrem(f"{PREFIX}hooks_due:host {SUCCEEDED}", message_id(SUCCEEDED, 2)),
    ),
    "two deliveries of one job have a place": (
        {"hook": [job_id(SUCCEEDED)]},
        lambda client: client.zadd(f"{PREFIX}hooks_due:host {SUCCEEDED}", {message_id(SUCCEEDED, 3): 1}),
    ),
    "a delivery is due and is sent": (
        {"hook": [job_id(SUCCEEDED)]},
        lambda client: client.zadd(f"{PREFIX}hooks_sent:host {SUCCEEDED}", {message_id(SUCCEEDED, 2): 1}),
    ),
    "a delivery is gone": (
        {"hook": [job_id(SUCCEEDED)]},
        lambda client: client.delete(f"{PREFIX}hook:{message_id(SUCCEEDED, 3)}"),
    ),
    "a delivery is nobody's": (
        {"hook": [message_id(SUCCEEDED, 3)]},
        lambda client: client.rpop(f"{PREFIX}hooks_of:job:{job_id(SUCCEEDED)}"),
    ),
    "the count of all is wrong": ({"live": ["*"]}, lambda client: client.hincrby(f"{PREFIX}live", "*", 1)),
    "a tenant without jobs is counted": (
        {"live": ["tenant:gone"]},
        lambda client: client.hset(f"{PREFIX}live", "tenant:gone", -1),
    ),
    "a cost is wrong": (
        {"cost": ["cost:running"]},
        lambda client: client.hincrby(f"{PREFIX}live", "cost:running", -1),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_audit_when_one_thing_is_damaged_then_it_is_named(
    lab: QueueLab, auditor: RedisQueueAuditor, damage: str
) -> None:
    finding, do_damage = DAMAGES[damage]
    fill(lab)

    do_damage(lab.client)

    assert await auditor.audit() == finding


async def test_audit_when_a_job_is_overdue_twice_then_it_is_named(lab: QueueLab, auditor: RedisQueueAuditor) -> None:
    fill(lab)
    lab.client.hset(job_key(QUEUED), "deadline_ms", 1)
    assert await auditor.audit() == {}
    lab.client.hset(job_key(RUNNING), "deadline_ms", 1)

    assert await auditor.audit() == {"overdue": [job_id(QUEUED)]}

    lab.client.hset(job_key(QUEUED), "deadline_ms", lab.now - 2 * LEASE_MS - STALL_MS)
    assert await auditor.audit() == {"overdue": [job_id(RUNNING)]}


async def test_audit_when_there_are_many_jobs_then_it_goes_on_where_it_ended(
    lab: QueueLab, auditor: RedisQueueAuditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_audit, "_JOBS_PER_CALL", 10)
    monkeypatch.setattr(queue_audit, "_MAX_CALLS", 3)
    for number in range(100):
        lab.enqueue(number, max_live=1000)
    lab.client.zadd(f"{PREFIX}gc", {f"nobody {number}": number for number in range(150)})
    found: set[str] = set()

    async with asyncio.timeout(20):
        while len(found) < 150:
            findings = await auditor.audit()
            assert findings.keys() <= {"final"}
            assert len(findings.get("final", ())) < 150
            found.update(findings.get("final", ()))


async def test_audit_when_the_queue_changes_meanwhile_then_sums_are_not_compared(
    lab: QueueLab, auditor: RedisQueueAuditor, server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_audit, "_JOBS_PER_CALL", 10)
    for number in range(150):
        lab.enqueue(number, max_live=1000)
    lab.client.hincrby(f"{PREFIX}live", "*", 1)
    assert await auditor.audit() == {"live": ["*"]}

    class Busy(RedisQueueAuditor):
        """Between any two looks a job ends."""

        async def _look(self, *arguments: Any) -> dict[str, Any]:
            answer = await super()._look(*arguments)
            lab.finish(*lab.claim(free=1).popitem())
            return answer

    busy = Busy(server.url, RedisKeys(), POLICY)
    assert await busy.audit() == {}
    await busy.aclose()


async def test_audit_when_the_queue_does_not_answer_then_it_says_so() -> None:
    lost = RedisQueueAuditor("unix:///tmp/no-such-socket", RedisKeys(), POLICY)

    with pytest.raises(StorageError, match="does not answer"):
        await lost.audit()
    await lost.aclose()
