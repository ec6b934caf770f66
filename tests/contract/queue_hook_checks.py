"""What the queue promises of webhooks: each wanted change once, in their order, to receivers that delay nobody else."""

import json

from tests.fakes.queue_archive_books import MAX_HISTORY
from tests.fakes.queue_hook_books import MAX_PER_HOST
from tests.fakes.queue_lab import HOOK_LEASE_MS, PREFIX, RECORD_KEPT_MS, RETENTION_MS, QueueLab, a_hook, message_id

HOUR_MS = 3_600_000
STARTED_AND_ENDED = ("job.started", "job.succeeded")


def _run(lab: QueueLab, *numbers: int) -> None:
    """Jobs that are there, from their claim to their good end."""
    for number, fence in lab.claim(free=len(numbers)).items():
        assert number in numbers
        lab.finish(number, fence)


def check_only_what_is_wanted_is_told(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook(*STARTED_AND_ENDED))
    lab.enqueue(2)
    lab.enqueue(3, hook=a_hook("job.cancelled"))
    _run(lab, 1, 2, 3)
    assert lab.plan() == 9
    assert lab.plan() == 0
    lab.check()
    assert lab.claim_hooks() == {message_id(1, 2): 1}
    assert lab.end_hook(message_id(1, 2), 1) == "ended"
    assert lab.claim_hooks() == {message_id(1, 3): 1}
    lab.check()


def check_a_change_is_told_once(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook())
    _run(lab, 1)
    assert [lab.plan(2), lab.plan(2), lab.plan(2)] == [2, 1, 0]
    assert lab.end_hook(*lab.claim_hooks().popitem()) == "ended"
    lab.enqueue(2)
    assert lab.plan() == 1
    assert lab.claim_hooks() == {}
    lab.check()


def check_a_delivery_tells_the_job_as_it_was(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook(*STARTED_AND_ENDED))
    started_ms = lab.now
    fence = lab.claim()[1]
    lab.advance(10)
    lab.finish(1, fence)
    lab.plan()
    ((message, tries, owner, kind, at, seen, record),) = lab.claim_hooks_answer()
    fields = json.loads(seen)
    then = dict(zip(fields[::2], fields[1::2], strict=True))
    assert (message, tries, kind, at) == (message_id(1, 2), 1, "job.started", str(started_ms))
    assert (then["state"], then["started_ms"], "result" in then) == ("running", str(started_ms), False)
    assert dict(zip(record[::2], record[1::2], strict=True)) == lab.record(1)
    assert f"{PREFIX}{owner}" in lab.client.keys(f"{PREFIX}job:*")


def check_a_change_that_its_history_lost_is_told_all_the_same(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook("job.started"))
    for _ in range(MAX_HISTORY):
        lab.release(1, lab.claim()[1])
    lab.plan()
    lab.check()
    ((message, *_, seen, _),) = lab.claim_hooks_answer()
    assert (message, "state" in json.loads(seen)) == (message_id(1, 2), True)


def check_a_jobs_deliveries_keep_their_order(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook(*STARTED_AND_ENDED))
    _run(lab, 1)
    lab.plan()
    first, second = message_id(1, 2), message_id(1, 3)
    assert lab.claim_hooks() == {first: 1}
    assert lab.claim_hooks() == {}
    assert lab.end_hook(first, 1, "retry", 5_000) == "retry"
    lab.check()
    lab.advance(4_999)
    assert lab.claim_hooks() == {}, "neither it nor what comes after it"
    lab.advance(1)
    assert lab.claim_hooks() == {first: 2}
    lab.end_hook(first, 2)
    assert lab.claim_hooks() == {second: 1}
    lab.end_hook(second, 1)
    lab.check()


def check_only_the_last_claim_settles_a_delivery(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook())
    _run(lab, 1)
    lab.plan()
    message = message_id(1, 3)
    lab.claim_hooks()
    lab.advance(HOOK_LEASE_MS - 1)
    assert lab.claim_hooks() == {}, "its lease lasts"
    lab.advance(1)
    assert lab.claim_hooks() == {message: 2}, "the same, after a death"
    lab.check()
    for outcome in ("ended", "retry", "disabled"):
        assert lab.end_hook(message, 1, outcome) == "fenced"
    assert lab.claim_hooks() == {}
    assert lab.end_hook(message, 2) == "ended"
    assert lab.end_hook(message, 2) == "gone"
    lab.check()


