"""Leases in flight: kept while answered, given up in time when not, and every verdict told to who must know."""

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from service.domain.job import Progress
from service.engine.flight import Flight
from service.engine.heartbeat import Heartbeat
from tests.fakes.fake_leases import FakeLeases
from tests.unit.builders import a_claimed_job

INTERVAL = 0.005
NEVER = 10**9


class CountingLeases(FakeLeases):
    """Counts the calls, answered or not."""

    num_beats = 0

    def heartbeat(self, jobs: Mapping[str, tuple[int, Progress]]) -> Mapping[str, str]:
        self.num_beats += 1
        return super().heartbeat(jobs)


class Lab:
    """A heartbeat and what it has told; `start` it when the scene is set."""

    def __init__(self) -> None:
        self.leases = CountingLeases()
        self.lost: list[Flight] = []
        self.was_answered_at_losses: list[bool] = []
        self.cancelled: list[Flight] = []
        self.deaths: list[BaseException] = []
        self.heartbeat: Heartbeat
        self.set_up()

    def set_up(self, interval: float = INTERVAL, lease_seconds: float = 60) -> None:
        self.heartbeat = Heartbeat(
            self.leases, interval, lease_seconds, self._lose, self.cancelled.append, self.deaths.append
        )

    def _lose(self, flight: Flight) -> None:
        self.was_answered_at_losses.append(self.heartbeat.is_answered)
        self.lost.append(flight)

    def beats(self, more: int = 1) -> None:
        """Wait until the next so many reports have been judged."""
        goal = self.leases.num_beats + more + 1
        until(lambda: self.leases.num_beats >= goal)


def until(condition: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.001)


def a_flight(number: int = 1, fence: int = 1) -> Flight:
    return Flight(a_claimed_job(number, fence), 0.0)


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    lab.heartbeat.stop()


def test_heartbeat_when_the_queue_is_silent_then_the_job_is_given_up_before_its_lease_ends(lab: Lab) -> None:
    lab.leases.outages = NEVER
    lab.set_up(lease_seconds=0.5)
    lab.heartbeat.start()
    flight = a_flight()
    tracked_at = time.monotonic()
    lab.heartbeat.track(flight)
    until(lambda: lab.lost)
    # Not at the first silence: 0.8 of the lease is the patience.
    assert time.monotonic() - tracked_at >= 0.8 * 0.5 - 0.01
    assert lab.lost == [flight]
    assert flight.is_lost
    assert lab.was_answered_at_losses == [False]


def test_heartbeat_when_the_outage_is_shorter_than_the_patience_then_the_job_is_kept(lab: Lab) -> None:
    lab.leases.outages = 5
    lab.heartbeat.track(a_flight())
    lab.heartbeat.start()
    until(lambda: lab.leases.outages == 0)
    lab.beats()
    assert lab.heartbeat.is_answered
    assert lab.lost == []


def test_heartbeat_when_answered_then_the_job_outlives_its_lease(lab: Lab) -> None:
    lab.set_up(lease_seconds=1.0)
    lab.heartbeat.track(a_flight())
    lab.heartbeat.start()
    start = time.monotonic()
    until(lambda: time.monotonic() - start > 1.1)
    assert lab.lost == []


def test_heartbeat_when_a_lease_is_lost_then_it_is_told_once_and_reported_no_more(lab: Lab) -> None:
    flight, other = a_flight(1), a_flight(2)
    lab.leases.lost = {flight.job.id}
    lab.heartbeat.track(flight)
    lab.heartbeat.track(other)
    lab.heartbeat.start()
    until(lambda: lab.lost)
    lab.beats(5)
    assert lab.lost == [flight]
    assert len(lab.leases.progress[flight.job.id]) == 1


def test_heartbeat_when_a_job_is_unwanted_then_it_is_told_each_time_and_the_lease_is_kept(lab: Lab) -> None:
    flight = a_flight()
    lab.leases.unwanted = {flight.job.id}
    lab.heartbeat.track(flight)
    lab.heartbeat.start()
    until(lambda: len(lab.cancelled) > 2)
    assert set(lab.cancelled) == {flight}
    assert lab.lost == []


