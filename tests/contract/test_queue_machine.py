"""Any sequence of calls gives the verdicts and states that a small model in Python foretells."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from service.adapters.redis_server import connect
from tests.fakes.queue_lab import (
    ENDED,
    LEASE_MS,
    MAX_DELIVERIES,
    MAX_FAILURES,
    RETRY_DELAY_MS,
    STALL_MS,
    QueueLab,
    job_id,
)
from tests.simulation.queue.episode import simulation_server
from tests.unit.builders import repeatable

MAX_LIVE, MAX_TENANT_LIVE = 4, 3
SUSPECT_PATIENCE_MS = 5_000
NUMBERS = st.integers(0, 6)
WORKERS = st.sampled_from(("w", "v"))
# 0 is the newest delivery of a job.
DELIVERIES_AGO = st.sampled_from((0, 0, 0, 0, 1, 2))


def tenant_of(number: int) -> str:
    return "ab"[number % 2]


@dataclass
class ModelJob:
    """What is known of one job; times in ms of the server's clock."""

    number: int
    deadline_ms: int
    state: str = "queued"
    owner: str = ""
    fences: list[int] = field(default_factory=list)
    deliveries: int = 0
    failures: int = 0
    is_suspect: bool = False
    suspect_since_ms: int = 0
    lease_ends_ms: int = 0
    due_ms: int = 0
    moved_ms: int = 0
    step: int = -1
    cancel: str = ""
    is_erased: bool = False
    last_end: tuple[int, str] = (0, "")

    def cause(self, now_ms: int) -> str:
        """Why it is no longer wanted; empty if it is."""
        return self.cancel or ("deadline" if now_ms >= self.deadline_ms else "")

    def end_unwanted(self, cause: str) -> str:
        self.state = "cancelled" if cause == "client" else "failed"
        return "cancelled" if cause == "client" else "expired"

    def lose(self, now_ms: int) -> None:
        cause = self.cause(now_ms)
        if cause:
            self.end_unwanted(cause)
        elif self.deliveries >= MAX_DELIVERIES:
            self.state = "failed"
        else:
            self.state, self.is_suspect, self.suspect_since_ms = "queued", True, now_ms

    def refusal(self, fence: int, *, is_release: bool) -> str:
        """What an end without the right to it is answered; empty if this delivery has the right."""
        last_fence, last_verdict = self.last_end
        is_same_end = last_verdict in ("cancelled", "expired") or (last_verdict == "queued") == is_release
        if last_fence == fence and is_same_end:
            return "already"
        return "" if self.state == "running" and self.fences[-1] == fence else "fenced"


