"""The shipped graphs on every runtime: a row does not depend on the rows beside it, and errors are in our words."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.model_repository import ModelRepository, open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.adapters.triton_backend import TritonBackend
from service.adapters.triton_channel import TritonEndpoint
from service.domain.errors import BackendError
from service.domain.execution import Execution
from service.engine.calibration import calibrate
from service.engine.warmup import stall_warning
from service.ports.backend import InferenceBackend
from xmdpt.sampler import initial_noise, sampling_plan, stack_plans

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
ROWS = 3
# float32 sums of another order; with the CPU's kernels the rows are even equal.
RELATIVE, GREY_LEVELS = 1e-5, 1
# Rows of different jobs: other step counts, solvers, guidance and places in the loop.
PLANS = [(sampling_plan(2, 1.0, "ddim"), 0), (sampling_plan(50, 10.0, "dpmpp_2m"), 20), (sampling_plan(5, 2.0), 4)]
# Rows that may share a whole loop: equal step counts.
LOOPS = stack_plans([sampling_plan(6, 1.0, "ddim"), sampling_plan(6, 10.0, "dpmpp_2m"), sampling_plan(6, 2.0, "ddim")])


Opened = Callable[[ModelRepository, Execution], InferenceBackend]


@pytest.fixture(scope="module", params=["onnx", "triton"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Opens a backend of each kind."""
    if request.param == "onnx":
        yield lambda repository, execution: OnnxBackend(repository, execution=execution)
        return
    url = request.getfixturevalue("triton_process").url
    backends: list[TritonBackend] = []

    def open_triton(repository: ModelRepository, execution: Execution) -> InferenceBackend:
        backends.append(TritonBackend(repository, TritonEndpoint(url, 30.0, 30.0), execution))
        return backends[-1]

    yield open_triton
    for backend in backends:
        backend.close()


@pytest.fixture(scope="module")
def backend(opened: Opened) -> InferenceBackend:
    return opened(open_model_repository(SHIPPED), Execution.STEPWISE)


@pytest.fixture(scope="module")
def loop_backend(opened: Opened) -> InferenceBackend:
    return opened(open_model_repository(SHIPPED), Execution.WHOLE_LOOP)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """[ROWS,256,256,3]: three pictures with nothing in common."""
    return np.random.default_rng(5).integers(0, 256, (ROWS, 256, 256, 3), np.uint8)


