"""Leases in flight: kept while answered, given up in time when not, and every loss told once."""

import time
from collections.abc import Callable, Mapping

import pytest

from service.domain.job import Progress
from service.engine.heartbeat import Heartbeat
from tests.fakes.fake_leases import FakeLeases
from tests.unit.builders import a_job_id

INTERVAL = 0.005
JOB, OTHER = a_job_id(1), a_job_id(2)
NEVER = 10**9


class CountingLeases(FakeLeases):
    """Counts the calls, answered or not."""

    num_beats = 0

    def heartbeat(self, jobs: Mapping[str, tuple[int, Progress]]) -> Mapping[str, str]:
        self.num_beats += 1
        return super().heartbeat(jobs)


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.001)


def lost_until(heartbeat: Heartbeat, job_id: str) -> set[str]:
    """All losses until this one has been told."""
    lost: set[str] = set()
    until(lambda: lost.update(heartbeat.take_lost()) or job_id in lost)
    return lost


@pytest.fixture
def leases() -> CountingLeases:
    return CountingLeases()


def test_heartbeat_when_the_queue_is_silent_then_the_job_is_given_up_before_its_lease_ends(
    leases: CountingLeases,
) -> None:
    leases.outages = NEVER
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=0.5)
    heartbeat.start()
    heartbeat.track(JOB, 1)
    tracked_at = time.monotonic()
    try:
        assert lost_until(heartbeat, JOB) == {JOB}
        seconds = time.monotonic() - tracked_at
        assert not heartbeat.is_answered
    finally:
        heartbeat.stop()
    # Not at the first silence: 0.8 of the lease is the patience.
    assert seconds >= 0.8 * 0.5 - 0.01


def test_heartbeat_when_the_outage_is_shorter_than_the_patience_then_the_job_is_kept(leases: CountingLeases) -> None:
    leases.outages = 5
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=60)
    heartbeat.track(JOB, 1)
    heartbeat.start()
    try:
        until(lambda: leases.outages == 0 and leases.num_beats > 10)
        assert heartbeat.is_answered
        assert heartbeat.take_lost() == set()
    finally:
        heartbeat.stop()


def test_heartbeat_when_answered_then_the_job_outlives_its_lease(leases: CountingLeases) -> None:
    lease = 1.0
    heartbeat = Heartbeat(leases, INTERVAL, lease)
    heartbeat.track(JOB, 1)
    heartbeat.start()
    start = time.monotonic()
    try:
        until(lambda: time.monotonic() - start > 1.1 * lease)
        assert heartbeat.take_lost() == set()
    finally:
        heartbeat.stop()


def test_heartbeat_when_a_lease_is_lost_then_it_is_told_once_and_reported_no_more(leases: CountingLeases) -> None:
    leases.lost = {JOB}
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=60)
    heartbeat.track(JOB, 1)
    heartbeat.track(OTHER, 2)
    heartbeat.start()
    try:
        assert lost_until(heartbeat, JOB) == {JOB}
        until(lambda: len(leases.progress[OTHER]) > 5)
        assert heartbeat.take_lost() == set()
        assert len(leases.progress[JOB]) == 1
    finally:
        heartbeat.stop()


def test_heartbeat_when_a_job_has_left_then_its_loss_is_nobodys_business(leases: CountingLeases) -> None:
    leases.lost = {JOB}
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=60)
    heartbeat.track(JOB, 1)
    heartbeat.start()
    try:
        until(lambda: JOB in leases.progress)
        heartbeat.forget(JOB)
        heartbeat.forget(JOB)
        assert heartbeat.take_lost() == set()
    finally:
        heartbeat.stop()


def test_heartbeat_when_a_job_comes_back_during_a_call_then_the_old_answer_does_not_touch_it() -> None:
    class ClaimedAnew(CountingLeases):
        """While the first report is on its way, the job leaves the worker and is claimed again under a new fence."""

        fences: list[int]

        def heartbeat(self, jobs: Mapping[str, tuple[int, Progress]]) -> Mapping[str, str]:
            self.fences = [*getattr(self, "fences", []), jobs[JOB][0]]
            if self.fences == [1]:
                heartbeat.forget(JOB)
                heartbeat.track(JOB, 2)
                return {JOB: "lost"}
            return super().heartbeat(jobs)

    leases = ClaimedAnew()
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=60)
    heartbeat.track(JOB, 1)
    heartbeat.start()
    try:
        until(lambda: leases.num_beats > 3 or heartbeat.take_lost())
        assert leases.fences[:4] == [1, 2, 2, 2]
    finally:
        heartbeat.stop()


def test_heartbeat_when_batches_run_then_stage_and_steps_are_reported_together(leases: CountingLeases) -> None:
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=60)
    heartbeat.track(JOB, 1)
    heartbeat.track(OTHER, 2)
    heartbeat.advance([JOB, a_job_id(3)], "tdnet_step")
    heartbeat.count_steps([(JOB, 3), (a_job_id(3), 9)])
    heartbeat.start()
    try:
        until(lambda: JOB in leases.progress)
        assert leases.progress[JOB][0] == Progress("tdnet_step", 3)
        assert leases.progress[OTHER][0] == Progress("", 0)
        assert leases.progress.keys() == {JOB, OTHER}
        heartbeat.advance([JOB], "vae_decoder")
        until(lambda: leases.progress[JOB][-1] == Progress("vae_decoder", 3))
    finally:
        heartbeat.stop()


def test_heartbeat_when_there_are_no_jobs_then_the_queue_is_left_alone_and_nothing_is_in_doubt() -> None:
    leases = CountingLeases(outages=NEVER)
    heartbeat = Heartbeat(leases, INTERVAL, lease_seconds=60)
    heartbeat.is_answered = False  # as an outage leaves it
    heartbeat.start()
    try:
        until(lambda: heartbeat.is_answered)
        assert leases.num_beats == 0
    finally:
        heartbeat.stop()
