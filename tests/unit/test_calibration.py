"""What a backend is measured to be, on a clock that only its calls move, and what is said about it."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

from service.adapters.simulated_backend import SimulatedBackend, SimulatedTimes
from service.domain.capacity import Capacity, StepCurve
from service.domain.errors import BackendError, ResourceExhaustedError
from service.domain.execution import Execution
from service.engine.calibration import calibrate
from service.engine.capacity_report import capacity_document, capacity_page
from service.engine.warmup import LOOP_STEPS, stall_warning, warm_up
from tests.fakes.fake_backend import FakeBackend

CALL_SECONDS, ENCODER_SECONDS, DECODER_SECONDS = 0.001, 0.020, 0.005
STAGES = {"source_encoder", "pose_encoder", "canet", "vae_decoder"}


class TimedBackend(FakeBackend):
    """Each call moves its own clock; `fits` tells for some graphs the most rows that memory allows."""

    def __init__(
        self,
        step_seconds: Callable[[int], float],
        fits: Mapping[str, int] | None = None,
        low_step_seconds: Callable[[int], float] | None = None,
    ) -> None:
        self.now = 0.0
        seconds = {
            "source_encoder": lambda rows: ENCODER_SECONDS,
            "pose_encoder": lambda rows: ENCODER_SECONDS,
            "canet": lambda rows: 0.0,
            "tdnet_step": step_seconds,
            "tdnet_step_low": low_step_seconds or (lambda rows: 0.4 * step_seconds(rows)),
            "sampler": lambda rows: LOOP_STEPS * step_seconds(rows),
            "vae_decoder": lambda rows: DECODER_SECONDS,
            "vae_decoder_low": lambda rows: DECODER_SECONDS / 2,
        }
        super().__init__(
            {graph: self._lasting(graph, seconds[graph], (fits or {}).get(graph, 64)) for graph in seconds}
        )

    def _lasting(self, graph: str, seconds: Callable[[int], float], most_rows: int) -> Callable[[int, int], None]:
        def call(rows: int, index: int) -> None:
            if rows > most_rows:
                raise ResourceExhaustedError(f"{graph}: not enough memory for this batch")
            self.now += CALL_SECONDS + seconds(rows)

        return call

    def calibrated(
        self, max_batch: int = 16, execution: Execution | None = Execution.STEPWISE, slots: int | None = 16
    ) -> Capacity:
        return calibrate(self, max_batch, execution, slots, budget_seconds=5.0, clock=lambda: self.now)


def gpu_like(rows: int) -> float:
    return 0.001 + 0.0005 * rows


def cpu_like(rows: int) -> float:
    return 0.3 * rows


@pytest.mark.parametrize("execution", Execution)
@pytest.mark.parametrize(("max_batch", "sizes"), [(16, [1, 2, 4, 8, 16]), (6, [1, 2, 4, 6]), (1, [1])])
def test_curve_when_steps_are_quick_then_every_size_is_measured_whichever_graph_was_there(
    execution: Execution, max_batch: int, sizes: list[int]
) -> None:
    backend = TimedBackend(gpu_like)

    capacity = backend.calibrated(max_batch, execution)

    assert [rows for rows, _ in capacity.curve.points] == sizes
    for rows, seconds in capacity.curve.points:
        assert seconds == pytest.approx(CALL_SECONDS + gpu_like(rows))
    assert capacity.curve.call_seconds == pytest.approx(CALL_SECONDS)
    absent = {Execution.STEPWISE: "sampler", Execution.WHOLE_LOOP: "tdnet_step"}[execution]
    assert absent not in {graph for graph, _ in backend.calls}


def test_stages_when_measured_then_each_has_the_time_of_one_row() -> None:
    capacity = TimedBackend(gpu_like).calibrated()

    assert set(capacity.stage_seconds) == STAGES
    assert capacity.stage_seconds["source_encoder"] == pytest.approx(CALL_SECONDS + ENCODER_SECONDS)
    assert capacity.stage_seconds["vae_decoder"] == pytest.approx(CALL_SECONDS + DECODER_SECONDS)


def test_curve_when_steps_are_slow_then_sizes_that_would_outlast_the_budget_are_not_measured() -> None:
    backend = TimedBackend(cpu_like)

    capacity = backend.calibrated()

    assert [rows for rows, _ in capacity.curve.points] == [1, 2]
    assert {rows for graph, rows in backend.calls if graph == "tdnet_step"} == {1, 2, capacity.max_batch}


def test_curve_when_even_one_step_outlasts_the_budget_then_two_sizes_still_tell_what_batching_brings() -> None:
    capacity = TimedBackend(lambda rows: 60.0 * rows).calibrated(execution=None, slots=None)

    assert [rows for rows, _ in capacity.curve.points] == [1, 2]
    assert capacity.curve.seconds(2) == pytest.approx(120 + CALL_SECONDS)


@pytest.mark.parametrize("execution", Execution)
def test_low_precision_when_there_is_a_graph_for_it_then_it_is_warm_and_its_steps_are_timed(
    execution: Execution,
) -> None:
    backend = TimedBackend(lambda rows: 0.1 * rows)
    backend.low_precision = "int8"

    capacity = backend.calibrated(execution=execution)

    rows, seconds = capacity.curve.points[-1]
    assert rows > 1
    assert capacity.low_step_ratio == pytest.approx((0.04 * rows + CALL_SECONDS) / seconds)
    assert ("tdnet_step_low", capacity.max_batch) in backend.calls
    assert "tdnet_step_low" not in capacity.stage_seconds
    assert "0.40 times as long" in capacity_page(capacity, is_execution_set=True, are_slots_set=True)


def test_low_decoder_when_there_is_one_then_it_is_warm_and_timed_beside_the_other() -> None:
    backend = TimedBackend(cpu_like)
    backend.low_precision, backend.has_low_decoder = "int8", True

    capacity = backend.calibrated()

    assert capacity.stage_seconds["vae_decoder_low"] == pytest.approx(CALL_SECONDS + DECODER_SECONDS / 2)
    assert set(capacity.stage_seconds) == STAGES | {"vae_decoder_low"}
    assert ("vae_decoder_low", capacity.max_batch) in backend.calls


def test_low_precision_when_rows_are_computed_one_by_one_then_its_steps_are_dearer_where_rows_cost_little() -> None:
    backend = TimedBackend(gpu_like, low_step_seconds=lambda rows: rows * gpu_like(1))
    backend.low_precision, backend.max_low_rows = "int8", 1

    ratio = backend.calibrated(max_batch=8).low_step_ratio

    assert ratio == pytest.approx((8 * gpu_like(1) + CALL_SECONDS) / (gpu_like(8) + CALL_SECONDS))
    assert ratio > 2


def test_low_precision_when_rows_go_one_by_one_beside_small_batches_then_the_step_of_one_row_is_timed() -> None:
    def step_seconds(rows: int) -> float:
        return 0.02 + 0.08 * rows

    backend = TimedBackend(step_seconds, low_step_seconds=lambda rows: 0.04 * rows)
    backend.low_precision, backend.max_low_rows = "int8", 1

    capacity = backend.calibrated(slots=None)

    assert capacity.is_shortest_first
    assert (capacity.max_batch, capacity.max_low_batch) == (4, 1)
    assert capacity.low_step_ratio == pytest.approx((0.04 + CALL_SECONDS) / (step_seconds(1) + CALL_SECONDS))
    assert "of 1 row at most, takes 0.41 times" in capacity_page(capacity, is_execution_set=True, are_slots_set=True)


def test_low_precision_when_there_is_no_graph_for_it_then_no_step_is_cheaper() -> None:
    assert TimedBackend(cpu_like).calibrated().low_step_ratio == 1


def test_size_when_a_step_does_not_fit_into_memory_then_the_largest_that_does_is_the_limit() -> None:
    capacity = TimedBackend(gpu_like, {"tdnet_step": 7}).calibrated()

    assert [rows for rows, _ in capacity.curve.points] == [1, 2, 4]
    assert capacity.max_batch == 4


@pytest.mark.parametrize("graph", ["source_encoder", "vae_decoder"])
def test_size_when_another_graph_does_not_fit_into_memory_then_the_batch_is_halved_until_it_does(graph: str) -> None:
    backend = TimedBackend(gpu_like, {graph: 5})

    assert backend.calibrated().max_batch == 4
    assert (graph, 4) in backend.calls


@pytest.mark.parametrize("graph", ["tdnet_step", "vae_decoder"])
def test_start_when_not_even_one_row_fits_into_memory_then_it_stops(graph: str) -> None:
    with pytest.raises(ResourceExhaustedError, match=graph):
        TimedBackend(gpu_like, {graph: 0}).calibrated()


def test_start_when_a_graph_can_not_run_then_it_stops() -> None:
    def fail(rows: int, index: int) -> str | None:
        raise BackendError("backend_error", "vae_decoder: broken")

    with pytest.raises(BackendError, match="broken"):
        calibrate(FakeBackend({"vae_decoder": fail}), 4, None, None)


@pytest.mark.parametrize(
    ("step_seconds", "graph"),
    [(lambda rows: 0.0001, "sampler"), (lambda rows: 0.1 + 0.001 * rows, "tdnet_step")],
)
def test_execution_when_it_is_to_be_chosen_then_its_graph_is_asked_for_and_warm(
    step_seconds: Callable[[int], float], graph: str
) -> None:
    backend = TimedBackend(step_seconds)

    capacity = backend.calibrated(execution=None, slots=None)

    assert capacity.execution is {"sampler": Execution.WHOLE_LOOP, "tdnet_step": Execution.STEPWISE}[graph]
    assert backend.chosen == [capacity.execution]
    assert (graph, capacity.max_batch) in backend.calls
    assert (graph, 1) in backend.calls


def test_profiles_when_the_backend_has_some_then_only_those_are_measured_and_warm() -> None:
    backend = SimulatedBackend("tiny", SimulatedTimes(), (1, 3, 6, 32))

    capacity = calibrate(backend, 16, Execution.STEPWISE, 5)

    assert [rows for rows, _ in capacity.curve.points] == [1, 3, 6]
    assert capacity.max_batch <= 6


def test_warm_up_when_run_then_every_stage_has_had_so_many_rows_once() -> None:
    for execution, graph in ((Execution.STEPWISE, "tdnet_step"), (Execution.WHOLE_LOOP, "sampler")):
        backend = FakeBackend()

        warm_up(backend, 3, execution)

        assert sorted(backend.calls) == sorted((name, 3) for name in STAGES | {graph})


def a_capacity(execution: Execution, max_batch: int = 2, *, is_shortest_first: bool = False) -> Capacity:
    curve = StepCurve([(1, 0.31), (2, 0.61)], call_seconds=0.01)
    return Capacity(curve, {"canet": 0.01, "vae_decoder": 0.4}, execution, max_batch, max_batch, is_shortest_first)


def test_stall_warning_when_a_whole_loop_lasts_too_long_then_it_says_what_to_change() -> None:
    # 50 steps of 0.6 s, and one call.
    assert stall_warning(a_capacity(Execution.WHOLE_LOOP), 30.02) is None
    assert stall_warning(a_capacity(Execution.STEPWISE), 1.0) is None

    warning = stall_warning(a_capacity(Execution.WHOLE_LOOP), 30.0)

    assert warning is not None
    assert "50 steps and 2 rows takes about 30 s" in warning
    assert "XMDPT_WORKER__MAX_BATCH" in warning


def test_page_when_printed_then_it_has_the_curve_and_a_reason_for_each_choice() -> None:
    page = capacity_page(a_capacity(Execution.STEPWISE), is_execution_set=False, are_slots_set=False)
    lines = page.splitlines()

    assert [line.split() for line in lines[1:3]] == [["1", "310.00", "0.06"], ["2", "610.00", "0.07"]]
    assert "vae_decoder                      400.00" in lines
    assert any(
        line.startswith("execution   stepwise    a call costs 10.00 ms, 2% of a step of 2 rows") for line in lines
    )
    assert any(line.startswith("batch       2           2 rows take 610.00 ms together: 1.0 times") for line in lines)


@pytest.mark.parametrize(
    ("capacity", "words"),
    [
        (a_capacity(Execution.WHOLE_LOOP), "whole_loop  a call costs 10.00 ms, 2% of a step"),
        (a_capacity(Execution.STEPWISE, 1), "1           2 rows together take 1.97 times as long as one"),
        (a_capacity(Execution.STEPWISE, 1, is_shortest_first=True), "shortest    one job at a time"),
        (a_capacity(Execution.STEPWISE, 2, is_shortest_first=True), "shortest    a row more costs nearly as much"),
    ],
)
def test_page_when_the_choice_is_another_then_so_is_the_reason(capacity: Capacity, words: str) -> None:
    assert words in capacity_page(capacity, is_execution_set=False, are_slots_set=False)


def test_page_when_the_operator_has_decided_then_it_says_where() -> None:
    page = capacity_page(a_capacity(Execution.STEPWISE), is_execution_set=True, are_slots_set=True)

    assert "set by XMDPT_WORKER__EXECUTION" in page
    assert "set by XMDPT_WORKER__MAX_SLOTS" in page


def test_page_when_nothing_takes_time_then_it_is_still_a_page() -> None:
    nothing = Capacity(StepCurve([(1, 0.0), (2, 0.0)]), {}, Execution.STEPWISE, 2, 2)

    assert "stepwise" in capacity_page(nothing, is_execution_set=False, are_slots_set=False)


def test_document_when_written_as_json_then_it_has_all_figures() -> None:
    document = json.loads(json.dumps(capacity_document(a_capacity(Execution.WHOLE_LOOP))))

    assert document == {
        "steps": [{"rows": 1, "seconds": 0.31}, {"rows": 2, "seconds": 0.61}],
        "call_seconds": 0.01,
        "stage_seconds": {"canet": 0.01, "vae_decoder": 0.4},
        "low_step_ratio": 1.0,
        "max_low_batch": 2,
        "execution": "whole_loop",
        "max_batch": 2,
        "num_slots": 2,
        "is_shortest_first": False,
    }


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_command_when_run_on_a_simulated_backend_then_it_prints_what_a_worker_would_do(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    for name, value in {"BACKEND": "simulated", "SIMULATED__STEP_MS": "2", "WORKER__MAX_BATCH": "4"}.items():
        monkeypatch.setenv(f"XMDPT_{name}", value)

    command = [sys.executable, "-m", "service", "calibrate", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    if arguments:
        document = json.loads(run.stdout)
        assert (document["runtime"], document["model"]) == ("simulated", "tiny")
        assert [step["rows"] for step in document["steps"]] == [1, 2, 4]
        assert document["steps"][0]["seconds"] >= 0.002
    else:
        assert run.stdout.startswith("tiny on simulated, sha256:")
        assert "images/s of 50 steps" in run.stdout