def test_heartbeat_when_poked_then_it_does_not_wait_for_the_interval(lab: Lab) -> None:
    lab.set_up(interval=3600)
    flight = a_flight()
    lab.leases.unwanted = {flight.job.id}
    lab.heartbeat.track(flight)
    lab.heartbeat.start()
    lab.heartbeat.beat_now()
    until(lambda: lab.cancelled)


def test_heartbeat_when_a_job_has_left_then_its_loss_is_nobodys_business(lab: Lab) -> None:
    flight = a_flight()
    lab.heartbeat.track(flight)
    lab.heartbeat.start()
    until(lambda: flight.job.id in lab.leases.progress)
    lab.heartbeat.forget(flight)
    lab.heartbeat.forget(flight)
    lab.leases.lost = {flight.job.id}
    lab.heartbeat.track(a_flight(2))
    lab.beats(3)
    assert lab.lost == []


def test_heartbeat_when_a_job_is_claimed_anew_then_its_older_flight_is_lost(lab: Lab) -> None:
    old, new = a_flight(fence=1), a_flight(fence=2)
    lab.heartbeat.track(old)
    lab.heartbeat.track(new)
    assert lab.lost == [old]
    lab.heartbeat.forget(old)
    lab.heartbeat.start()
    until(lambda: new.job.id in lab.leases.progress)


def test_heartbeat_when_a_job_comes_back_during_a_call_then_the_old_answer_does_not_touch_it(lab: Lab) -> None:
    old, new = a_flight(fence=1), a_flight(fence=2)
    fences: list[int] = []

    class ClaimedAnew(CountingLeases):
        """While the first report is on its way, the job leaves the worker and is claimed again under a new fence."""

        def heartbeat(self, jobs: Mapping[str, tuple[int, Progress]]) -> Mapping[str, str]:
            fences.append(jobs[old.job.id][0])
            if fences == [1]:
                lab.heartbeat.forget(old)
                lab.heartbeat.track(new)
                return {old.job.id: "lost"}
            return super().heartbeat(jobs)

    lab.leases = ClaimedAnew()
    lab.set_up()
    lab.heartbeat.track(old)
    lab.heartbeat.start()
    until(lambda: len(fences) > 3)
    assert fences[:4] == [1, 2, 2, 2]
    assert lab.lost == []


def test_heartbeat_when_flights_move_then_stage_and_steps_are_reported_together(lab: Lab) -> None:
    flight, other = a_flight(1), a_flight(2)
    lab.heartbeat.track(flight)
    lab.heartbeat.track(other)
    flight.stage, flight.step = "tdnet_step", 3
    lab.heartbeat.start()
    until(lambda: flight.job.id in lab.leases.progress)
    assert lab.leases.progress[flight.job.id][0] == Progress("tdnet_step", 3)
    assert lab.leases.progress[other.job.id][0] == Progress("", 0)
    flight.stage = "vae_decoder"
    until(lambda: lab.leases.progress[flight.job.id][-1] == Progress("vae_decoder", 3))


def test_heartbeat_when_there_are_no_jobs_then_the_queue_is_left_alone_and_nothing_is_in_doubt(lab: Lab) -> None:
    lab.leases.outages = NEVER
    lab.heartbeat.is_answered = False  # as an outage leaves it
    lab.heartbeat.start()
    until(lambda: lab.heartbeat.is_answered)
    assert lab.leases.num_beats == 0


def test_heartbeat_when_its_thread_ends_by_something_unforeseen_then_that_is_told(lab: Lab) -> None:
    class Broken(CountingLeases):
        def heartbeat(self, jobs: Mapping[str, tuple[int, Progress]]) -> Mapping[str, str]:
            raise RuntimeError("unforeseen")

    lab.leases = Broken()
    lab.set_up()
    lab.heartbeat.track(a_flight())
    lab.heartbeat.start()
    until(lambda: lab.deaths)
    assert str(lab.deaths[0]) == "unforeseen"
