"""What the queue promises of jobs that are no longer wanted: by their client, or because their deadline has passed."""

from tests.fakes.queue_lab import LEASE_MS, MAX_DELIVERIES, PREFIX, RETRY_DELAY_MS, STALL_MS, QueueLab, job_id

OUTCOMES = ("succeeded", "failed", "retry", "cancelled")
# Upkeep is called more often than that, and no lease ends meanwhile.
DEADLINE_MS = LEASE_MS // 3
MAX_OVERDUE = 100


def _make_suspect(lab: QueueLab, number: int, deadline_ms: int = 86_400_000) -> None:
    lab.enqueue(number, deadline_ms=deadline_ms)
    lab.claim("dead")
    lab.lapse()


def check_cancel_ends_what_waits_at_once(lab: QueueLab) -> None:
    _make_suspect(lab, 1)
    lab.enqueue(2)
    lab.finish(2, lab.claim(running=1)[2], "retry")
    lab.enqueue(3)
    assert [lab.cancel(number) for number in (1, 2, 3, 1)] == ["cancelled"] * 4
    lab.lapse(RETRY_DELAY_MS)
    assert lab.claim() == {}
    assert [lab.state(number) for number in (1, 2, 3)] == ["cancelled"] * 3
    assert lab.events(3) == ["job.queued", "job.cancelled"]
    lab.check()


def check_cancel_is_the_owners(lab: QueueLab) -> None:
    lab.enqueue(1, tenant="owner")
    for _ in ("queued", "running", "ended"):
        before = lab.snapshot()
        assert lab.cancel(1, "other") == lab.cancel(1, "") == lab.cancel(9, "owner") == "notfound"
        assert lab.snapshot() == before
        for number, fence in lab.claim().items():
            lab.heartbeat(number, fence, 1)
        lab.cancel(1, "owner")


def check_no_outcome_counts_after_a_cancel(lab: QueueLab) -> None:
    for number, outcome in enumerate(OUTCOMES):
        lab.enqueue(number)
        fence = lab.claim()[number]
        assert lab.cancel(number) == "cancelling"
        lab.check()
        assert lab.heartbeat(number, fence, 1) == "cancel"
        assert lab.zset("leases") == {job_id(number): lab.now + LEASE_MS}, "the worker has time to end it"
        assert lab.finish(number, fence, outcome) == "cancelled"
        assert lab.finish(number, fence, outcome) == "already"
        assert lab.cancel(number) == "cancelled"
        assert "result" not in lab.record(number)
        assert "error_code" not in lab.record(number)
        assert lab.events(number) == ["job.queued", "job.started", "job.cancelling", "job.cancelled"]
        lab.check()


def check_a_cancelled_job_does_not_run_again(lab: QueueLab) -> None:
    for number in (1, 2, 3):
        lab.enqueue(number)
    fences = lab.claim()
    for number in (1, 2, 3):
        lab.cancel(number)
    assert lab.release(1, fences[1]) == "cancelled"
    assert lab.release(1, fences[1]) == "already"
    lab.advance(STALL_MS + 1)
    assert lab.heartbeat(2, fences[2], 0, stage="") == "lost", "a stalled worker ends nothing"
    lab.lapse(2 * LEASE_MS)  # The first reap after so long forgives once.
    assert [lab.state(number) for number in (1, 2, 3)] == ["cancelled"] * 3
    assert lab.claim() == {}
    lab.check()


def check_a_cancelled_job_is_no_dead_letter(lab: QueueLab) -> None:
    lab.enqueue(1)
    for delivery in range(MAX_DELIVERIES):
        lab.claim(f"victim {delivery}")
        if delivery == MAX_DELIVERIES - 1:
            lab.cancel(1)
        lab.lapse()
    assert lab.state(1) == "cancelled"
    lab.check()


def check_nobody_cancels_unasked(lab: QueueLab) -> None:
    lab.enqueue(1)
    fence = lab.claim()[1]
    assert lab.finish(1, fence, "cancelled") == "fenced"
    assert lab.finish(1, fence) == "succeeded"
    assert lab.cancel(1) == "succeeded", "what has ended stays as it is"
    assert lab.events(1)[-1] == "job.succeeded"


def check_a_cancel_is_told_to_the_workers(lab: QueueLab) -> None:
    with lab.client.pubsub() as listener:
        listener.subscribe(f"{PREFIX}cancel")
        assert listener.get_message(timeout=20)["type"] == "subscribe"
        lab.enqueue(1, deadline_ms=DEADLINE_MS)
        lab.enqueue(2)
        lab.enqueue(3)
        lab.claim(free=2)
        for number in (2, 2, 3):
            lab.cancel(number)
        lab.lapse(DEADLINE_MS)
        lab.reap()
        lab.client.ping()  # The server answers this only after it has sent the news of the commands before.
        told = [message["data"] for message in iter(lambda: listener.get_message(timeout=0), None)]
        assert told == [job_id(2), job_id(1)], "each once, and nobody for a job that only waited"


