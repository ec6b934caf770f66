"""What one look at a deployment says of pictures, slots and batches, by examples that can be told by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.domain.capacity import Activity, WorkerReport
from service.domain.job import Priority
from service.gateway.status import Fare
from service.ports.archive import MAX_LATENCIES, Latency
from service.ports.queue import QueueStats
from tests.fakes.fake_intake import a_worker_report

NOW = 1_800_000_000.0


def fare(latencies: Sequence[Latency] = (), workers: Sequence[WorkerReport] = ()) -> Fare:
    return Fare(workers, QueueStats(queued=0, running=0, oldest_wait_seconds=0), latencies, NOW)


def ended(*ago_seconds: float, num_images: int = 1) -> list[Latency]:
    return [Latency(Priority.INTERACTIVE, 1.0, NOW - ago, num_images) for ago in ago_seconds]


def a_worker(max_batch: int, activity: Activity) -> WorkerReport:
    report = a_worker_report()
    return replace(report, capacity=replace(report.capacity, max_batch=max_batch), activity=activity)


def test_rate_when_nothing_has_ended_then_none() -> None:
    assert fare().pictures_per_minute == 0


def test_rate_when_jobs_have_ended_then_the_pictures_of_the_last_minute_count() -> None:
    assert fare(ended(300, 61, 59, 30, 0, num_images=4)).pictures_per_minute == 12


def test_rate_when_more_ended_within_a_minute_than_are_kept_then_it_is_that_of_those() -> None:
    times = [30 * (MAX_LATENCIES - 1 - number) / (MAX_LATENCIES - 1) for number in range(MAX_LATENCIES)]

    assert fare(ended(*times)).pictures_per_minute == pytest.approx(2 * (MAX_LATENCIES - 1))
    assert fare(ended(*[0.0] * MAX_LATENCIES)).pictures_per_minute > 0


def test_batches_when_no_worker_takes_steps_then_there_is_no_occupancy() -> None:
    assert fare().batch_occupancy is None
    assert fare(workers=[a_worker(8, Activity(1))]).batch_occupancy is None


def test_batches_when_some_workers_take_steps_then_theirs_are_compared_with_the_most() -> None:
    workers = [a_worker(8, Activity(6, 6.0)), a_worker(8, Activity(2, 2.0)), a_worker(100, Activity())]

    assert fare(workers=workers).batch_occupancy == 0.5
    assert fare(workers=workers).num_in_flight == 8


def test_eta_when_a_worker_lives_then_a_picture_has_one() -> None:
    eta = fare(workers=[a_worker_report()]).eta

    assert fare().eta is None
    assert eta
    assert 0 < eta.p50_seconds <= eta.p90_seconds
