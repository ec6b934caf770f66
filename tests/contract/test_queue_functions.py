"""Every function on a job in every state: the verdict, the state after it, and every index."""

from collections.abc import Callable

import pytest

from tests.contract.queue_states import ANOTHER_JOB, FINGERPRINT, FOREIGN_FENCE, JOB, KEY, STATES
from tests.fakes.queue_lab import LEASE_MS, RECORD_KEPT_MS, RETENTION_MS, RETRY_DELAY_MS, QueueLab, job_id


def _reap_after(ms: int) -> Callable[[QueueLab, int], str]:
    def reap(lab: QueueLab, _: int) -> str:
        lab.advance(ms - 1)
        lab.client.set("{xmdpt}:reaped_at", lab.now)  # as a gateway that reaps all the time leaves it
        assert lab.reap()[:4] == [0, 0, 0, 0], "too early"
        lab.advance(1)
        return _reap(lab, _)

    return reap


def _reap(lab: QueueLab, _: int) -> str:
    names = ("requeued", "ended", "due", "collected")
    return " ".join(name for name, count in zip(names, lab.reap()[:4], strict=True) if count) or "nothing"


def _claim(lab: QueueLab, _: int) -> str:
    return "given" if JOB in lab.claim("other") else "none"


def _enqueue_same_key(lab: QueueLab, fingerprint: str) -> str:
    """Another job under the same key; its answer must name the first one."""
    verdict, name = lab.enqueue_answer(ANOTHER_JOB, key=KEY, fingerprint=fingerprint)
    return verdict if verdict == "ok" or name == job_id(JOB) else f"{verdict} of {name}"


CALLS: dict[str, Callable[[QueueLab, int], str]] = {
    "enqueue": lambda lab, _: lab.enqueue(JOB),
    "enqueue when full": lambda lab, _: lab.enqueue(JOB, max_live=0),
    "enqueue over the quota": lambda lab, _: lab.enqueue(JOB, max_tenant_live=0),
    "enqueue under its key": lambda lab, _: _enqueue_same_key(lab, FINGERPRINT),
    "enqueue something else under its key": lambda lab, _: _enqueue_same_key(lab, "something else"),
    "claim": _claim,
    "claim while busy": lambda lab, _: "given" if JOB in lab.claim("other", running=1) else "none",
    "claim repeated": lambda lab, fence: str(lab.claim(claim_number=lab.last_claim).get(JOB) == fence),
    "heartbeat": lambda lab, fence: lab.heartbeat(JOB, fence, 1),
    "heartbeat of another": lambda lab, _: lab.heartbeat(JOB, FOREIGN_FENCE, 1),
    "succeed": lambda lab, fence: lab.finish(JOB, fence),
    "succeed of another": lambda lab, _: lab.finish(JOB, FOREIGN_FENCE),
    "fail": lambda lab, fence: lab.finish(JOB, fence, "failed"),
    "retry": lambda lab, fence: lab.finish(JOB, fence, "retry"),
    "end_cancelled": lambda lab, fence: lab.finish(JOB, fence, "cancelled"),
    "end_cancelled of another": lambda lab, _: lab.finish(JOB, FOREIGN_FENCE, "cancelled"),
    "release": lambda lab, fence: lab.release(JOB, fence),
    "release of another": lambda lab, _: lab.release(JOB, FOREIGN_FENCE),
    "cancel": lambda lab, _: lab.cancel(JOB),
    "cancel by another tenant": lambda lab, _: lab.cancel(JOB, "another"),
    "erase": lambda lab, _: lab.erase(JOB),
    "erase by another tenant": lambda lab, _: lab.erase(JOB, "another"),
    "reap now": _reap,
    "reap after lease": _reap_after(LEASE_MS),
    "reap after delay": _reap_after(RETRY_DELAY_MS),
    "reap after retention": _reap_after(RETENTION_MS),
    "reap after a week": _reap_after(RECORD_KEPT_MS),
}

_HERE = {
    "enqueue": "dup",
    "enqueue when full": "dup",
    "enqueue over the quota": "dup",
    "enqueue under its key": "dup",
    "enqueue something else under its key": "mismatch",
    "heartbeat of another": "lost",
    "succeed of another": "fenced",
    "end_cancelled of another": "fenced",
    "release of another": "fenced",
    "cancel by another tenant": "notfound",
    "erase by another tenant": "notfound",
}
_ENDS = ("succeed", "fail", "retry", "end_cancelled")
_NOT_RUNNING = {"heartbeat": "lost", **dict.fromkeys(_ENDS, "fenced"), "release": "fenced"}
_WAITING = {
    **_HERE,
    **_NOT_RUNNING,
    "claim": "given > running",
    "cancel": "cancelled > cancelled",
    "erase": "erasing > cancelled",
    "reap after lease": "nothing",
}
_RAN = dict.fromkeys(_ENDS, "already")
_RUNNING = {
    **_HERE,
    "claim": "none",
    "claim repeated": "True",
    "heartbeat": "ok",
    "succeed": "succeeded > succeeded",
    "fail": "failed > failed",
    "retry": "retry > delayed",
    "end_cancelled": "fenced",
    "release": "queued > queued",
    "cancel": "cancelling",
    "erase": "erasing",
    "reap now": "nothing",
    "reap after lease": "requeued > queued",
}
_CANCELLING = {
    **_RUNNING,
    "heartbeat": "cancel",
    **dict.fromkeys(_ENDS, "cancelled > cancelled"),
    "release": "cancelled > cancelled",
    "reap after lease": "ended > cancelled",
}
_OVERDUE_RUNNING = {
    **_HERE,
    "claim": "none",
    "claim repeated": "True",
    "heartbeat": "cancel",
    **dict.fromkeys(_ENDS, "expired > failed"),
    "release": "expired > failed",
    "cancel": "cancelling",
    "erase": "erasing",
    "reap now": "nothing",
}
_OVERDUE = {
    **_HERE,
    **_NOT_RUNNING,
    "claim": "none > failed",
    "cancel": "failed > failed",
    "erase": "erasing > failed",
    "reap now": "ended > failed",
}
_ENDED = {
    **_HERE,
    "claim": "none",
    "heartbeat": "lost",
    **_RAN,
    "release": "fenced",
    "erase": "erased > absent",
    "reap after lease": "nothing",
    "reap after retention": "collected",
}

