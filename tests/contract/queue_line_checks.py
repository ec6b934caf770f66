"""What the queue promises of who is next: shares of tenants and classes, and what stands before a job."""

from tests.fakes.queue_lab import COST, LEASE_MS, MAX_DELIVERIES, RECORD_KEPT_MS, RETENTION_MS, RETRY_DELAY_MS, QueueLab

MAX_SUMMED = 32


def _claim_one_by_one(lab: QueueLab, num_jobs: int) -> list[int]:
    return [number for _ in range(num_jobs) for number in lab.claim(free=1)]


def check_no_tenant_is_starved(lab: QueueLab) -> None:
    lab.enqueue_many(range(10_000, 15_000), tenant="greedy", max_live=10_000)
    lab.claim(free=16)
    small = [number for tenant in range(7) for number in range(100 * tenant, 100 * tenant + 20)]
    for number in small:
        lab.enqueue(number, tenant=f"small {number // 100}", max_live=10_000)
    served = [number for _ in range(10) for number in lab.claim(free=16)]
    assert len(served) == 160
    assert set(small) < set(served)


def check_shares_are_of_work_not_of_jobs(lab: QueueLab) -> None:
    for number in range(40):
        lab.enqueue(number, tenant="long jobs", cost=40)
        lab.enqueue(100 + number, tenant="short jobs", cost=4)
    served = _claim_one_by_one(lab, 33)
    assert 2 <= sum(number < 100 for number in served) <= 4
    lab.check()


def check_shares_follow_the_weights(lab: QueueLab) -> None:
    assert lab.call("q1_weight_set", "heavy", "3") == "ok"
    for number in range(40):
        lab.enqueue(number, tenant="heavy")
        lab.enqueue(100 + number, tenant="light")
    served = _claim_one_by_one(lab, 40)
    assert 29 <= sum(number < 100 for number in served) <= 31
    lab.check()


def check_a_tenant_that_wakes_is_not_paid_for_its_rest(lab: QueueLab) -> None:
    lab.enqueue(1, tenant="late")
    lab.claim(free=1)
    for number in range(100, 140):
        lab.enqueue(number, tenant="early")
    _claim_one_by_one(lab, 20)
    for number in range(2, 22):
        lab.enqueue(number, tenant="late")
    served = _claim_one_by_one(lab, 10)
    assert 4 <= sum(number < 100 for number in served) <= 6
    lab.check()


def check_a_tenant_that_rests_keeps_what_it_had_more(lab: QueueLab) -> None:
    for number in range(100, 120):
        lab.enqueue(number, tenant="steady", cost=10)
    lab.enqueue(1, tenant="burst", cost=80)
    assert 1 in _claim_one_by_one(lab, 2)
    lab.enqueue(2, tenant="burst", cost=80)
    assert 2 not in _claim_one_by_one(lab, 6)
    assert 2 in _claim_one_by_one(lab, 3)
    lab.check()


def check_batch_has_its_share(lab: QueueLab) -> None:
    lab.enqueue_many(range(100, 130))
    assert len(lab.claim(free=12)) == 12, "where no batch waits nothing is kept for it"
    lab.enqueue_many(range(130, 160))
    lab.enqueue_many(range(30), priority="batch")
    served = _claim_one_by_one(lab, 22)
    assert [place for place, number in enumerate(served) if number < 100] == [0, 10, 20]
    served = _claim_one_by_one(lab, 60)
    assert len(served) == 90 - 12 - 22, "where nobody else waits batch has it all"
    assert sum(number < 100 for number in served[:32]) == 3
    lab.check()


def check_batch_rows_count_and_not_jobs(lab: QueueLab) -> None:
    lab.enqueue_many(range(100, 140))
    lab.enqueue_many(range(20), priority="batch", rows=2)
    served = [number for _ in range(11) for number in lab.claim(free=4)]
    # Nine interactive rows pay for one of the two that a batch job takes; the other is owed.
    assert [place for place, number in enumerate(served) if number < 100][:2] == [9, 28]


def check_place_in_line_is_kept(lab: QueueLab) -> None:
    for number in (1, 2, 3):
        lab.enqueue(number)
    fences = lab.claim(free=2)
    assert list(fences) == [1, 2]
    lab.release(2, fences[2])
    lab.finish(1, fences[1], "retry")
    lab.lapse(RETRY_DELAY_MS)
    lab.check()
    assert list(lab.claim()) == [1, 2, 3]


def check_small_jobs_do_not_overtake_what_does_not_fit(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2, rows=4)
    lab.enqueue(3)
    assert list(lab.claim(free=4)) == [1]
    assert list(lab.claim(free=5)) == [2, 3]
    lab.check()


