"""Resident steps of ONNX Runtime on the CPU: rows, real steps on them, and what captured graphs would do."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

from service.adapters.device_rows import DeviceRows
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.domain.errors import BackendError
from service.domain.execution import Execution
from service.domain.stage import Stage
from service.engine.calibration import calibrate
from service.engine.executor import Executor
from service.engine.warmup import stage_calls
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import F32, ResidentSteps
from service.scheduling.actions import Row, RunBatch
from tests.contract.test_onnx_backend import SHIPPED
from xmdpt.graph_session import GraphSession
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import VARIANTS

WIDTH = VARIANTS["demo"].width
NUM_STEPS = 3


class CapturingSession:
    """A session that treats graph ids as CUDA does: each later run of an id is its first again, on the same arrays."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self.captured: dict[str, onnxruntime.IOBinding] = {}

    def io_binding(self) -> onnxruntime.IOBinding:
        return self._session.io_binding()

    def get_inputs(self) -> Sequence[onnxruntime.NodeArg]:
        return self._session.get_inputs()

    def get_outputs(self) -> Sequence[onnxruntime.NodeArg]:
        return self._session.get_outputs()

    def run_with_iobinding(self, binding: onnxruntime.IOBinding, options: onnxruntime.RunOptions) -> None:
        captured = self.captured.setdefault(options.get_run_config_entry("gpu_graph_id"), binding)
        self._session.run_with_iobinding(captured, options)


class CapturingBackend(OnnxBackend):
    """Its steps are captured."""

    kind_of_session = CapturingSession

    def _open_session(self, name: str) -> GraphSession:
        graph = super()._open_session(name)
        if name == "tdnet_step":
            self.step_session = self.kind_of_session(graph.session)
            graph.session = self.step_session  # pyright: ignore[reportAttributeAccessIssue]
        return graph


class CopyingBinding(onnxruntime.IOBinding):
    """Binds a copy of what one input holds then, as ONNX Runtime does of a value that lies on another device."""

    def __init__(self, session: onnxruntime.InferenceSession, copied: str) -> None:
        super().__init__(session)
        self._copied = copied

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: type, shape: tuple[int, ...], buffer_ptr: int
    ) -> None:
        if name == self._copied:
            held = (ctypes.c_float * int(np.prod(shape))).from_address(buffer_ptr)
            self.bind_cpu_input(name, np.array(held, np.float32).reshape(shape))
        else:
            super().bind_input(name, device_type, device_id, element_type, shape, buffer_ptr)


class CopyingSession(CapturingSession):
    """Its bindings do so."""

    copied = ""

    def io_binding(self) -> onnxruntime.IOBinding:
        return CopyingBinding(self._session, self.copied)


class StaleSession(CapturingSession):
    """A later run of an id gives what its first gave."""

    def run_with_iobinding(self, binding: onnxruntime.IOBinding, options: onnxruntime.RunOptions) -> None:
        if options.get_run_config_entry("gpu_graph_id") not in self.captured:
            super().run_with_iobinding(binding, options)


def a_backend(*sizes: int, kind: type[OnnxBackend] = OnnxBackend) -> OnnxBackend:
    return kind(open_model_repository(SHIPPED), 1, Execution.STEPWISE, "cpu", resident_sizes=sizes)


def steps_of(backend: OnnxBackend) -> ResidentSteps:
    assert backend.resident_steps is not None
    return backend.resident_steps


def numbers_of(num_rows: int) -> F32:
    row = np.concatenate([[500.0, 2.0], sampling_plan(NUM_STEPS, 2.0).coefficients[0]]).astype(np.float32)
    return np.tile(row, (num_rows, 1))


def latents_after_two_steps(backend: OnnxBackend, *, with_trials: bool = False) -> F32:
    steps = steps_of(backend)
    steps.put(0, initial_noise(0), np.zeros_like(initial_noise(0)), np.ones(WIDTH, np.float32))
    for _ in range(2):
        steps.step(numbers_of(1))
        if with_trials:
            for num_rows in (1, 2):
                stage_calls(backend, num_rows, Execution.STEPWISE)[Stage.DENOISE]()
    return steps.latents(0)


def test_rows_when_written_moved_and_read_then_only_they_change() -> None:
    rows = DeviceRows(4, (2, 3), "cpu")
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)

    rows.write(2, numbers)
    rows.move(2, 0)
    kept = rows.read(2)
    rows.write(2, numbers + 1)

    assert (rows.part(0, 4).numpy() == np.stack([numbers, 0 * numbers, numbers + 1, 0 * numbers])).all()
    assert (kept == numbers).all(), "what was read is a copy"
    assert rows.view(3, (1, 3)).numpy().tolist() == [[3, 4, 5]]


def test_rows_when_the_array_is_gone_then_its_parts_still_hold_it() -> None:
    part = DeviceRows(2, (1024, 1024), "cpu").part(1, 1)

    part.update_inplace(np.ones((1, 1024, 1024), np.float32))

    assert part.numpy().min() == 1


