"""The simulated policies themselves, by small examples whose latencies can be told by hand."""

import pytest

from benchmarks.policies import batchers
from benchmarks.policies.__main__ import main
from benchmarks.policies.comparison import Policy, simulate
from benchmarks.policies.stream import CURVE_L, poisson_stream
from service.domain.capacity import StepCurve
from service.domain.execution import Execution
from service.scheduling.policy import BatchPolicy
from service.scheduling.rehearsal import Device, RehearsedJob, rehearse

# A step of any batch takes a second.
FLAT = StepCurve(((1, 1.0), (16, 1.0)))


def stream(*jobs: tuple[float, int]) -> list[RehearsedJob]:
    return [RehearsedJob(number, arrival, num_steps) for number, (arrival, num_steps) in enumerate(jobs)]


@pytest.mark.parametrize(
    ("batcher", "expected"),
    [
        # The first job goes alone, the device being free; what came meanwhile shares as the batcher allows.
        (batchers.one_by_one, [10, 19, 38, 47]),
        (batchers.cut, [10, 19, 38, 47]),
        (batchers.pad, [10, 29, 28, 27]),
    ],
)
def test_batcher_when_lengths_differ_then_each_takes_its_own(batcher: batchers.Batcher, expected: list[float]) -> None:
    jobs = stream((0, 10), (1, 10), (2, 20), (3, 10))
    assert batchers.serve(jobs, FLAT, batcher) == expected


def test_cut_when_lengths_are_equal_then_they_share() -> None:
    jobs = stream((0, 10), (1, 10), (2, 10), (3, 20))
    assert batchers.serve(jobs, FLAT, batchers.cut) == [10, 19, 18, 37]


@pytest.mark.parametrize(
    ("execution", "expected"),
    [(Execution.STEPWISE, [10, 10, 20]), (Execution.WHOLE_LOOP, [10, 19, 38])],
)
def test_slots_when_a_job_comes_then_it_joins_the_next_batch(execution: Execution, expected: list[float]) -> None:
    jobs = stream((0, 10), (1, 10), (2, 20))
    assert rehearse(jobs, Device(FLAT), BatchPolicy(16, 16), execution) == expected


def test_slots_when_there_is_one_then_jobs_wait_in_the_queue() -> None:
    jobs = stream((0, 10), (1, 10), (100, 10))
    assert rehearse(jobs, Device(FLAT), BatchPolicy(1, 1), Execution.STEPWISE) == [10, 19, 10]


def test_slots_when_other_stages_take_time_then_they_come_between() -> None:
    device = Device(FLAT, {"source_encoder": 3.0, "vae_decoder": 5.0})
    assert rehearse(stream((0, 2), (4, 2)), device, BatchPolicy(2, 2), Execution.STEPWISE) == [13, 15]


def test_simulation_when_the_seed_is_the_same_then_so_are_the_latencies() -> None:
    first, second, other = (simulate(Policy.CONTINUOUS, CURVE_L, 0.5, 50, seed) for seed in (1, 1, 2))
    assert first == second != other


def test_stream_when_the_load_is_one_then_full_rows_can_just_serve_it() -> None:
    jobs = poisson_stream(CURVE_L, 1.0, 20_000, seed=1)
    row_seconds = sum(job.num_steps for job in jobs) * CURVE_L.seconds(16) / 16
    assert row_seconds / jobs[-1].arrival == pytest.approx(1, rel=0.02)


def test_command_when_run_then_prints_a_row_for_each_curve_and_load(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--jobs", "60"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 3 * 5
    assert all(line.count("|") == 8 for line in lines)
