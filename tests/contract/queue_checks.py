"""What the queue promises of a job's life, as checks that a broken library must fail; tests and mutants run them."""

from tests.fakes.queue_lab import (
    LEASE_MS,
    MAX_DELIVERIES,
    MAX_FAILURES,
    RECORD_KEPT_MS,
    RETENTION_MS,
    RETRY_DELAY_MS,
    STALL_MS,
    QueueLab,
    job_id,
)

SUSPECT_PATIENCE_MS = 5_000
HOUR_MS = 3_600_000
# The server drops whole blocks of events, which hold no more than that.
BLOCK = 100
MAX_TRIMMED = 5_000


def _make_suspect(lab: QueueLab, *numbers: int) -> None:
    for number in numbers:
        lab.enqueue(number)
    assert set(lab.claim("dead", free=len(numbers))) == set(numbers)
    lab.lapse()


def check_only_the_current_fence_ends_a_job(lab: QueueLab) -> None:
    lab.enqueue(1)
    old = lab.claim("zombie")[1]
    lab.lapse()
    new = lab.claim("heir")[1]
    assert new > old
    assert lab.heartbeat(1, old, 1) == "lost"
    assert lab.finish(1, old) == "fenced"
    assert lab.release(1, old) == "fenced"
    assert lab.state(1) == "running"
    assert lab.finish(1, new) == "succeeded"
    assert lab.finish(1, old) == "fenced"
    assert lab.finish(1, new, "failed") == "already"
    assert lab.state(1) == "succeeded"
    lab.check()