def test_backend_when_steps_are_tried_between_real_ones_then_these_go_on_as_if_nothing_had_been() -> None:
    backend = a_backend(1, 2)

    wanted = latents_after_two_steps(backend)
    assert np.abs(wanted).max() > 0
    assert (latents_after_two_steps(backend, with_trials=True) == wanted).all()


def test_backend_when_whole_loops_are_chosen_then_no_step_is_resident_until_steps_are_again() -> None:
    backend = a_backend(1)

    backend.choose(Execution.WHOLE_LOOP)
    assert backend.resident_steps is None
    backend.choose(Execution.STEPWISE)
    assert backend.resident_steps is not None


def test_backend_when_steps_are_chosen_anew_then_what_was_captured_still_works_on_the_rows() -> None:
    backend = a_backend(1, kind=CapturingBackend)
    steps, wanted = steps_of(backend), latents_after_two_steps(backend)

    backend.choose(Execution.STEPWISE)
    assert backend.resident_steps is steps
    assert (latents_after_two_steps(backend) == wanted).all()
    backend.choose(Execution.WHOLE_LOOP)
    backend.choose(Execution.STEPWISE)
    assert (latents_after_two_steps(backend) == wanted).all()


def test_worker_when_it_has_started_then_no_step_of_a_job_is_the_first_of_its_kind() -> None:
    backend = a_backend(1, 2, kind=CapturingBackend)
    assert isinstance(backend, CapturingBackend)
    # More rows are for the measured times to choose.
    calibrate(backend, 1, Execution.STEPWISE, 1, budget_seconds=0.1)
    captured = set(backend.step_session.captured)

    for _ in range(2):
        steps_of(backend).step(numbers_of(1))

    assert len(captured) == 2
    assert set(backend.step_session.captured) == captured


@pytest.mark.parametrize("copied", ["latents", "previous_denoised", "coefficients"])
def test_capture_when_an_input_was_bound_as_a_copy_then_the_start_fails(
    copied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CopyingSession, "copied", copied)
    monkeypatch.setattr(CapturingBackend, "kind_of_session", CopyingSession)
    backend = a_backend(1, 2, kind=CapturingBackend)

    with pytest.raises(BackendError, match="step of 2 rows reads or writes other memory"):
        steps_of(backend).capture(2)


def test_capture_when_later_runs_change_nothing_then_the_start_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CapturingBackend, "kind_of_session", StaleSession)
    backend = a_backend(1, kind=CapturingBackend)

    with pytest.raises(BackendError, match="step of 1 rows reads or writes other memory"):
        steps_of(backend).capture(1)


def test_inputs_when_bound_then_each_begins_at_a_multiple_of_64_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: list[int] = []
    bind = onnxruntime.IOBinding.bind_input

    def noted_bind(binding: onnxruntime.IOBinding, *where: Any) -> None:
        addresses.append(where[-1])
        bind(binding, *where)

    monkeypatch.setattr(onnxruntime.IOBinding, "bind_input", noted_bind)
    a_backend(1, 2, 3)

    assert len(addresses) == 3 * 2 * 6
    assert [address for address in addresses if address % 64] == []


def test_steps_when_jobs_leave_and_rows_move_then_latents_are_those_of_each_job_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend, moves = a_backend(1, 2, 4), []
    steps = steps_of(backend)
    move = steps.move

    def noted_move(row: int, to_row: int) -> None:
        moves.append((row, to_row))
        move(row, to_row)

    monkeypatch.setattr(steps, "move", noted_move)
    conditions = np.random.default_rng(0).normal(size=(4, WIDTH)).astype(np.float32)

    def latents_of(batches: Sequence[tuple[Sequence[int], int]], looked_at: Sequence[int]) -> list[F32]:
        """After these steps of so many jobs, who are there until their last one."""
        working_set = WorkingSet(4, WIDTH)
        executor = Executor(backend, working_set)
        for job in {job for jobs, _ in batches for job in jobs}:
            slot = working_set.add(str(job), PreparedJob({}, initial_noise(job)[None], sampling_plan(NUM_STEPS, 2.0)))
            working_set.condition[slot] = conditions[job]
        for number, (jobs, index) in enumerate(batches):
            executor.run(RunBatch(number, Stage.DENOISE, tuple(Row(str(job), index) for job in jobs)))
        executor.run(RunBatch(len(batches), Stage.DECODE, tuple(Row(str(job)) for job in looked_at)))
        return [working_set.latents[working_set.slot(str(job))].copy() for job in looked_at]

    shared = latents_of([([0, 1, 2, 3], 0), ([2, 3], 1), ([3], 2), ([2], 2)], [2, 3])

    assert {(2, 0), (3, 1)} <= set(moves)
    for job, latents in zip([2, 3], shared, strict=True):
        (alone,) = latents_of([([job], index) for index in range(NUM_STEPS)], [job])
        # Products of one row and of four are summed in another order.
        assert latents == pytest.approx(alone, abs=1e-4)