def check_nothing_starts_after_its_deadline(lab: QueueLab) -> None:
    _make_suspect(lab, 1, deadline_ms=2 * LEASE_MS)
    lab.enqueue(2, deadline_ms=LEASE_MS)
    lab.enqueue(3, deadline_ms=LEASE_MS + 1)
    lab.advance(LEASE_MS)
    lab.client.set(f"{PREFIX}reaped_at", lab.now)
    assert list(lab.claim()) == [3]
    for number in (1, 2):
        assert lab.state(number) == "failed"
        assert lab.record(number)["error_code"] == "deadline_exceeded"
    lab.check()


def check_a_claim_tells_the_time_left(lab: QueueLab) -> None:
    lab.enqueue(1, deadline_ms=5_000, priority="batch")
    lab.advance(1_500)
    (job,) = lab.claim_answer()["jobs"]
    assert (job["class"], job["waited_ms"], job["left_ms"]) == ("batch", 1_500, 3_500)


def check_a_claim_ends_a_bounded_number_of_overdue_jobs(lab: QueueLab) -> None:
    lab.enqueue_many(range(MAX_OVERDUE + 20), deadline_ms=DEADLINE_MS, max_live=1_000)
    lab.advance(DEADLINE_MS)
    lab.enqueue(999, max_live=1_000)
    assert lab.claim() == {}
    assert lab.stats()["queued"] == 21
    assert list(lab.claim()) == [999]
    lab.check()


def check_upkeep_ends_what_is_overdue(lab: QueueLab) -> None:
    lab.enqueue(1, deadline_ms=DEADLINE_MS)
    lab.finish(1, lab.claim()[1], "retry")
    lab.enqueue(2, deadline_ms=DEADLINE_MS)
    lab.lapse(DEADLINE_MS)
    for number in (1, 2):
        assert (lab.state(number), lab.record(number)["error_code"]) == ("failed", "deadline_exceeded")
    assert lab.zset("deadlines") == {}
    lab.check()


def check_who_runs_past_its_deadline_is_told_and_fails(lab: QueueLab) -> None:
    for number, outcome in enumerate(OUTCOMES):
        lab.enqueue(number, deadline_ms=DEADLINE_MS)
        fence = lab.claim()[number]
        lab.lapse(DEADLINE_MS)
        lab.reap()
        assert lab.record(number)["cancel"] == "deadline"
        assert lab.heartbeat(number, fence, 1) == "cancel"
        lab.check()
        assert lab.cancel(number) == "cancelling"
        assert lab.finish(number, fence, outcome) == "expired", "the first cause stays"
        assert (lab.state(number), lab.record(number)["error_code"]) == ("failed", "deadline_exceeded")
        assert "result" not in lab.record(number)
        lab.check()


def check_a_late_result_is_none_before_upkeep_knows(lab: QueueLab) -> None:
    for number in (1, 2, 3):
        lab.enqueue(number, deadline_ms=DEADLINE_MS)
    fences = lab.claim()
    lab.advance(DEADLINE_MS - 1)
    assert lab.finish(1, fences[1]) == "succeeded"
    lab.advance(1)
    assert lab.finish(2, fences[2]) == "expired"
    assert lab.release(3, fences[3]) == "expired"
    lab.check()


def check_the_clients_wish_stays_the_cause(lab: QueueLab) -> None:
    for number in (1, 2):
        lab.enqueue(number, deadline_ms=DEADLINE_MS)
    fences = lab.claim()
    lab.cancel(1)
    lab.cancel(2)
    lab.lapse(DEADLINE_MS)
    lab.reap()
    lab.check()
    assert lab.heartbeat(1, fences[1], 1) == "cancel"
    assert lab.finish(1, fences[1]) == "cancelled"
    lab.lapse()
    assert lab.state(2) == "cancelled"


def check_who_runs_past_its_deadline_does_not_hide_others(lab: QueueLab) -> None:
    for number in (1, 2, 3):
        lab.enqueue(number, deadline_ms=DEADLINE_MS)
    lab.claim(free=2)
    lab.advance(DEADLINE_MS)
    lab.client.set(f"{PREFIX}reaped_at", lab.now)
    lab.reap(limit=2)
    lab.reap(limit=2)
    assert lab.state(3) == "failed"
    lab.check()
