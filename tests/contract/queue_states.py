"""A job in each state in which a function may find it."""

from collections.abc import Callable

from tests.fakes.queue_lab import RETENTION_MS, RETRY_DELAY_MS, QueueLab

JOB, ANOTHER_JOB = 7, 8
FOREIGN_FENCE = 999
# Shorter than a lease and than a pause before a retry: what is overdue here is nothing else.
SHORT_DEADLINE_MS = 900
KEY, FINGERPRINT = "digest of a key", "what was asked for"


def _queued(lab: QueueLab) -> int:
    lab.enqueue(JOB, key=KEY, fingerprint=FINGERPRINT)
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


def _cancelling(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.cancel(JOB)
    return fence


def _cancelling_suspect(lab: QueueLab) -> int:
    fence = _running_suspect(lab)
    lab.cancel(JOB)
    return fence


def _erasing(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.erase(JOB)
    return fence


def _erased_in_line(lab: QueueLab) -> int:
    """Cancelled by that, and upkeep is to forget it."""
    fence = _released(lab)
    lab.erase(JOB)
    return fence


def _flagged(lab: QueueLab) -> int:
    """Running past its deadline, and the worker is to be told."""
    fence = _overdue_running(lab)
    lab.reap()
    return fence


def _overdue_queued(lab: QueueLab) -> int:
    _due_soon(lab)
    lab.advance(SHORT_DEADLINE_MS)
    return FOREIGN_FENCE


def _overdue_delayed(lab: QueueLab) -> int:
    _due_soon(lab)
    fence = lab.claim()[JOB]
    lab.finish(JOB, fence, "retry")
    lab.advance(SHORT_DEADLINE_MS)
    return fence


def _overdue_running(lab: QueueLab) -> int:
    _due_soon(lab)
    fence = lab.claim()[JOB]
    lab.advance(SHORT_DEADLINE_MS)
    return fence


def _overdue_cancelling(lab: QueueLab) -> int:
    """The client's wish came first."""
    _due_soon(lab)
    fence = lab.claim()[JOB]
    lab.cancel(JOB)
    lab.advance(SHORT_DEADLINE_MS)
    return fence


def _due_soon(lab: QueueLab) -> None:
    lab.enqueue(JOB, key=KEY, fingerprint=FINGERPRINT, deadline_ms=SHORT_DEADLINE_MS)


def _succeeded(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.finish(JOB, fence)
    return fence


def _failed(lab: QueueLab) -> int:
    fence = _running(lab)
    lab.finish(JOB, fence, "failed")
    return fence


def _cancelled_in_line(lab: QueueLab) -> int:
    fence = _released(lab)
    lab.cancel(JOB)
    return fence


def _cancelled_at_work(lab: QueueLab) -> int:
    fence = _cancelling(lab)
    lab.finish(JOB, fence, "cancelled")
    return fence


def _failed_by_its_deadline(lab: QueueLab) -> int:
    fence = _overdue_running(lab)
    lab.finish(JOB, fence)
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
    "cancelling": _cancelling,
    "cancelling suspect": _cancelling_suspect,
    "erasing": _erasing,
    "erased in line": _erased_in_line,
    "flagged": _flagged,
    "overdue queued": _overdue_queued,
    "overdue delayed": _overdue_delayed,
    "overdue running": _overdue_running,
    "overdue cancelling": _overdue_cancelling,
    "succeeded": _succeeded,
    "failed": _failed,
    "cancelled in line": _cancelled_in_line,
    "cancelled at work": _cancelled_at_work,
    "failed by its deadline": _failed_by_its_deadline,
    "expired": _expired,
}
