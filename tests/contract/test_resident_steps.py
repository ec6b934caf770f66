"""Latents that stay on a device: rows by themselves, steps that fail, and pictures that come, go and come back."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.adapters.device_rows import DeviceRows
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend, usable_device
from service.domain.errors import BackendError, ConfigurationError, ResourceExhaustedError
from service.domain.execution import Execution
from service.domain.stage import Stage
from service.engine.executor import Executor
from service.engine.warmup import stage_calls
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import F32
from service.scheduling.actions import Row, RunBatch
from tests.contract.test_onnx_backend import SHIPPED
from xmdpt.graph_session import GraphSession
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import VARIANTS

WIDTH = VARIANTS["demo"].width
NUM_STEPS = 3


class Recording:
    """ResidentSteps without a network: a step adds the row's timestep, and may fail."""

    def __init__(self, max_rows: int = 4) -> None:
        self.max_rows = max_rows
        self.rows: dict[int, tuple[F32, F32]] = {}
        self.puts: list[int] = []
        self.moves: list[tuple[int, int]] = []
        self.fault: Exception | None = None

    def put(self, row: int, latents: F32, previous_denoised: F32, condition: F32) -> None:
        self.puts.append(row)
        self.rows[row] = latents.copy(), previous_denoised.copy()

    def move(self, row: int, to_row: int) -> None:
        self.moves.append((row, to_row))
        self.rows[to_row] = self.rows[row]

    def latents(self, row: int) -> F32:
        return self.rows[row][0]

    def denoised(self, row: int) -> F32:
        return self.rows[row][1]

    def step(self, numbers: F32) -> None:
        if self.fault:
            raise self.fault
        self.rows = {
            row: (self.rows[row][0] + numbers[row, 0], self.rows[row][1] + 1)
            for row in range(len(numbers))
            if row in self.rows
        }

    def try_step(self, num_rows: int) -> None:
        """Nothing changes."""


class Device:
    """As much of a backend as an executor needs for steps."""

    profile_sizes = (1, 2, 4)

    def __init__(self, steps: Recording) -> None:
        self.resident_steps = steps

    def decode(self, latents: F32) -> np.ndarray:
        return np.zeros((len(latents), 256, 256, 3), np.uint8)


def an_executor(steps: Recording, num_jobs: int = 4) -> tuple[Executor, WorkingSet]:
    working_set = WorkingSet(num_jobs, WIDTH)
    for number in range(num_jobs):
        working_set.add(str(number), a_job(number))
    return Executor(Device(steps), working_set), working_set  # pyright: ignore[reportArgumentType]


def a_job(seed: int) -> PreparedJob:
    return PreparedJob({}, initial_noise(seed)[None], sampling_plan(NUM_STEPS, 2.0))


def step(executor: Executor, keys: Sequence[int], index: int) -> None:
    executor.run(RunBatch(0, Stage.DENOISE, tuple(Row(str(key), index) for key in keys)))


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


def test_steps_when_the_batch_stays_the_same_then_nothing_is_written_to_the_device() -> None:
    steps = Recording()
    executor, _ = an_executor(steps)

    for index in range(NUM_STEPS):
        step(executor, [0, 1, 2], index)

    assert sorted(steps.puts) == [0, 1, 2]
    assert steps.moves == []


def test_steps_when_one_leaves_and_one_joins_then_one_row_is_written() -> None:
    steps = Recording()
    executor, working_set = an_executor(steps)
    step(executor, [0, 1, 2], 0)
    working_set.remove("1")

    step(executor, [0, 2, 3], 0)

    assert len(steps.puts) == 4
    assert steps.puts[3] in steps.puts[:3]


def test_steps_when_fewer_rows_are_left_then_the_profile_shrinks_and_each_keeps_its_own() -> None:
    steps = Recording()
    executor, working_set = an_executor(steps)
    timesteps = sampling_plan(NUM_STEPS, 2.0).timesteps
    step(executor, [0, 1, 2, 3], 0)

    step(executor, [2], 1)
    step(executor, [0, 3], 1)
    step(executor, [2], 2)
    executor.run(RunBatch(0, Stage.DECODE, (Row("0"), Row("2"))))

    assert working_set.latents[2] == pytest.approx(initial_noise(2) + timesteps.sum(), abs=1e-3)
    assert working_set.latents[0] == pytest.approx(initial_noise(0) + timesteps[:2].sum(), abs=1e-3)
    assert executor.denoised("2").max() == 3
    assert executor.denoised("0").max() == 2