@pytest.fixture(scope="module")
def vectors(backend: InferenceBackend, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """What each row of the whole batch became, stage by stage."""
    source, pose = backend.encode_source(pixels), backend.encode_pose(pixels[::-1].copy())
    return {"source": source, "pose": pose, "condition": backend.condition(source, pose)}


@pytest.fixture(scope="module")
def step(vectors: dict[str, NDArray[np.float32]]) -> tuple[NDArray[np.float32], ...]:
    """The arguments of one denoising step whose rows belong to three different jobs."""
    noise = np.stack([initial_noise(seed) for seed in range(2 * ROWS)])
    return (
        noise[:ROWS],
        noise[ROWS:],
        vectors["condition"],
        np.array([[plan.timesteps[index]] for plan, index in PLANS], np.float32),
        np.array([[plan.guidance[index]] for plan, index in PLANS], np.float32),
        np.stack([plan.coefficients[index] for plan, index in PLANS]),
    )


@pytest.fixture(scope="module")
def loop(vectors: dict[str, NDArray[np.float32]]) -> tuple[NDArray[np.float32], ...]:
    """The arguments of whole loops of three different jobs."""
    noise = np.stack([initial_noise(seed) for seed in range(ROWS)])
    return noise, vectors["condition"], LOOPS.timesteps, LOOPS.guidance, LOOPS.coefficients


def row(arrays: tuple[NDArray, ...], index: int) -> list[NDArray]:
    return [array[index : index + 1] for array in arrays]


def assert_rows_equal(batch: NDArray[np.float32], alone: Callable[[int], NDArray[np.float32]]) -> None:
    """Each row of the batch is what it is alone, and no two rows are the same."""
    for index in range(ROWS):
        solo = alone(index)
        assert solo.shape == (1, *batch.shape[1:])
        assert np.abs(batch[index] - solo[0]).max() <= RELATIVE * np.abs(solo).max()
        assert np.abs(batch[index] - batch[index - 1]).max() > 100 * RELATIVE * np.abs(solo).max()


def test_encoders_when_rows_share_a_batch_then_each_is_as_alone(
    backend: InferenceBackend, pixels: NDArray[np.uint8], vectors: dict[str, NDArray[np.float32]]
) -> None:
    assert_rows_equal(vectors["source"], lambda index: backend.encode_source(pixels[index : index + 1]))
    reverse = pixels[::-1].copy()
    assert_rows_equal(vectors["pose"], lambda index: backend.encode_pose(reverse[index : index + 1]))


def test_condition_when_rows_share_a_batch_then_each_is_as_alone(
    backend: InferenceBackend, vectors: dict[str, NDArray[np.float32]]
) -> None:
    both = vectors["source"], vectors["pose"]
    assert_rows_equal(vectors["condition"], lambda index: backend.condition(*row(both, index)))


def test_denoise_step_when_rows_of_different_jobs_share_a_batch_then_each_is_as_alone(
    backend: InferenceBackend, step: tuple[NDArray[np.float32], ...]
) -> None:
    batch = backend.denoise_step(*step)

    for output in (0, 1):
        assert_rows_equal(batch[output], lambda index: backend.denoise_step(*row(step, index))[output])  # noqa: B023


def test_denoise_step_when_rows_change_places_then_so_do_their_results(
    backend: InferenceBackend, step: tuple[NDArray[np.float32], ...]
) -> None:
    forward = backend.denoise_step(*step)[0]
    backward = backend.denoise_step(*(array[::-1].copy() for array in step))[0]

    assert np.abs(forward - backward[::-1]).max() <= RELATIVE * np.abs(forward).max()


def test_sample_when_rows_of_different_jobs_share_a_loop_then_each_is_as_alone(
    loop_backend: InferenceBackend, loop: tuple[NDArray[np.float32], ...]
) -> None:
    assert_rows_equal(loop_backend.sample(*loop), lambda index: loop_backend.sample(*row(loop, index)))


def test_sample_when_compared_with_its_steps_one_by_one_then_the_same_latents(
    backend: InferenceBackend, loop_backend: InferenceBackend, loop: tuple[NDArray[np.float32], ...]
) -> None:
    latents, condition, timesteps, guidance, coefficients = loop
    denoised = np.zeros_like(latents)
    for step in range(timesteps.shape[1]):
        column = slice(step, step + 1)
        latents, denoised = backend.denoise_step(
            latents, denoised, condition, timesteps[:, column], guidance[:, column], coefficients[:, step]
        )

    assert np.abs(loop_backend.sample(*loop) - latents).max() <= RELATIVE * np.abs(latents).max()


def test_backend_when_its_execution_does_not_call_a_graph_then_it_is_not_loaded(
    backend: InferenceBackend,
    loop_backend: InferenceBackend,
    step: tuple[NDArray[np.float32], ...],
    loop: tuple[NDArray[np.float32], ...],
) -> None:
    with pytest.raises(BackendError, match="sampler"):
        backend.sample(*loop)
    with pytest.raises(BackendError, match="tdnet_step"):
        loop_backend.denoise_step(*step)


@pytest.mark.parametrize(
    ("graph", "call"),
    [
        ("source_encoder", lambda backend, pixels, step, loop: backend.encode_source(pixels)),
        ("canet", lambda backend, pixels, step, loop: backend.condition(step[2], step[2] ** 2)),
        ("tdnet_step", lambda backend, pixels, step, loop: np.stack(backend.denoise_step(*step), axis=1)),
        ("sampler", lambda backend, pixels, step, loop: backend.sample(*loop)),
    ],
)
@pytest.mark.parametrize("most_rows", [1, 2])
def test_graph_when_more_rows_come_than_it_takes_then_several_calls_answer_as_one(
    opened: Opened,
    graph: str,
    call: Callable[..., NDArray[np.float32]],
    most_rows: int,
    pixels: NDArray[np.uint8],
    step: tuple[NDArray[np.float32], ...],
    loop: tuple[NDArray[np.float32], ...],
) -> None:
    shipped = open_model_repository(SHIPPED)
    limited = replace(shipped, max_batch_sizes={**shipped.max_batch_sizes, graph: most_rows})
    backend = opened(limited, Execution.WHOLE_LOOP if graph == "sampler" else Execution.STEPWISE)

    answer = call(backend, pixels, step, loop)

    assert_rows_equal(
        answer,
        lambda index: call(backend, pixels[index : index + 1], row(step, index), row(loop, index)),
    )


def test_decode_when_rows_share_a_batch_then_each_picture_is_as_alone(
    backend: InferenceBackend, step: tuple[NDArray[np.float32], ...]
) -> None:
    latents = backend.denoise_step(*step)[1]

    pictures = backend.decode(latents).astype(int)

    assert pictures.shape == (ROWS, 256, 256, 3)
    for index in range(ROWS):
        alone = backend.decode(latents[index : index + 1])[0].astype(int)
        assert np.abs(pictures[index] - alone).max() <= GREY_LEVELS
        assert np.abs(pictures[index] - pictures[index - 1]).max() > 10 * GREY_LEVELS


def test_backend_when_opened_then_it_says_what_it_is_and_runs_warm(backend: InferenceBackend) -> None:
    repository = open_model_repository(SHIPPED)

    assert (backend.variant, backend.model_digest) == (repository.variant.name, repository.model_digest)
    assert re.fullmatch(r"(onnxruntime|triton)-\d+\.\d+\.\d+", backend.runtime)
    assert list(backend.profile_sizes) == []
    assert (backend.precision, backend.low_precision, backend.max_low_rows) == ("fp32", "int8", 1)


@pytest.mark.parametrize("execution", Execution)
def test_backend_when_calibrated_then_it_is_warm_for_the_execution_that_was_asked_for(
    opened: Opened, execution: Execution, loop: tuple[NDArray[np.float32], ...]
) -> None:
    backend = opened(open_model_repository(SHIPPED), execution)

    capacity = calibrate(backend, 2, execution, 2, budget_seconds=0.1)

    assert [rows for rows, _ in capacity.curve.points] == [1, 2]
    assert 0 < capacity.curve.call_seconds <= capacity.curve.seconds(1)
    assert capacity.execution is execution
    assert stall_warning(capacity, 1000) is None


def test_choose_when_the_other_execution_is_chosen_then_its_graph_takes_the_place_of_the_first(
    opened: Opened,
    loop_backend: InferenceBackend,
    backend: InferenceBackend,
    step: tuple[NDArray[np.float32], ...],
    loop: tuple[NDArray[np.float32], ...],
) -> None:
    changing = opened(open_model_repository(SHIPPED), Execution.STEPWISE)

    changing.choose(Execution.WHOLE_LOOP)

    latents = loop_backend.sample(*loop)
    assert np.abs(changing.sample(*loop) - latents).max() <= RELATIVE * np.abs(latents).max()
    with pytest.raises(BackendError, match="tdnet_step"):
        changing.denoise_step(*step)

    changing.choose(Execution.STEPWISE)

    latents = backend.denoise_step(*step)[0]
    assert np.abs(changing.denoise_step(*step)[0] - latents).max() <= RELATIVE * np.abs(latents).max()
    with pytest.raises(BackendError, match="sampler"):
        changing.sample(*loop)


@pytest.mark.parametrize(
    ("graph", "call"),
    [
        ("source_encoder", lambda backend: backend.encode_source(np.zeros((1, 128, 256, 3), np.uint8))),
        ("pose_encoder", lambda backend: backend.encode_pose(np.zeros((1, 256, 256, 3), np.float32))),
        ("canet", lambda backend: backend.condition(np.zeros((2, 64), np.float32), np.zeros((2, 64), np.float32))),
        ("canet", lambda backend: backend.condition(np.zeros((2, 256), np.float32), np.zeros((3, 256), np.float32))),
        ("canet", lambda backend: backend.condition(np.zeros((0, 256), np.float32), np.zeros((0, 256), np.float32))),
        ("tdnet_step", lambda backend: backend.denoise_step(*[np.zeros((1, 1), np.float32)] * 6)),
        ("vae_decoder", lambda backend: backend.decode(np.zeros((1, 4, 32), np.float32))),
        ("vae_decoder", lambda backend: backend.decode([None])),
    ],
)
def test_graph_when_it_can_not_run_then_a_backend_error_names_it_without_the_librarys_text(
    backend: InferenceBackend, graph: str, call: Callable[[InferenceBackend], object]
) -> None:
    with pytest.raises(BackendError) as error:
        call(backend)

    assert (error.value.code, error.value.is_retryable) == ("backend_error", False)
    assert error.value.detail.startswith(f"{graph}: ")
    # The detail ends up in the job object, and the library's text may hold paths.
    assert not any(sign in error.value.detail for sign in ("ONNXRuntime", "/onnxruntime", "INVALID", ".h:", "input"))
    assert error.value.__cause__ is not None
    assert len(backend.encode_source(np.zeros((1, 256, 256, 3), np.uint8))) == 1, "the backend goes on"
