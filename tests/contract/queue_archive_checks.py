"""What the queue promises of a job's history, of the list of a tenant's jobs, and of erasing one."""

import json
from typing import Any

from tests.fakes.queue_archive_books import MAX_HISTORY
from tests.fakes.queue_lab import (
    PREFIX,
    RECORD_KEPT_MS,
    RETENTION_MS,
    RETRY_DELAY_MS,
    QueueLab,
    job_id,
)

MAX_LOOKED_AT = 500


def _states(changes: dict[int, dict[str, str]]) -> dict[int, str]:
    return {number: then["state"] for number, then in changes.items()}


def check_a_history_tells_each_change_as_it_was(lab: QueueLab) -> None:
    lab.enqueue(1)
    fence = lab.claim()[1]
    lab.heartbeat(1, fence, 3)
    lab.finish(1, fence, "retry")
    retry_ms = str(lab.now + RETRY_DELAY_MS)
    lab.lapse(RETRY_DELAY_MS)
    fence = lab.claim()[1]
    started_ms = str(lab.now)
    lab.heartbeat(1, fence, 2)
    lab.cancel(1)
    lab.advance(10)
    lab.finish(1, fence)
    changes = lab.history(1)
    states = ("queued", "running", "delayed", "queued", "running", "running", "cancelled")
    assert _states(changes) == dict(enumerate(states, 1))
    assert (changes[2]["step"], changes[3]["step"], changes[6]["step"]) == ("0", "3", "2")
    assert changes[3]["retry_ms"] == retry_ms
    assert [changes[number]["deliveries"] for number in (1, 2, 5)] == ["0", "1", "2"]
    assert changes[5]["started_ms"] == started_ms
    assert ("cancel" in changes[5], changes[6]["cancel"], changes[7]["ended_ms"]) == (False, "client", str(lab.now))
    assert list(lab.history(1, after=5)) == [6, 7]
    assert lab.history(1, after=7) == lab.history(1, after=10**17) == {}
    assert list(lab.history(1, after="")) == [6, 7], "the last two"
    lab.advance(RETENTION_MS)
    lab.reap()
    assert list(lab.history(1, after="")) == [6, 7], "that its pictures go is no change of its state"
    lab.check()


def check_an_end_tells_what_the_job_has_become(lab: QueueLab) -> None:
    """To whoever listens; of what is no end, and of a job that is to be erased, only that it has changed."""
    with lab.client.pubsub(ignore_subscribe_messages=True) as news:
        news.subscribe(f"{PREFIX}changes")
        lab.enqueue_many(range(1, 4))
        fences = lab.claim()
        lab.erase(3)
        lab.advance(10)
        assert lab.finish(1, fences[1]) == "succeeded"
        lab.cancel(2)
        for number in (2, 3):
            assert lab.finish(number, fences[number], "cancelled") == "cancelled"
        told: dict[int, list[dict[str, Any]]] = {1: [], 2: [], 3: []}
        for _ in range(20):
            message = news.get_message(timeout=5)
            if message is not None:
                change = json.loads(message["data"])
                told[int(change["job"][4:], 16)].append(change)
            if told[3] and told[3][-1]["type"] == "job.cancelled":
                break
    for number in (1, 2):
        *others, end = told[number]
        assert dict(zip(end["shown"][::2], end["shown"][1::2], strict=True)) == lab.history(number)[len(told[number])]
        assert not any("shown" in change for change in others)
    assert [change["type"] for change in told[3]] == ["job.queued", "job.started", "job.cancelling", "job.cancelled"]
    assert not any("shown" in change for change in told[3])


def check_a_history_begins_with_one_change(lab: QueueLab) -> None:
    lab.enqueue(1)
    assert _states(lab.history(1, after="")) == {1: "queued"}


def check_a_history_keeps_the_newest(lab: QueueLab) -> None:
    lab.enqueue(1)
    for _ in range(MAX_HISTORY):
        lab.release(1, lab.claim()[1])
    newest = 1 + 2 * MAX_HISTORY
    assert list(lab.history(1)) == list(range(newest - MAX_HISTORY + 1, newest + 1))
    lab.check()


def check_the_archive_is_the_tenants_own(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2, tenant="other")
    before = lab.snapshot()
    assert lab.history(1, tenant="other") == lab.history(1, tenant="") == lab.history(9) == {}
    assert lab.erase(1, "other") == lab.erase(1, "") == lab.erase(9) == "notfound"
    assert (lab.page("t")[0], lab.page("other")[0], lab.page("nobody")[0]) == ([1], [2], [])
    lab.finish(1, lab.claim()[1])
    assert lab.erase(1, "other") == "notfound"
    assert lab.history(1), "it is still there"
    assert before != lab.snapshot()


