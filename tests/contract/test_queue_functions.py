"""Every function on a job in every state: the verdict, the state after it, and every index."""

from collections.abc import Callable

import pytest

from tests.fakes.queue_lab import LEASE_MS, RECORD_KEPT_MS, RETENTION_MS, RETRY_DELAY_MS, QueueLab, job_id

JOB = 7
FOREIGN_FENCE = 999


def _queued(lab: QueueLab) -> int:
    lab.enqueue(JOB)
    return FOREIGN_FENCE


def _running(lab: QueueLab) -> int:
    _queued(lab)
    return lab.claim()[JOB]


def _released(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.release(JOB, fence)
    return fence


def _suspect(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.lapse()
    return fence


def _running_suspect(lab: QueueLab) -> int:
    _suspect(lab)
    return lab.claim()[JOB]


def _delayed(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.finish(JOB, fence, "retry")
    return fence


def _retried(lab: QueueLab) -> int:
    fence = _delayed(lab)
    lab.lapse(RETRY_DELAY_MS)
    return fence


def _running_last_try(lab: QueueLab) -> int:
    """Two failures of three."""
    _retried(lab)
    lab.finish(JOB, lab.claim()[JOB], "retry")
    lab.lapse(2 * RETRY_DELAY_MS)
    return lab.claim()[JOB]


def _succeeded(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.finish(JOB, fence)
    return fence


def _failed(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.finish(JOB, fence, "failed")
    return fence


def _expired(lab: QueueLab) -> int:
    fence = _succeeded(lab)
    lab.advance(RETENTION_MS)
    lab.reap()
    return fence


def _absent(_: QueueLab) -> int:
    return FOREIGN_FENCE


STATES: dict[str, Callable[[QueueLab], int]] = {
    "absent": _absent,
    "queued": _queued,
    "released": _released,
    "retried": _retried,
    "suspect": _suspect,
    "delayed": _delayed,
    "running": _running,
    "running suspect": _running_suspect,
    "running last try": _running_last_try,
    "succeeded": _succeeded,
    "failed": _failed,
    "expired": _expired,
}


def _reap_after(ms: int) -> Callable[[QueueLab, int], str]:
    def reap(lab: QueueLab, _: int) -> str:
        lab.advance(ms - 1)
        lab.client.set("{xmdpt}:reaped_at", lab.now)  # as a gateway that reaps all the time leaves it
        assert lab.reap()[:4] == [0, 0, 0, 0], "too early"
        lab.advance(1)
        names = ("requeued", "failed", "due", "collected")
        return " ".join(name for name, count in zip(names, lab.reap()[:4], strict=True) if count) or "nothing"

    return reap


def _claim(lab: QueueLab, _: int) -> str:
    return "given" if JOB in lab.claim("other") else "none"


CALLS: dict[str, Callable[[QueueLab, int], str]] = {
    "enqueue": lambda lab, _: lab.enqueue(JOB),
    "claim": _claim,
    "claim while busy": lambda lab, _: "given" if JOB in lab.claim("other", running=1) else "none",
    "claim repeated": lambda lab, fence: str(lab.claim(claim_number=lab.last_claim).get(JOB) == fence),
    "heartbeat": lambda lab, fence: lab.heartbeat(JOB, fence, 1),
    "heartbeat of another": lambda lab, _: lab.heartbeat(JOB, FOREIGN_FENCE, 1),
    "succeed": lambda lab, fence: lab.finish(JOB, fence),
    "succeed of another": lambda lab, _: lab.finish(JOB, FOREIGN_FENCE),
    "fail": lambda lab, fence: lab.finish(JOB, fence, "failed"),
    "retry": lambda lab, fence: lab.finish(JOB, fence, "retry"),
    "release": lambda lab, fence: lab.release(JOB, fence),
    "release of another": lambda lab, _: lab.release(JOB, FOREIGN_FENCE),
    "reap after lease": _reap_after(LEASE_MS),
    "reap after delay": _reap_after(RETRY_DELAY_MS),
    "reap after retention": _reap_after(RETENTION_MS),
    "reap after a week": _reap_after(RECORD_KEPT_MS),
}

_NOTHING_TO_END = {"heartbeat": "lost", "succeed": "fenced", "fail": "fenced", "retry": "fenced", "release": "fenced"}
_NOT_MINE = {"heartbeat of another": "lost", "succeed of another": "fenced", "release of another": "fenced"}
_WAITING = {"enqueue": "dup", "claim": "given > running", "reap after lease": "nothing", **_NOTHING_TO_END, **_NOT_MINE}
_RAN = {"succeed": "already", "fail": "already", "retry": "already"}
_RUNNING = {
    "enqueue": "dup",
    "claim": "none",
    "claim repeated": "True",
    "heartbeat": "ok",
    "succeed": "succeeded > succeeded",
    "fail": "failed > failed",
    "retry": "retry > delayed",
    "release": "queued > queued",
    "reap after lease": "requeued > queued",
    **_NOT_MINE,
}
_ENDED = {
    "enqueue": "dup",
    "claim": "none",
    "heartbeat": "lost",
    **_RAN,
    "release": "fenced",
    "reap after lease": "nothing",
    "reap after retention": "collected",
    **_NOT_MINE,
}

# state -> call -> verdict, and after > the state that follows where it is another.
TABLE: dict[str, dict[str, str]] = {
    "absent": {
        "enqueue": "ok > queued",
        "claim": "none",
        "heartbeat": "lost",
        "succeed": "gone",
        "fail": "gone",
        "retry": "gone",
        "release": "gone",
        "reap after lease": "nothing",
    },
    "queued": {**_WAITING, "claim while busy": "given > running"},
    "released": {**_WAITING, "claim while busy": "given > running", "release": "already"},
    "retried": {**_WAITING, **_RAN, "claim while busy": "given > running"},
    "suspect": {**_WAITING, "claim while busy": "none"},
    "delayed": {
        "enqueue": "dup",
        "claim": "none",
        "claim while busy": "none",
        **_NOTHING_TO_END,
        **_RAN,
        **_NOT_MINE,
        "reap after delay": "due > queued",
    },
    "running": _RUNNING,
    "running suspect": _RUNNING,
    "running last try": {**_RUNNING, "retry": "failed > failed"},
    "succeeded": _ENDED,
    "failed": _ENDED,
    "expired": {**_ENDED, "reap after retention": "nothing", "reap after a week": "collected > absent"},
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
    functions = {"enqueue", "claim", "heartbeat", "succeed", "fail", "retry", "release", "reap"}
    called = {state: {call.split(" after")[0] for call in calls} for state, calls in TABLE.items()}
    assert {state: functions - called.get(state, set()) for state in STATES} == {state: set() for state in STATES}


@pytest.mark.parametrize("call", [call for call in CALLS if not call.startswith(("reap", "claim"))])
def test_function_when_its_answer_is_lost_then_a_repeat_changes_nothing(lab: QueueLab, call: str) -> None:
    fence = _running(lab)
    first = CALLS[call](lab, fence)
    after = lab.snapshot()
    second = CALLS[call](lab, fence)
    assert lab.snapshot() == after
    assert second == ("already" if first in ("succeeded", "failed", "retry", "queued") else first)


def test_claim_when_its_answer_is_lost_then_a_repeat_gives_the_same_jobs_and_changes_nothing(lab: QueueLab) -> None:
    lab.enqueue(1)
    lab.enqueue(2)
    first = lab.claim_answer(claim_number=5)
    after = lab.snapshot()
    assert lab.claim_answer(claim_number=5, free=1, running=1) == first
    assert lab.snapshot() == after
    assert len(first["jobs"]) == 2


def test_reap_when_its_answer_is_lost_then_a_repeat_names_the_same_pictures(lab: QueueLab) -> None:
    _succeeded(lab)
    lab.advance(RETENTION_MS)
    named = lab.reap()[4]
    after = lab.snapshot()
    assert lab.reap()[4] == named == [job_id(JOB)]
    assert lab.snapshot() == after
    assert lab.reap(*named)[4] == []
