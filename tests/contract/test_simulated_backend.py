"""The backend without networks: a row is the same in any batch, and its picture proves what made it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.simulated_backend import SimulatedBackend, SimulatedTimes, expected_picture
from service.domain.errors import BackendError
from service.domain.request import MAX_GUIDANCE, MAX_STEPS, Sampler, SamplingParams
from service.domain.stage import Stage
from service.engine.executor import Executor
from service.engine.working_set import PreparedJob, WorkingSet
from service.scheduling.actions import Row, RunBatch
from xmdpt.sampler import initial_noise, sampling_plan, stack_plans
from xmdpt.spec import VARIANTS

NO_TIME = SimulatedTimes()
ROWS = 5
NUM_STEPS = 6


@pytest.fixture
def backend() -> SimulatedBackend:
    return SimulatedBackend("tiny", NO_TIME)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (ROWS, 256, 256, 3), np.uint8)


def some_params(number: int) -> SamplingParams:
    """No two are equal in anything."""
    return SamplingParams(number, 2 + number, 1.0 + number, list(Sampler)[number % 2])


def a_prepared_job(pixels: NDArray[np.uint8], number: int, variant: str = "tiny") -> PreparedJob:
    params, prediction = some_params(number), VARIANTS[variant].prediction
    plan = sampling_plan(params.num_steps, params.guidance, params.sampler.value, prediction)
    pictures = {Stage.ENCODE_SOURCE: pixels[number], Stage.ENCODE_POSE: pixels[number - 1]}
    return PreparedJob(pictures, initial_noise(params.seed)[None], plan)


def a_loop() -> tuple[NDArray[np.float32], ...]:
    """The arguments of whole loops of different jobs, the last of which has fewer steps."""
    noise = np.stack([initial_noise(seed) for seed in range(ROWS)])
    condition = np.random.default_rng(6).random((ROWS, VARIANTS["tiny"].width), np.float32)
    plans = [sampling_plan(NUM_STEPS, 1.0 + row, list(Sampler)[row % 2].value) for row in range(ROWS - 1)]
    plan = stack_plans([*plans, sampling_plan(2, 3.0)])
    return noise, condition, plan.timesteps, plan.guidance, plan.coefficients


def step_by_step(backend: SimulatedBackend, loop: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    latents, condition, timesteps, guidance, coefficients = loop
    denoised = np.zeros_like(latents)
    for step in range(timesteps.shape[1]):
        columns = timesteps[:, step : step + 1], guidance[:, step : step + 1], coefficients[:, step]
        latents, denoised = backend.denoise_step(latents, denoised, condition, *columns)
    return latents


def test_stages_when_rows_share_a_batch_then_each_is_bit_for_bit_as_alone(
    backend: SimulatedBackend, pixels: NDArray[np.uint8]
) -> None:
    source, pose = backend.encode_source(pixels), backend.encode_pose(pixels)
    condition = backend.condition(source, pose)
    loop = a_loop()
    latents = backend.sample(*loop)
    pictures = backend.decode(latents)

    for row in range(ROWS):
        own = slice(row, row + 1)
        assert (source[own] == backend.encode_source(pixels[own])).all()
        assert (pose[own] == backend.encode_pose(pixels[own])).all()
        assert (condition[own] == backend.condition(source[own], pose[own])).all()
        assert (latents[own] == backend.sample(*(array[own] for array in loop))).all()
        assert (pictures[own] == backend.decode(latents[own])).all()


def test_sample_when_compared_with_its_steps_one_by_one_then_the_very_same_latents(backend: SimulatedBackend) -> None:
    loop = a_loop()

    assert (backend.sample(*loop) == step_by_step(backend, loop)).all()


def test_latents_when_steps_are_many_and_guidance_strong_then_finite() -> None:
    for variant, sampler in product(VARIANTS, Sampler):
        backend = SimulatedBackend(variant, NO_TIME)
        plan = stack_plans([sampling_plan(MAX_STEPS, MAX_GUIDANCE, sampler.value, VARIANTS[variant].prediction)])
        condition = np.full((1, VARIANTS[variant].width), -0.5, np.float32)

        latents = backend.sample(initial_noise(0)[None], condition, plan.timesteps, plan.guidance, plan.coefficients)

        assert np.isfinite(latents).all()


@pytest.mark.parametrize("variant", ["tiny", "demo"])
@pytest.mark.parametrize("profile_sizes", [(), (1, 2, 8)])
@pytest.mark.parametrize("stage", [Stage.DENOISE, Stage.SAMPLE])
def test_picture_when_an_executor_makes_it_in_mixed_batches_then_it_is_the_expected_one(
    pixels: NDArray[np.uint8], stage: Stage, profile_sizes: tuple[int, ...], variant: str
) -> None:
    backend, working_set = SimulatedBackend(variant, NO_TIME, profile_sizes), WorkingSet(ROWS, VARIANTS[variant].width)
    executor = Executor(backend, working_set)
    for number in range(ROWS):
        working_set.add(str(number), a_prepared_job(pixels, number, variant))
    everybody = tuple(Row(str(number)) for number in (3, 0, 4, 1, 2))

    def run(stage: Stage, rows: Sequence[Row]) -> None:
        executor.run(RunBatch(0, stage, tuple(rows)))

    for encoding in (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION):
        run(encoding, everybody)
    if stage is Stage.SAMPLE:
        run(stage, everybody)
    else:
        # Each starts one step after the one before it, and leaves when its own steps are done.
        for turn in range(2 * ROWS):
            at = [(row.job_id, turn - int(row.job_id)) for row in everybody]
            run(stage, [Row(key, step) for key, step in at if 0 <= step < some_params(int(key)).num_steps])
    run(Stage.DECODE, everybody)

    for number in range(ROWS):
        wanted = expected_picture(pixels[number], pixels[number - 1], some_params(number), variant)
        assert (working_set.pictures[str(number)] == wanted).all()


def test_picture_when_any_of_what_made_it_changes_then_so_does_it(pixels: NDArray[np.uint8]) -> None:
    params = SamplingParams(seed=7, num_steps=20)
    one_level_more = pixels[0] ^ np.eye(256, dtype=np.uint8)[:, :, None]
    made_of = [
        (pixels[0], pixels[1], params),
        (pixels[1], pixels[0], params),
        (one_level_more, pixels[1], params),
        (pixels[1], one_level_more, params),
        (pixels[0], pixels[1], replace(params, seed=8)),
        (pixels[0], pixels[1], replace(params, num_steps=21)),
        (pixels[0], pixels[1], replace(params, guidance=2.001)),
        (pixels[0], pixels[1], replace(params, sampler=Sampler.DPMPP_2M)),
    ]

    pictures = [expected_picture(*parts) for parts in made_of]

    assert len({picture.tobytes() for picture in pictures}) == len(made_of)


def test_picture_when_one_step_is_left_out_or_repeated_then_it_is_another(backend: SimulatedBackend) -> None:
    latents, condition, *plan = (array[:1] for array in a_loop())
    right = backend.sample(latents, condition, *plan)

    for steps in ([0, 1, 2, 4, 5], [0, 1, 2, 3, 3, 4, 5], [0, 2, 1, 3, 4, 5]):
        wrong = backend.sample(latents, condition, *(columns[:, steps] for columns in plan))
        assert (backend.decode(wrong) != backend.decode(right)).any()


def test_decode_when_a_single_bit_of_what_it_reads_changes_then_so_does_the_picture(backend: SimulatedBackend) -> None:
    latents = initial_noise(1)[None]
    picture = backend.decode(latents)

    for channel, bit in product(range(4), range(32)):
        changed = latents.copy()
        changed.view(np.uint32)[0, channel, 8, 28] ^= np.uint32(1 << bit)
        assert (backend.decode(changed) != picture).any()


def test_call_when_its_rows_are_no_profiles_size_then_it_is_refused(pixels: NDArray[np.uint8]) -> None:
    backend = SimulatedBackend("tiny", NO_TIME, (1, 2, 4))

    assert len(backend.encode_source(pixels[:4])) == 4
    with pytest.raises(BackendError, match="source_encoder: 3 rows"):
        backend.encode_source(pixels[:3])


def test_calls_when_times_are_set_then_they_last_at_least_so_long(pixels: NDArray[np.uint8]) -> None:
    times = SimulatedTimes(
        step_seconds=0.02, row_seconds=0.005, encoder_seconds=0.03, decoder_seconds=0.04, call_seconds=0.01
    )
    backend = SimulatedBackend("tiny", times)
    loop = a_loop()
    latents, condition, timesteps, guidance, coefficients = loop
    step = latents, latents, condition, timesteps[:, :1], guidance[:, :1], coefficients[:, 0]

    for call, seconds in (
        (lambda: backend.encode_source(pixels), 0.01 + 0.03),
        (lambda: backend.encode_pose(pixels), 0.01 + 0.03),
        (lambda: backend.condition(condition, condition), 0.01),
        (lambda: backend.denoise_step(*step), 0.01 + 0.02 + ROWS * 0.005),
        (lambda: backend.sample(*loop), 0.01 + NUM_STEPS * (0.02 + ROWS * 0.005)),
        (lambda: backend.decode(latents), 0.01 + 0.04),
        (lambda: backend.decode_low(latents), 0.01 + 0.04 / 2),
    ):
        started = time.monotonic()
        call()
        assert time.monotonic() - started >= seconds


def test_backend_when_opened_then_it_says_that_it_is_none() -> None:
    tiny, demo = (SimulatedBackend(variant, NO_TIME) for variant in ("tiny", "demo"))

    assert (tiny.runtime, tiny.variant) == ("simulated", "tiny")
    assert tiny.model_digest.startswith("sha256:")
    assert tiny.model_digest == SimulatedBackend("tiny", NO_TIME).model_digest != demo.model_digest
