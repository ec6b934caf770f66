"""Latents that stay on a device: steps that fail, and pictures that come, go and come back."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.domain.errors import BackendError, ResourceExhaustedError
from service.domain.stage import Stage
from service.engine.executor import Executor
from service.engine.working_set import PreparedJob, WorkingSet
from service.ports.backend import F32
from service.scheduling.actions import Row, RunBatch
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

    def capture(self, num_rows: int) -> None:
        """There is nothing to prepare."""

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


def test_decode_when_latents_left_the_device_and_are_not_finite_then_it_fails_too() -> None:
    steps = Recording()
    executor, working_set = an_executor(steps)
    step(executor, [0, 1], 0)
    steps.rows[0][0][0, 0, 0] = np.nan
    step(executor, [1], 1)

    with pytest.raises(BackendError, match="not finite"):
        executor.run(RunBatch(0, Stage.DECODE, (Row("0"),)))

    assert working_set.pictures == {}
