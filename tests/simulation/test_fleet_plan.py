"""How many workers a load needs: against what can be told by hand, and the command that tells it."""

import json
from pathlib import Path

import pytest

from service.domain.capacity import Capacity, StepCurve
from service.domain.execution import Execution
from service.domain.stage import Stage
from service.engine.capacity_report import capacity_document
from service.fleet_plan import Load, alone_seconds, fleets, keeps
from service.scheduling.policy import BatchPolicy
from service.scheduling.rehearsal import Device, RehearsedJob, rehearse
from tests.integration.processes import serve

# A step of any batch takes 10 ms.
FLAT = StepCurve(((1, 0.01), (16, 0.01)))
STAGES = {Stage.ENCODE_SOURCE.value: 0.1, Stage.ENCODE_POSE.value: 0.02, Stage.DECODE.value: 0.05}
BATCHED = Capacity(FLAT, {}, Execution.STEPWISE, 16, 18)
ONE_BY_ONE = Capacity(StepCurve(((1, 0.01),)), {}, Execution.STEPWISE, 1, 1)
# A job of ten of these steps is as long as one of a hundred of those, and is rehearsed in a tenth of the time.
LONG_STEPS = Capacity(StepCurve(((1, 0.1),)), {}, Execution.STEPWISE, 1, 1)


@pytest.mark.parametrize(("num_workers", "expected"), [(1, [1, 2, 3, 4]), (2, [1, 1, 2, 2]), (4, [1, 1, 1, 1])])
def test_rehearsal_when_there_are_more_workers_then_jobs_wait_less(num_workers: int, expected: list[float]) -> None:
    jobs = [RehearsedJob(number, 0.0, 100) for number in range(4)]

    spent = rehearse(jobs, Device(ONE_BY_ONE.curve), BatchPolicy(1, 1), Execution.STEPWISE, num_workers)

    assert spent == pytest.approx(expected)


def test_rehearsal_when_a_worker_is_idle_then_it_takes_the_job_at_once() -> None:
    jobs = [RehearsedJob(0, 0.0, 100), RehearsedJob(1, 0.5, 100), RehearsedJob(2, 1.2, 100)]

    assert rehearse(jobs, Device(ONE_BY_ONE.curve), BatchPolicy(1, 1), Execution.STEPWISE, 2) == pytest.approx([1] * 3)


def test_rehearsal_when_the_person_is_known_then_no_encoder_takes_time() -> None:
    known = frozenset({Stage.ENCODE_SOURCE, Stage.ENCODE_POSE})
    jobs = [RehearsedJob(0, 0.0, 10), RehearsedJob(1, 10.0, 10, known)]

    spent = rehearse(jobs, Device(FLAT, STAGES), BatchPolicy(1, 1), Execution.STEPWISE)

    assert spent == pytest.approx([0.27, 0.15])


@pytest.mark.parametrize("rate", [0.5, 3.0, 9.5])
def test_plan_when_jobs_go_one_by_one_then_the_smallest_fleet_that_keeps_the_promise_is_found(rate: float) -> None:
    load = Load(rate, (10,), num_jobs=1500)

    tried = fleets(LONG_STEPS, load, 2.0)
    enough = next(fleet for fleet in tried if keeps(fleet, 2.0))

    # Below one worker per unit of work the queue grows for ever.
    assert enough.num_workers > rate
    assert enough.utilisation == pytest.approx(rate / enough.num_workers)
    assert [fleet.num_workers for fleet in tried] == sorted({fleet.num_workers for fleet in tried})
    assert not any(keeps(fleet, 2.0) for fleet in tried if fleet.num_workers < enough.num_workers)
    assert enough.num_workers == 1 or enough.num_workers - 1 in {fleet.num_workers for fleet in tried} | {int(rate)}


def test_plan_when_one_worker_takes_jobs_in_turn_then_as_many_are_there_as_the_formula_says() -> None:
    tried = fleets(LONG_STEPS, Load(0.5, (10,), num_jobs=20_000), 5.0)

    # One server, jobs of equal length, half of its time busy: 0.5 + 0.5**2 / (2 * (1 - 0.5)).
    assert tried[-1].num_workers == 1
    assert tried[-1].jobs_per_worker == pytest.approx(0.75, rel=0.05)


def test_plan_when_jobs_share_steps_then_one_worker_does_what_sixteen_would() -> None:
    load = Load(10.0, (100,), num_jobs=1500)

    shared = fleets(BATCHED, load, 2.0)

    assert [fleet.num_workers for fleet in shared] == [1]


