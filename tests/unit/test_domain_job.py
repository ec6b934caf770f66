"""The table of a job's life: every state can be reached and left, and the end is the end."""

import pytest

from service.domain.job import TRANSITIONS, JobStatus


def reachable(start: JobStatus) -> set[JobStatus]:
    """All that may follow, sooner or later."""
    found: set[JobStatus] = set()
    ahead = set(TRANSITIONS[start])
    while ahead:
        status = ahead.pop()
        found.add(status)
        ahead |= TRANSITIONS[status] - found
    return found


def test_transitions_when_read_then_they_cover_every_status() -> None:
    assert set(TRANSITIONS) == set(JobStatus)
    assert set().union(*TRANSITIONS.values()) == set(JobStatus)


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_transitions_when_a_job_has_not_ended_then_every_end_can_be_reached(status: JobStatus) -> None:
    assert not status.is_final
    assert {JobStatus.SUCCEEDED, JobStatus.FAILED} <= reachable(status)


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.FAILED])
def test_transitions_when_a_job_has_ended_then_nothing_follows(status: JobStatus) -> None:
    assert status.is_final
    assert reachable(status) == set()


def test_transitions_when_a_job_waits_then_only_a_worker_makes_a_picture_of_it() -> None:
    assert JobStatus.SUCCEEDED not in TRANSITIONS[JobStatus.QUEUED]


def test_transitions_when_a_job_is_being_cancelled_then_it_can_only_end_so() -> None:
    assert TRANSITIONS[JobStatus.CANCELLING] == {JobStatus.CANCELLED}