def check_a_receiver_that_hangs_delays_nobody_else(lab: QueueLab) -> None:
    for number in range(20):
        lab.enqueue(number, hook=a_hook(host="hangs"))
    for number in (20, 21):
        lab.enqueue(number, hook=a_hook(host="well"))
    _run(lab, *range(22))
    lab.plan()
    given = lab.claim_hooks()
    assert len(given) == MAX_PER_HOST + 2
    assert {message_id(20, 3), message_id(21, 3)} <= set(given)
    lab.check()
    assert lab.claim_hooks() == {}
    lab.end_hook(message_id(0, 3), 1)
    assert lab.claim_hooks() == {message_id(4, 3): 1}, "where one ends, the next one has its turn"
    lab.advance(HOOK_LEASE_MS)
    assert len(lab.claim_hooks()) == MAX_PER_HOST + 2
    lab.check()


def check_a_claim_gives_what_is_asked_for(lab: QueueLab) -> None:
    for number in range(3):
        lab.enqueue(number, hook=a_hook(host=f"host {number}"))
    _run(lab, 0, 1, 2)
    lab.plan()
    assert [len(lab.claim_hooks(limit)) for limit in (0, 2, 2)] == [0, 2, 1]


def check_a_receiver_that_is_gone_is_told_nothing_more(lab: QueueLab) -> None:
    for number in (1, 2):
        lab.enqueue(number, hook=a_hook(*STARTED_AND_ENDED))
    fences = lab.claim()
    lab.plan()
    lab.claim_hooks()
    assert lab.end_hook(message_id(1, 2), 1, "disabled") == "disabled"
    lab.check()
    lab.finish(1, fences[1])
    lab.plan()
    lab.check()
    lab.end_hook(message_id(2, 2), 1)
    assert lab.claim_hooks() == {}
    lab.finish(2, fences[2])
    lab.plan()
    assert lab.claim_hooks() == {message_id(2, 3): 1}, "another job's hook is another one"


def check_an_erased_job_is_told_of_no_more(lab: QueueLab) -> None:
    for number in range(3):
        lab.enqueue(number, hook=a_hook(*STARTED_AND_ENDED, "job.cancelled"))
    fences = lab.claim(free=2)
    lab.finish(0, fences[0])
    lab.plan()
    claimed = lab.claim_hooks()
    assert set(claimed) == {message_id(0, 2), message_id(1, 2)}
    for number in range(3):
        lab.erase(number)
    lab.check()
    lab.finish(1, fences[1])
    lab.plan()
    lab.reap()
    lab.check()
    assert lab.claim_hooks() == {}
    assert lab.end_hook(message_id(0, 2), 1) == "gone"
    left = {key.removeprefix(PREFIX) for key in lab.client.scan_iter(f"{PREFIX}hook*")}
    assert left == set()


def check_deliveries_go_with_the_record(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook())
    _run(lab, 1)
    lab.plan()
    lab.advance(RETENTION_MS)
    lab.reap()
    lab.check()
    assert len(lab.zset("hooks")) == 1, "that its pictures go is no reason"
    lab.advance(RECORD_KEPT_MS)
    lab.reap()
    lab.check()
    assert lab.claim_hooks() == {}


def check_the_outbox_keeps_what_is_not_planned(lab: QueueLab) -> None:
    for number in range(300):
        lab.enqueue(number, hook=a_hook("job.cancelled", host=f"host {number}"), max_live=300)
        lab.cancel(number)
    lab.advance(2 * HOUR_MS)
    for _ in range(3):
        lab.reap()
    assert lab.plan() == 900, "their ends of retention too"
    lab.reap()
    lab.enqueue(300)
    lab.plan()
    lab.reap()
    assert lab.client.xlen(f"{PREFIX}events") < 600, "but not for longer"
    assert len(lab.claim_hooks(400)) == 300


def check_an_entry_of_nobody_stops_no_delivery(lab: QueueLab) -> None:
    lab.enqueue(1, hook=a_hook(host="host"))
    _run(lab, 1)
    lab.plan()
    lab.client.zadd(f"{PREFIX}hooks_due:host", {"nobody": 1})
    lab.client.zadd(f"{PREFIX}hooks", {"host": 1, "no host": 1})
    assert lab.claim_hooks() | lab.claim_hooks() == {message_id(1, 3): 1}
    lab.check()


def check_a_tenants_old_secret_is_good_for_a_day(lab: QueueLab) -> None:
    assert lab.call("q1_hook_secrets", "t", "one") == ["one"]
    assert lab.call("q1_hook_secrets", "t", "two") == ["one"]
    assert lab.call("q1_hook_secrets", "other", "two") == ["two"]
    assert lab.call("q1_hook_rotate", "t", "three") == ["three", "one"]
    assert lab.call("q1_hook_rotate", "t", "three") == ["three", "one"], "a repeat"
    lab.advance(24 * HOUR_MS - 1)
    assert lab.call("q1_hook_secrets", "t", "") == ["three", "one"]
    lab.advance(1)
    assert lab.call("q1_hook_secrets", "t", "") == ["three"]
    assert lab.call("q1_hook_rotate", "new", "one") == ["one"]