def test_plan_when_persons_are_known_then_fewer_workers_do() -> None:
    capacity = Capacity(ONE_BY_ONE.curve, STAGES, Execution.STEPWISE, 1, 1)
    needed = [fleets(capacity, Load(20.0, (10,), share, 1500), 1.0)[-1].num_workers for share in (0.0, 1.0)]

    assert needed[1] < needed[0]


def test_plan_when_a_job_alone_takes_too_long_then_no_number_is_named() -> None:
    assert alone_seconds(ONE_BY_ONE, Load(1.0, (50, 150))) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"alone is 1\.00 s"):
        fleets(ONE_BY_ONE, Load(1.0, (100,)), 0.9)


def test_plan_when_the_longest_jobs_alone_take_too_long_then_it_ends_and_says_so() -> None:
    capacity = Capacity(StepCurve(((2, 0.04), (16, 0.1))), {}, Execution.STEPWISE, 16, 18)
    load = Load(1.0, (10, 50), num_jobs=500)
    longest = alone_seconds(capacity, Load(1.0, (50,)))

    assert alone_seconds(capacity, load) < 1.5 < longest
    with pytest.raises(ValueError, match=f"alone is {longest:.2f} s"):
        fleets(capacity, load, 1.5)


@pytest.mark.parametrize(("known_share", "is_feasible"), [(0.5, False), (0.99, True)])
def test_plan_when_only_known_persons_can_be_in_time_then_it_depends_on_how_many_are(
    known_share: float, is_feasible: bool
) -> None:
    capacity = Capacity(ONE_BY_ONE.curve, STAGES, Execution.STEPWISE, 1, 1)
    load = Load(1.0, (10,), known_share, num_jobs=500)

    if is_feasible:
        assert keeps(fleets(capacity, load, 0.2)[-1], 0.2)
    else:
        with pytest.raises(ValueError, match=r"alone is 0\.27 s"):
            fleets(capacity, load, 0.2)


def test_plan_when_the_promise_is_just_the_time_alone_then_a_fleet_is_found() -> None:
    tried = fleets(LONG_STEPS, Load(1.0, (10,), num_jobs=500), 1.0)

    assert keeps(tried[-1], 1.0)


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"runtime": "a device"} | capacity_document(BATCHED)))
    return path


def test_command_when_given_a_calibration_then_it_prints_a_table_and_the_number(calibration: Path) -> None:
    page = serve("plan", "--rps", "40", "--p95", "1500ms", "--steps", "50,100", "--calibration", str(calibration))
    document = serve(
        "plan", "--rps", "40", "--p95", "1.5", "--steps", "50,100", "--json", "--calibration", str(calibration)
    )
    found = json.loads(document.stdout)

    assert page.returncode == 0, page.stderr
    assert "40 jobs a second of 50, 100 steps, 0% of them of known persons; a job alone takes 0.75 s" in page.stdout
    assert page.stdout.splitlines()[-1].startswith(f"{found['num_workers']} workers: {found['num_workers'] - 1} keep")
    assert found["fleets"][-1]["p95_seconds"] <= 1.5


def test_command_when_given_no_calibration_then_this_device_is_timed() -> None:
    settings = {
        "XMDPT_BACKEND": "simulated",
        "XMDPT_SIMULATED__STEP_MS": "2",
        "XMDPT_WORKER__CALIBRATION_SECONDS": "0.1",
    }

    done = serve("plan", "--rps", "1", "--spare", "0", **settings)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 worker: 1 keep p95 within 2 s."


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--rps", "0"], 2, "must be above 0"),
        (["--rps", "nan"], 2, "must be above 0"),
        (["--rps", "1", "--p95", "soon"], 2, "such as 800ms"),
        (["--rps", "1", "--steps", "1,50"], 2, "from 2 to 250"),
        (["--rps", "1", "--known", "2"], 2, "between 0 and 1"),
        (["--rps", "1", "--spare", "-1"], 2, "from 0 to 1,000"),
        (["--rps", "1", "--calibration", "absent.json"], 78, "absent.json: No such file"),
        (["--rps", "1", "--calibration", "README.md"], 78, "not what `xmdpt-serve calibrate --json` prints"),
        (["--rps", "1", "--p95", "1ms", "--calibration", "CALIBRATION"], 78, "p95 of jobs that are alone is"),
    ],
)
def test_command_when_misused_then_it_says_how(calibration: Path, words: list[str], status: int, said: str) -> None:
    done = serve("plan", *(str(calibration) if word == "CALIBRATION" else word for word in words))

    assert done.returncode == status
    assert said in done.stderr