def check_a_list_names_each_job_once(lab: QueueLab) -> None:
    lab.enqueue_many(range(1, 8))
    first, place = lab.page(limit=3)
    assert first == [7, 6, 5]
    lab.enqueue(8)
    for number, fence in lab.claim(free=5).items():
        lab.finish(number, fence)
    lab.erase(5)
    lab.erase(4)
    second, place = lab.page(before=place, limit=2)
    assert second == [3, 2], "whatever comes and goes, and though 4 and where it began went"
    assert lab.page(before=place, limit=2) == ([1], "")
    assert lab.page(limit=100) == ([8, 7, 6, 3, 2, 1], "")
    assert lab.page(limit=6)[1] == "", "no page without any job"
    lab.check()


def check_a_list_may_be_of_one_status(lab: QueueLab) -> None:
    lab.enqueue_many(range(1, 6))
    fences = lab.claim(free=4)
    lab.finish(1, fences[1])
    lab.finish(2, fences[2], "retry")
    lab.cancel(3)
    found = {status: lab.page(status=status)[0] for status in ("queued", "running", "cancelling", "succeeded")}
    assert found == {"queued": [5, 2], "running": [4], "cancelling": [3], "succeeded": [1]}
    assert lab.page(status="failed") == ([], "")


def check_a_look_at_a_list_is_bounded(lab: QueueLab) -> None:
    lab.enqueue(0)
    lab.finish(0, lab.claim()[0], "failed")
    lab.enqueue_many(range(1, MAX_LOOKED_AT + 1), max_live=1_000)
    found, place = lab.page(status="failed")
    assert (found, bool(place)) == ([], True)
    assert lab.page(status="failed", before=place) == ([0], "")


def check_nothing_of_an_erased_job_is_left(lab: QueueLab) -> None:
    lab.enqueue(1, key="k", fingerprint="f")
    lab.finish(1, lab.claim()[1])
    assert lab.erase(1) == "erased"
    assert lab.erase(1) == "notfound"
    lab.check()
    left = {key.removeprefix(PREFIX) for key, value in lab.snapshot().items() if job_id(1) in f"{key} {value}"}
    assert left == {"deletable", "events", "claim:w"}, "the last two go by themselves"
    assert lab.reap()[4] == [job_id(1)], "its pictures"
    assert lab.reap(job_id(1))[4] == []
    assert lab.enqueue(2, key="k", fingerprint="g") == "ok", "its key is free"


def check_who_is_being_erased_is_there_for_its_worker_only(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2)
    fence = lab.claim(free=1)[1]
    assert [lab.erase(number) for number in (1, 2, 1, 2)] == ["erasing"] * 4
    lab.check()
    for number in (1, 2):
        assert lab.call("q1_read", job_id(number)) == [[], 0, 0]
        assert lab.history(number) == {}
        assert lab.cancel(number) == "notfound"
    assert lab.page() == ([], "")
    assert lab.reap()[4] == [job_id(2)]
    assert [lab.state(number) for number in (1, 2)] == ["running", "absent"]
    assert lab.heartbeat(1, fence, 1) == "cancel"
    assert lab.finish(1, fence) == "cancelled"
    assert lab.finish(1, fence) == "already"
    assert sorted(lab.reap()[4]) == [job_id(1), job_id(2)]
    assert (lab.state(1), lab.finish(1, fence), lab.erase(1)) == ("absent", "gone", "notfound")
    lab.check()


def check_an_erased_job_takes_no_other_jobs_key(lab: QueueLab) -> None:
    lab.enqueue(1, key="k", fingerprint="f")
    lab.client.delete(f"{PREFIX}idem:t:k")  # Its time is over.
    lab.enqueue(2, key="k", fingerprint="f")
    lab.cancel(1)
    assert lab.erase(1) == "erased"
    assert lab.enqueue_answer(3, key="k", fingerprint="f") == ["dup", job_id(2)]


def check_a_job_leaves_its_list_with_its_record(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.cancel(1)
    for ms in (RETENTION_MS, RECORD_KEPT_MS):
        assert lab.page()[0] == [1]
        lab.advance(ms)
        lab.reap()
    assert lab.page()[0] == []
    lab.check()