def test_steps_when_a_job_of_the_same_key_comes_again_then_it_begins_anew() -> None:
    steps = Recording()
    executor, working_set = an_executor(steps, num_jobs=1)
    step(executor, [0], 0)
    working_set.remove("0")
    working_set.add("0", a_job(7))

    step(executor, [0], 0)

    assert steps.latents(0) == pytest.approx(initial_noise(7) + sampling_plan(NUM_STEPS, 2.0).timesteps[0], abs=1e-3)


def test_step_when_the_device_fails_then_it_can_be_taken_again() -> None:
    steps = Recording()
    executor, _ = an_executor(steps)
    step(executor, [0, 1], 0)
    steps.fault = ResourceExhaustedError("tdnet_step: not enough memory for this batch")
    with pytest.raises(ResourceExhaustedError):
        step(executor, [0, 1], 1)
    steps.fault = None

    step(executor, [0, 1], 1)

    assert executor.denoised("1").max() == 2


def test_decode_when_latents_are_not_finite_then_it_fails_and_nobody_gets_a_picture() -> None:
    steps = Recording()
    executor, working_set = an_executor(steps)
    step(executor, [0, 1], 0)
    steps.rows[1][0][0, 0, 0] = np.nan

    with pytest.raises(BackendError, match="not finite"):
        executor.run(RunBatch(0, Stage.DECODE, (Row("0"), Row("1"))))

    assert working_set.pictures == {}


def test_backend_when_steps_are_tried_between_real_ones_then_these_go_on_as_if_nothing_had_been() -> None:
    backend = OnnxBackend(open_model_repository(SHIPPED), 1, Execution.STEPWISE, "cpu", resident_sizes=(1, 2))
    steps = backend.resident_steps
    assert steps is not None
    numbers = np.concatenate([[500.0, 2.0], sampling_plan(NUM_STEPS, 2.0).coefficients[0]]).astype(np.float32)[None]

    def latents_after_two_steps(*, with_trials: bool) -> F32:
        steps.put(0, initial_noise(0), np.zeros_like(initial_noise(0)), np.ones(WIDTH, np.float32))
        for _ in range(2):
            steps.step(numbers)
            if with_trials:
                for num_rows in (1, 2):
                    stage_calls(backend, num_rows, Execution.STEPWISE)[Stage.DENOISE]()
        return steps.latents(0)

    wanted = latents_after_two_steps(with_trials=False)
    assert np.abs(wanted).max() > 0
    assert (latents_after_two_steps(with_trials=True) == wanted).all()


def test_backend_when_whole_loops_are_chosen_then_no_step_is_resident_until_steps_are_again() -> None:
    backend = OnnxBackend(open_model_repository(SHIPPED), 1, Execution.STEPWISE, "cpu", resident_sizes=(1,))

    backend.choose(Execution.WHOLE_LOOP)
    assert backend.resident_steps is None
    backend.choose(Execution.STEPWISE)
    assert backend.resident_steps is not None


def test_provider_when_cuda_is_asked_for_and_is_not_there_then_refused_with_a_reason() -> None:
    with pytest.raises(ConfigurationError, match=r"XMDPT_WORKER__PROVIDER=cuda: .* without CUDA"):
        usable_device("cuda")


def test_provider_when_auto_and_there_is_no_cuda_then_the_cpu() -> None:
    assert usable_device("auto") == usable_device("cpu") == "cpu"


def test_graph_when_it_must_run_on_cuda_and_would_not_then_it_does_not_run_elsewhere() -> None:
    repository = open_model_repository(SHIPPED)

    with pytest.raises(RuntimeError, match="without CUDA"):
        GraphSession(repository.graphs["canet"], repository.weights_folders["canet"], 1, device="cuda")