class QueueMachine(RuleBasedStateMachine):
    """The jobs of the model in the order of their acceptance, and the same in the lab."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.lab = QueueLab(client)
        self.jobs: dict[int, ModelJob] = {}
        self.keys: dict[tuple[str, str], tuple[int, str]] = {}
        self.reaped_at_ms = self.lab.now

    @rule(
        number=NUMBERS,
        key=st.sampled_from(("", "", "k", "l")),
        fingerprint=st.sampled_from("xxy"),
        deadline_ms=st.sampled_from((20_000, 10**8, 10**8, 10**8)),
    )
    def enqueue(self, number: int, key: str, fingerprint: str, deadline_ms: int) -> None:
        tenant = tenant_of(number)
        live = [tenant_of(job.number) for job in self.jobs.values() if job.state not in ENDED]
        expected = ("ok", number)
        if key and (tenant, key) in self.keys:
            known, content = self.keys[tenant, key]
            expected = ("dup" if content == fingerprint else "mismatch", known)
        elif number in self.jobs:
            expected = ("dup", number)
        elif len(live) >= MAX_LIVE:
            expected = ("full", number)
        elif live.count(tenant) >= MAX_TENANT_LIVE:
            expected = ("quota", number)
        asked = {"tenant": tenant, "key": key, "fingerprint": fingerprint, "deadline_ms": deadline_ms}
        bounds = {"max_live": MAX_LIVE, "max_tenant_live": MAX_TENANT_LIVE}

        verdict, job = self.lab.enqueue_answer(number, **asked, **bounds)

        assert (verdict, job) == (expected[0], job_id(expected[1]))
        if verdict == "ok":
            self.jobs[number] = ModelJob(number, self.lab.now + deadline_ms)
            if key:
                self.keys[tenant, key] = (number, fingerprint)

    @rule(number=NUMBERS, whose=st.sampled_from(("own", "own", "own", "other")))
    def cancel(self, number: int, whose: str) -> None:
        tenant = tenant_of(number if whose == "own" else number + 1)
        verdict = self.lab.cancel(number, tenant)

        job = self.jobs.get(number)
        if job is None or whose == "other" or job.is_erased:
            assert verdict == "notfound"
        elif job.state in ENDED:
            assert verdict == job.state
        elif job.state == "running":
            job.cancel = job.cause(self.lab.now) or "client"
            assert verdict == "cancelling"
        else:
            job.end_unwanted(job.cause(self.lab.now) or "client")
            assert verdict == job.state

    @rule(number=NUMBERS, whose=st.sampled_from(("own", "own", "own", "other")))
    def erase(self, number: int, whose: str) -> None:
        tenant = tenant_of(number if whose == "own" else number + 1)
        verdict = self.lab.erase(number, tenant)

        job = self.jobs.get(number)
        if job is None or whose == "other":
            assert verdict == "notfound"
        elif job.state in ENDED and not job.is_erased:
            assert verdict == "erased"
            self._forget(job)
        else:
            assert verdict == "erasing"
            if job.state == "running":
                job.cancel = job.cause(self.lab.now) or "client"
            elif job.state not in ENDED:
                job.end_unwanted(job.cause(self.lab.now) or "client")
            job.is_erased = True

    def _forget(self, job: ModelJob) -> None:
        del self.jobs[job.number]
        self.keys = {key: known for key, known in self.keys.items() if known[0] != job.number}

    @rule(tenant=st.sampled_from("ab"), limit=st.integers(1, 3))
    def read_list(self, tenant: str, limit: int) -> None:
        """Page by page: all of the tenant's, the newest first."""
        numbers, place = self.lab.page(tenant, limit=limit)
        while place:
            more, place = self.lab.page(tenant, before=place, limit=limit)
            numbers += more
        expected = [job.number for job in self.jobs.values() if tenant_of(job.number) == tenant and not job.is_erased]
        assert numbers == expected[::-1]

    @rule(worker=WORKERS, free=st.integers(0, 4))
    def claim(self, worker: str, free: int) -> None:
        running = [job for job in self.jobs.values() if job.state == "running" and job.owner == worker]
        answer = self.lab.claim_answer(worker, free=free, running=len(running))
        claimed = {int(job["id"][4:], 16): job["fence"] for job in answer["jobs"]}
        if claimed:
            assert self.lab.claim_answer(worker, self.lab.last_claim, free, len(running)) == answer

        for job in self._waiting():
            # Overdue jobs end when a claim comes across them, or later.
            if job.cause(self.lab.now) and self.lab.state(job.number) == "failed":
                job.state = "failed"
        wanted = [job for job in self._waiting() if not job.cause(self.lab.now)]
        suspects = [job for job in wanted if job.is_suspect]
        if free == 0 or any(job.is_suspect for job in running):
            assert not claimed
        elif suspects and not running:
            assert list(claimed) == [suspects[0].number], "a suspect alone"
        elif answer["hold"]:
            assert not claimed
            assert self.lab.now - suspects[0].suspect_since_ms > SUSPECT_PATIENCE_MS
        else:
            self._check_lines(list(claimed), [job.number for job in wanted if not job.is_suspect], free)
        for number, fence in claimed.items():
            self._start(self.jobs[number], worker, fence)

    def _waiting(self) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state == "queued"]

    def _check_lines(self, claimed: list[int], ready: list[int], free: int) -> None:
        """As many as fit, and of each tenant the first ones in their order."""
        assert len(claimed) == min(free, len(ready))
        for tenant in "ab":
            own = [number for number in claimed if tenant_of(number) == tenant]
            assert own == [number for number in ready if tenant_of(number) == tenant][: len(own)]

    def _start(self, job: ModelJob, worker: str, fence: int) -> None:
        assert all(fence > earlier for other in self.jobs.values() for earlier in other.fences)
        job.fences.append(fence)
        job.state, job.owner, job.deliveries, job.step = "running", worker, job.deliveries + 1, -1
        job.lease_ends_ms, job.moved_ms = self.lab.now + LEASE_MS, self.lab.now

    @rule(number=NUMBERS, ago=DELIVERIES_AGO, has_moved=st.booleans())
    def heartbeat(self, number: int, ago: int, has_moved: bool) -> None:
        job, fence = self._delivery(number, ago)
        step = job.step + has_moved if job else 0
        # No step is done yet, and the first stage has not begun.
        stage = "" if step == -1 else "tdnet_step"
        verdict = self.lab.heartbeat(number, fence, max(0, step), stage)

        if job is None or job.state != "running" or job.fences[-1] != fence:
            assert verdict == "lost"
        elif not has_moved and self.lab.now - job.moved_ms > STALL_MS:
            assert verdict == "lost"
            job.lose(self.lab.now)
        else:
            job.lease_ends_ms, job.step = self.lab.now + LEASE_MS, step
            job.moved_ms = self.lab.now if has_moved else job.moved_ms
            job.cancel = job.cause(self.lab.now)
            assert verdict == ("cancel" if job.cancel else "ok")

    @rule(number=NUMBERS, ago=DELIVERIES_AGO, outcome=st.sampled_from(("succeeded", "failed", "retry", "cancelled")))
    def finish(self, number: int, ago: int, outcome: str) -> None:
        job, fence = self._delivery(number, ago)
        verdict = self.lab.finish(number, fence, outcome)

        if job is None:
            assert verdict == "gone"
            return
        refused, cause = job.refusal(fence, is_release=False), job.cause(self.lab.now)
        if refused or (outcome == "cancelled" and not cause):
            assert verdict == (refused or "fenced")
            return
        if cause:
            expected = job.end_unwanted(cause)
        elif outcome == "succeeded":
            expected = job.state = "succeeded"
        else:
            job.failures += 1
            may_retry = outcome == "retry" and job.failures < MAX_FAILURES and job.deliveries < MAX_DELIVERIES
            job.state, expected = ("delayed", "retry") if may_retry else ("failed", "failed")
            job.due_ms = self.lab.now + RETRY_DELAY_MS * 2 ** (job.failures - 1)
        assert verdict == expected
        job.last_end = (fence, verdict)

    @rule(number=NUMBERS, ago=DELIVERIES_AGO)
    def release(self, number: int, ago: int) -> None:
        job, fence = self._delivery(number, ago)
        verdict = self.lab.release(number, fence)

        if job is None:
            assert verdict == "gone"
            return
        refused, cause = job.refusal(fence, is_release=True), job.cause(self.lab.now)
        if refused:
            assert verdict == refused
            return
        expected = job.end_unwanted(cause) if cause else "queued"
        if not cause:
            job.state, job.deliveries, job.suspect_since_ms = "queued", job.deliveries - 1, self.lab.now
        assert verdict == expected
        job.last_end = (fence, verdict)

    def _delivery(self, number: int, ago: int) -> tuple[ModelJob | None, int]:
        """The job and the fence of an earlier delivery; one that nobody has where there was none."""
        job = self.jobs.get(number)
        fences = job.fences if job else []
        return job, fences[-1 - ago] if ago < len(fences) else 999_999

    @rule(ms=st.sampled_from((500, LEASE_MS // 3, LEASE_MS, STALL_MS)))
    def wait(self, ms: int) -> None:
        self.lab.advance(ms)

    @rule()
    def reap(self) -> None:
        self.lab.reap()
        if self.lab.now - self.reaped_at_ms > LEASE_MS // 2:
            for job in self.jobs.values():
                job.lease_ends_ms = self.lab.now + LEASE_MS
        self.reaped_at_ms = self.lab.now
        self._expect_reaped()

    @rule()
    def wait_for_a_lease(self) -> None:
        """With a reap now and then, so that none takes it for an outage."""
        for _ in range(4):
            self.reap()
            self.wait(LEASE_MS // 3)
        self.reap()

    @rule(worker=WORKERS)
    def crash(self, worker: str) -> None:
        self.claim(worker, 4)
        self.wait_for_a_lease()

    @rule(worker=WORKERS)
    def fail(self, worker: str) -> None:
        self.claim(worker, 4)
        for job in self.jobs.values():
            if job.state == "running" and job.owner == worker:
                self.finish(job.number, 0, "retry")
        self.wait_for_a_lease()

    def _expect_reaped(self) -> None:
        now_ms = self.lab.now
        for job in self.jobs.values():
            if job.state == "running" and job.lease_ends_ms <= now_ms:
                job.lose(now_ms)
            if job.state == "running":
                job.cancel = job.cause(now_ms)
            elif job.state in ("queued", "delayed") and job.cause(now_ms):
                job.end_unwanted("deadline")
            elif job.state == "delayed" and job.due_ms <= now_ms:
                job.state, job.suspect_since_ms = "queued", now_ms
        for job in [job for job in self.jobs.values() if job.is_erased and job.state in ENDED]:
            self._forget(job)

    @invariant()
    def all_is_as_foretold(self) -> None:
        self.lab.check()
        for number, job in self.jobs.items():
            record = self.lab.record(number)
            found = (record["state"], int(record["deliveries"]), int(record["failures"]), record.get("cancel", ""))
            assert found == (job.state, job.deliveries, job.failures, job.cancel), f"{number} is {record}, not {job}"


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with simulation_server() as server, connect(server.url) as client:
        yield client


def test_queue_when_anything_is_called_in_any_order_then_all_is_as_foretold(client: redis.Redis) -> None:
    walks = settings(repeatable, max_examples=60, stateful_step_count=50)
    run_state_machine_as_test(lambda: QueueMachine(client), settings=walks)