# state -> call -> verdict, and after > the state that follows where it is another.
TABLE: dict[str, dict[str, str]] = {
    "absent": {
        "enqueue": "ok > queued",
        "enqueue when full": "full",
        "enqueue over the quota": "quota",
        "enqueue under its key": "ok",
        "claim": "none",
        "heartbeat": "lost",
        **dict.fromkeys(_ENDS, "gone"),
        "release": "gone",
        "cancel": "notfound",
        "erase": "notfound",
        "reap after lease": "nothing",
    },
    "queued": {**_WAITING, "claim while busy": "given > running"},
    "released": {**_WAITING, "claim while busy": "given > running", "release": "already"},
    "retried": {**_WAITING, **_RAN, "claim while busy": "given > running"},
    "suspect": {**_WAITING, "claim while busy": "none"},
    "delayed": {
        **_HERE,
        **_NOT_RUNNING,
        **_RAN,
        "claim": "none",
        "claim while busy": "none",
        "cancel": "cancelled > cancelled",
        "erase": "erasing > cancelled",
        "reap after delay": "due > queued",
    },
    "running": _RUNNING,
    "running suspect": _RUNNING,
    "running last try": {**_RUNNING, "retry": "failed > failed"},
    "cancelling": _CANCELLING,
    "cancelling suspect": _CANCELLING,
    "erasing": {**_CANCELLING, "cancel": "notfound", "reap after lease": "ended collected > absent"},
    "erased in line": {
        **_HERE,
        **_NOT_RUNNING,
        "claim": "none",
        "release": "already",
        "cancel": "notfound",
        "erase": "erasing",
        "reap now": "collected > absent",
    },
    "flagged": _OVERDUE_RUNNING,
    "overdue queued": _OVERDUE,
    # A claim looks only at who stands in line; this one is upkeep's.
    "overdue delayed": {**_OVERDUE, **_RAN, "claim": "none"},
    "overdue running": _OVERDUE_RUNNING,
    "overdue cancelling": {name: _CANCELLING[name] for name in _OVERDUE_RUNNING},
    "succeeded": {**_ENDED, "cancel": "succeeded"},
    "failed": {**_ENDED, "cancel": "failed"},
    "cancelled in line": {**_ENDED, **_NOT_RUNNING, "release": "already", "cancel": "cancelled"},
    "cancelled at work": {**_ENDED, "release": "already", "cancel": "cancelled"},
    "failed by its deadline": {**_ENDED, "release": "already", "cancel": "failed"},
    "expired": {
        **_ENDED,
        "cancel": "succeeded",
        "reap after retention": "nothing",
        "reap after a week": "collected > absent",
    },
}
CELLS = [(state, call, answer) for state, calls in TABLE.items() for call, answer in calls.items()]


@pytest.mark.parametrize(("state", "call", "answer"), CELLS, ids=[f"{state}-{call}" for state, call, _ in CELLS])
def test_function_when_called_in_a_state_then_answers_by_the_table(
    lab: QueueLab, state: str, call: str, answer: str
) -> None:
    fence = STATES[state](lab)
    before = lab.state(JOB)
    lab.check()
    verdict, _, after = answer.partition(" > ")
    assert CALLS[call](lab, fence) == verdict
    assert lab.state(JOB) == (after or before)
    lab.check()


def test_table_when_read_then_has_every_function_for_every_state() -> None:
    functions = {"enqueue", "claim", "heartbeat", *_ENDS, "release", "cancel", "erase", "reap"}
    called = {state: {call.split()[0] for call in calls} for state, calls in TABLE.items()}
    assert {state: functions - called.get(state, set()) for state in STATES} == {state: set() for state in STATES}


@pytest.mark.parametrize("state", ["queued", "running", "cancelling", "erasing", "overdue queued", "overdue running"])
@pytest.mark.parametrize("call", [call for call in CALLS if not call.startswith(("reap", "claim"))])
def test_function_when_its_answer_is_lost_then_a_repeat_changes_nothing(lab: QueueLab, state: str, call: str) -> None:
    fence = STATES[state](lab)
    first = CALLS[call](lab, fence)
    after = lab.snapshot()
    second = CALLS[call](lab, fence)
    assert lab.snapshot() == after
    is_end = call in (*_ENDS, "release") and first not in ("fenced", "gone")
    assert second == ("already" if is_end else first)


def test_claim_when_its_answer_is_lost_then_a_repeat_gives_the_same_jobs_and_changes_nothing(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2)
    first = lab.claim_answer(claim_number=5)
    after = lab.snapshot()
    assert lab.claim_answer(claim_number=5, free=1, running=1) == first
    assert lab.snapshot() == after
    assert len(first["jobs"]) == 2


def test_reap_when_its_answer_is_lost_then_a_repeat_names_the_same_pictures(lab: QueueLab) -> None:
    STATES["succeeded"](lab)
    lab.advance(RETENTION_MS)
    named = lab.reap()[4]
    after = lab.snapshot()
    assert lab.reap()[4] == named == [job_id(JOB)]
    assert lab.snapshot() == after
    assert lab.reap(*named)[4] == []