def check_every_change_has_its_event(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.finish(1, lab.claim()[1], "retry")
    lab.lapse(RETRY_DELAY_MS)
    lab.release(1, lab.claim()[1])
    lab.claim()
    lab.lapse()
    lab.finish(1, lab.claim("other")[1])
    lab.advance(RETENTION_MS)
    lab.reap()
    assert lab.events(1) == [
        *("job.queued", "job.started", "job.retrying", "job.requeued", "job.started", "job.requeued", "job.started"),
        *("job.requeued", "job.started", "job.succeeded", "job.expired"),
    ]


def check_retries_are_delayed_and_counted(lab: QueueLab) -> None:
    lab.enqueue(1)
    for failures in range(1, MAX_FAILURES):
        assert lab.finish(1, lab.claim()[1], "retry") == "retry"
        delay_ms = RETRY_DELAY_MS * 2 ** (failures - 1)
        assert lab.zset("delayed") == {job_id(1): lab.now + delay_ms}
        lab.lapse(delay_ms)
    assert lab.finish(1, lab.claim()[1], "retry") == "failed"
    assert lab.record(1)["error_code"] == "backend_error"
    assert int(lab.record(1)["failures"]) == MAX_FAILURES
    lab.check()


def check_the_last_delivery_is_not_retried(lab: QueueLab) -> None:
    lab.enqueue(1)
    for delivery in range(MAX_DELIVERIES - 1):
        lab.claim(f"victim {delivery}")
        lab.lapse()
    assert lab.finish(1, lab.claim("last")[1], "retry") == "failed"
    assert lab.record(1)["error_code"] == "backend_error"
    lab.check()


def check_release_takes_the_delivery_back(lab: QueueLab) -> None:
    lab.enqueue(1)
    for _ in range(MAX_DELIVERIES + 2):
        lab.release(1, lab.claim()[1])
    assert lab.record(1)["deliveries"] == "0"
    assert lab.record(1)["suspect"] == "0"


def check_release_with_a_pause_takes_the_delivery_back_and_keeps_the_job_for_so_long(lab: QueueLab) -> None:
    lab.enqueue(1, deadline_ms=60_000)
    for _ in range(MAX_DELIVERIES + 2):
        assert lab.release(1, lab.claim()[1], 5_000) == "queued"
        lab.check()
        lab.lapse(4_000)
        assert lab.claim() == {}
        lab.lapse(2_000)
    assert {name: lab.record(1)[name] for name in ("state", "deliveries", "failures", "suspect")} == {
        "state": "queued",
        "deliveries": "0",
        "failures": "0",
        "suspect": "0",
    }
    lab.release(1, lab.claim()[1], 5_000)
    lab.lapse(30_000)
    lab.check()
    assert lab.record(1)["error_code"] == "deadline_exceeded"


def check_poison_ends_after_its_deliveries(lab: QueueLab) -> None:
    lab.enqueue(1)
    for delivery in range(MAX_DELIVERIES):
        assert lab.state(1) == "queued"
        assert 1 in lab.claim(f"victim {delivery}")
        lab.lapse()
        lab.check()
    assert lab.record(1)["error_code"] == "attempts_exhausted"
    assert lab.state(1) == "failed"


def check_dead_letters_are_kept_with_their_record(lab: QueueLab) -> None:
    lab.enqueue(1)
    for delivery in range(MAX_DELIVERIES):
        lab.claim(f"victim {delivery}")
        lab.lapse()
    assert list(lab.zset("dead")) == [job_id(1)]
    assert lab.stats()["num_dead"] == 1
    lab.enqueue(2)
    lab.finish(2, lab.claim()[2], "failed")
    assert list(lab.zset("dead")) == [job_id(1)], "who failed by itself is none"
    lab.advance(RETENTION_MS)
    lab.reap()
    assert list(lab.zset("dead")) == [job_id(1)]
    lab.advance(RECORD_KEPT_MS)
    lab.reap()
    assert lab.zset("dead") == {}
    lab.check()


def check_a_suspect_runs_alone(lab: QueueLab) -> None:
    _make_suspect(lab, 1, 2)
    lab.enqueue(3)
    assert list(lab.claim("busy", running=1)) == [3]
    first = lab.claim("idle")
    assert list(first) == [1]
    assert lab.claim("idle", running=1) == {}
    assert lab.claim("idle", running=0) == {}, "it believes to be idle, but the queue knows better"
    assert lab.finish(1, first[1], "retry") == "retry"
    lab.lapse(RETRY_DELAY_MS)
    lab.check()
    assert list(lab.claim("idle")) == [1], "a suspect stays one"
    lab.check()


def check_a_waiting_suspect_empties_one_worker(lab: QueueLab) -> None:
    _make_suspect(lab, 1)
    for number in (2, 3, 4):
        lab.enqueue(number)
    assert list(lab.claim("a", free=1, running=1)) == [2]
    lab.advance(SUSPECT_PATIENCE_MS + 1)
    assert lab.claim_answer("a", free=1, running=1) == {"hold": True, "jobs": {}, "more": False}
    assert list(lab.claim("b", free=1, running=1)) == [3], "only one worker is emptied"
    assert lab.claim_answer("a", free=1, running=1)["hold"]
    assert list(lab.claim("a", running=0)) == [1]
    assert list(lab.claim("b", running=1)) == [4], "the hold has ended"


def check_a_stalled_job_is_lost(lab: QueueLab) -> None:
    lab.enqueue(1)
    fence = lab.claim()[1]
    assert lab.heartbeat(1, fence, 1) == "ok"
    lab.advance(STALL_MS)
    assert lab.heartbeat(1, fence, 1) == "ok"
    assert lab.zset("leases") == {job_id(1): lab.now + LEASE_MS}
    assert lab.heartbeat(1, fence, 1, stage="vae_decoder") == "ok", "a new stage is progress"
    lab.advance(STALL_MS + 1)
    assert lab.heartbeat(1, fence, 1, stage="vae_decoder") == "lost"
    assert lab.record(1)["suspect"] == "1"
    lab.check()


def check_who_waits_on_a_moving_worker_is_not_stalled(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2)
    fences = lab.claim()
    for step in (1, 2, 3, 4):
        lab.advance(STALL_MS)
        reports = [(1, fences[1], "", 0), (2, fences[2], "tdnet_step", step)]
        assert lab.heartbeats(*(reports if step > 2 else reversed(reports))) == ["ok", "ok"]
    lab.advance(STALL_MS)
    # Another worker's move is not this one's, nor that of a job which is no longer its.
    lab.enqueue(3)
    other = lab.claim("other")[3]
    assert lab.heartbeats((3, other, "tdnet_step", 1)) == ["ok"]
    lab.advance(1)
    reports = ((1, fences[1], "", 0), (2, fences[2], "tdnet_step", 4), (3, fences[2], "tdnet_step", 5))
    assert lab.heartbeats(*reports) == ["lost", "lost", "lost"]
    assert [lab.state(number) for number in (1, 2, 3)] == ["queued", "queued", "running"]
    lab.check()


def check_a_heartbeat_keeps_the_lease(lab: QueueLab) -> None:
    lab.enqueue(1)
    fence = lab.claim()[1]
    for step in range(1, 6):
        lab.lapse(LEASE_MS - 1)
        assert lab.heartbeat(1, fence, step) == "ok"
    assert lab.state(1) == "running"


def check_an_outage_is_forgiven(lab: QueueLab) -> None:
    lab.enqueue(1)
    fence = lab.claim()[1]
    lab.advance(10 * LEASE_MS)
    assert lab.reap()[:2] == [0, 0]
    assert lab.zset("leases") == {job_id(1): lab.now + LEASE_MS}
    assert lab.heartbeat(1, fence, 1) == "ok"
    lab.lapse()
    assert lab.state(1) == "queued", "once only"


def check_no_lease_is_longer_than_one(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.claim()
    # The server's clock is set back, too little to be taken for an outage.
    lab.advance(-LEASE_MS // 3)
    lab.reap()
    assert lab.zset("leases") == {job_id(1): lab.now + LEASE_MS}


def check_pictures_go_first_and_the_record_later(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.finish(1, lab.claim()[1])
    lab.advance(RETENTION_MS - 1)
    assert lab.reap()[4] == []
    lab.advance(1)
    assert lab.reap()[4] == [job_id(1)]
    assert lab.record(1)["expired"] == "1"
    assert lab.reap(job_id(1))[4] == []
    lab.check()
    lab.advance(RECORD_KEPT_MS)
    lab.reap()
    assert lab.state(1) == "absent"
    lab.check()


def check_a_job_keeps_its_record_until_it_has_ended(lab: QueueLab) -> None:
    lab.enqueue(1, deadline_ms=10 * (RETENTION_MS + RECORD_KEPT_MS))
    lab.lapse()
    for _ in range(2):
        lab.advance(RETENTION_MS + RECORD_KEPT_MS)
        assert lab.reap()[4] == []
    assert lab.state(1) == "queued"
    assert 1 in lab.claim()


def check_a_pause_ends_when_the_clock_is_set_back(lab: QueueLab) -> None:
    for number in (1, 2):
        lab.enqueue(number)
        lab.finish(number, lab.claim()[number], "retry")
    lab.advance(-HOUR_MS)
    lab.reap(limit=1)
    assert sorted(lab.state(number) for number in (1, 2)) == ["delayed", "queued"]
    lab.reap(limit=1)
    assert [lab.state(number) for number in (1, 2)] == ["queued", "queued"]
    lab.check()


def check_a_stall_is_noticed_when_the_clock_is_set_back(lab: QueueLab) -> None:
    lab.enqueue(1)
    fence = lab.claim()[1]
    assert lab.heartbeat(1, fence, 1) == "ok"
    lab.advance(-HOUR_MS)
    assert lab.heartbeat(1, fence, 1) == "ok"
    lab.advance(STALL_MS)
    assert lab.heartbeat(1, fence, 1) == "ok"
    lab.advance(1)
    assert lab.heartbeat(1, fence, 1) == "lost"
    lab.check()


def check_a_suspect_is_not_forgotten_when_the_clock_is_set_back(lab: QueueLab) -> None:
    _make_suspect(lab, 1)
    lab.advance(-HOUR_MS)
    assert lab.claim_answer("a", running=1)["hold"]
    lab.advance(-HOUR_MS)
    lab.reap()
    assert lab.claim_answer("b", running=1)["hold"], "nobody is emptied until a moment that is far away"


def check_an_entry_of_nobody_stops_no_upkeep(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2, deadline_ms=LEASE_MS)
    lab.enqueue(3, priority="batch")
    lab.finish(3, lab.claim()[3], "retry")
    lab.enqueue(4)
    lab.cancel(4)
    for index in ("leases", "deadlines", "delayed", "gc"):
        lab.client.zadd(f"{{xmdpt}}:{index}", {f"nobody in {index}": 1})
    lab.client.zadd("{xmdpt}:dead", {"nobody in gc": 1})
    lab.lapse()
    assert [lab.state(number) for number in (1, 2, 3)] == ["queued", "failed", "queued"]
    lab.advance(RETENTION_MS)
    assert job_id(4) in lab.reap()[4]
    lab.check()


def check_an_entry_of_nobody_stops_no_claim(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2, tenant="other")
    for line in ("suspects", "ready:interactive:t", "ready:interactive:other"):
        lab.client.zadd(f"{{xmdpt}}:{line}", {"nobody": 0})
    lab.client.zrem("{xmdpt}:ready:interactive:other", job_id(2))
    assert lab.stats()["queued"] == 2
    assert lab.ahead(1)[0] == 1
    assert list(lab.claim()) == [1]
    assert lab.zset("suspects") == lab.zset("ready:interactive:other") == lab.zset("tenants:interactive") == {}


def check_the_outbox_is_trimmed_by_age(lab: QueueLab) -> None:
    num_events = MAX_TRIMMED + 5 * BLOCK
    lab.enqueue_many(range(num_events), max_live=num_events)
    lab.advance(HOUR_MS)
    lab.reap()
    assert lab.client.xlen("{xmdpt}:events") == num_events, "nothing younger goes"
    lab.enqueue(num_events, max_live=num_events + 1)
    lab.plan()
    lab.advance(1)
    lab.reap()
    assert num_events - MAX_TRIMMED < lab.client.xlen("{xmdpt}:events") <= num_events + BLOCK - MAX_TRIMMED
    lab.reap()
    assert lab.events(num_events) == ["job.queued"]
    assert lab.client.xlen("{xmdpt}:events") <= BLOCK


def check_a_reap_is_bounded(lab: QueueLab) -> None:
    for number in range(5):
        lab.enqueue(number)
    lab.claim()
    lab.advance(LEASE_MS)
    lab.client.set("{xmdpt}:reaped_at", lab.now)
    assert [lab.reap(limit=2)[0] for _ in range(4)] == [2, 2, 1, 0]
    lab.check()