def check_an_empty_worker_takes_a_job_of_any_size(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2, rows=8)
    lab.enqueue(3)
    assert list(lab.claim("busy", free=2, running=0)) == [1]
    assert list(lab.claim("busy", free=7, running=1)) == []
    assert list(lab.claim("empty", free=2, running=0)) == [2]
    assert list(lab.claim("busy", free=7, running=1)) == [3]
    lab.check()


def check_the_way_ahead_is_known(lab: QueueLab) -> None:
    num_jobs = MAX_SUMMED + 8
    for number in range(num_jobs):
        lab.enqueue(number, cost=10 + number % 2)
    assert [lab.ahead(number) for number in (0, 1, 2)] == [(0, 0), (1, 10), (2, 21)], "one line is summed exactly"
    assert lab.ahead(num_jobs - 1) == (num_jobs - 1, 410), "or nearly so, if it is long"
    lab.claim(free=1)
    assert lab.ahead(2) == (1, 11)
    assert lab.ahead(99) == (0, 0)


def check_the_way_ahead_counts_the_others(lab: QueueLab) -> None:
    lab.enqueue_many(range(100, 110), tenant="a")
    for number in (1, 2, 3):
        lab.enqueue(number, tenant="b")
    assert lab.ahead(3) == (4, 4 * COST), "two of its own, and two of the other line meanwhile"
    assert lab.ahead(109) == (12, 12 * COST), "its own nine, and all of the shorter line"
    lab.enqueue(4, tenant="b", priority="batch")
    position, _ = lab.ahead(4)
    assert position == 9, "nine of the other class"
    lab.cancel(109)
    lab.claim()
    lab.lapse(LEASE_MS)
    suspects = [number for number in (*range(100, 110), 1, 2, 3) if lab.record(number)["suspect"] == "1"]
    assert [lab.ahead(number) for number in suspects] == [(i, i * COST) for i in range(len(suspects))]


def check_the_longest_wait_is_seen_in_any_line(lab: QueueLab) -> None:
    lab.enqueue(1, tenant="a")
    lab.advance(1_000)
    lab.enqueue(2, tenant="b", priority="batch")
    lab.advance(1_000)
    assert lab.stats()["oldest_wait_ms"] == 2_000
    assert lab.figures()["oldest_wait_ms"] == {"interactive": 2_000, "batch": 1_000}
    lab.cancel(1, "a")
    assert lab.stats()["oldest_wait_ms"] == 1_000
    assert lab.figures()["oldest_wait_ms"] == {"interactive": 0, "batch": 1_000}


def check_each_class_is_counted_wherever_its_jobs_wait(lab: QueueLab) -> None:
    for number, priority in enumerate(("interactive", "interactive", "batch", "batch", "batch"), 1):
        lab.enqueue(number, tenant="a" if number % 2 else "b", priority=priority)
    assert lab.figures()["queued"] == {"interactive": 2, "batch": 3}
    fences = lab.claim()
    assert lab.figures()["queued"] == {"interactive": 0, "batch": 0}
    lab.finish(3, fences[3], "retry")
    assert lab.figures()["queued"] == {"interactive": 0, "batch": 1}, "it waits for its next try"
    assert lab.figures()["oldest_wait_ms"]["batch"] == 0, "and not for a worker"
    lab.lapse()
    figures = lab.figures()
    assert (figures["queued"], figures["running"]) == ({"interactive": 2, "batch": 3}, 0), "four of them alone"
    assert figures["oldest_wait_ms"]["interactive"] > 0
    lab.check()


def check_every_end_is_counted_for_all_time(lab: QueueLab) -> None:
    assert not lab.figures()["ends"]
    for number in range(1, 6):
        lab.enqueue(number, deadline_ms=10**9 if number < 5 else 10)
    lab.advance(20)
    lab.reap()
    fences = lab.claim()
    lab.finish(1, fences[1])
    lab.finish(2, fences[2], "failed")
    lab.cancel(3)
    lab.finish(3, fences[3], "cancelled")
    for _ in range(MAX_DELIVERIES):
        lab.claim()
        lab.lapse()
    expected = dict.fromkeys(("succeeded", "failed", "cancelled", "deadline_exceeded", "attempts_exhausted"), 1)
    assert lab.figures()["ends"] == expected
    lab.advance(RETENTION_MS)
    lab.reap()
    lab.advance(RECORD_KEPT_MS)
    lab.reap()
    assert lab.figures()["ends"] == expected, "also when their records are gone"
