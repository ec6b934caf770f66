"""A preview is near enough to the picture that it announces, with the shipped decoder."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.domain.errors import BackendError
from service.engine.preview import PreviewProjection, fit_preview
from tests.fakes.fake_backend import FakeBackend
from xmdpt.preprocess import to_photo
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.skeleton import draw_skeleton, to_frame
from xmdpt.spec import VARIANTS

ROOT = Path(__file__).resolve().parents[2]
NUM_STEPS = 6


@pytest.fixture(scope="module")
def backend() -> OnnxBackend:
    return OnnxBackend(open_model_repository(ROOT / "model_repository"))


@pytest.fixture(scope="module")
def denoised(backend: OnnxBackend) -> list[NDArray[np.float32]]:
    """[4,32,32] after each step of the example; the last one is what the picture is decoded from."""
    with Image.open(ROOT / "examples/person.png") as file:
        photo = np.asarray(to_photo(file))[None]
    pose = json.loads((ROOT / "examples/pose.json").read_text())
    skeleton = draw_skeleton(to_frame(np.array(pose["keypoints"], np.float64), tuple(pose["size"]), (0, 0)))[None]
    condition = backend.condition(backend.encode_source(photo), backend.encode_pose(skeleton))
    plan = sampling_plan(NUM_STEPS, 2.0, prediction=VARIANTS[backend.variant].prediction)
    latents, expected = initial_noise(3)[None], []
    previous = np.zeros_like(latents)
    for step in range(NUM_STEPS):
        columns = plan.timesteps[None, [step]], plan.guidance[None, [step]], plan.coefficients[[step]]
        latents, previous = backend.denoise_step(latents, previous, condition, *columns)
        expected.append(previous[0])
    return expected


def pixels(file: bytes) -> NDArray[np.float64]:
    with Image.open(io.BytesIO(file)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (128, 128))
        return np.asarray(image, np.float64)


def correlation(one: NDArray, other: NDArray) -> float:
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def test_preview_when_compared_with_the_picture_then_it_shows_the_same(
    backend: OnnxBackend, denoised: list[NDArray[np.float32]]
) -> None:
    projection = fit_preview(backend)
    picture = Image.fromarray(backend.decode(denoised[-1][None])[0])
    wanted = np.asarray(picture.resize((128, 128), Image.Resampling.BOX), np.float64)

    previews = [pixels(projection.picture(latents)) for latents in denoised]

    assert correlation(previews[-1], wanted) > 0.9
    for channel in range(3):
        assert correlation(previews[-1][..., channel], wanted[..., channel]) > 0.85
    # Who is to come can be seen from the very first step.
    assert correlation(previews[0], wanted) > 0.6
    assert np.abs(previews[-1] - wanted).mean() < 20


def test_preview_when_fitted_twice_then_the_same(backend: OnnxBackend) -> None:
    assert (fit_preview(backend).weights == fit_preview(backend).weights).all()


def test_preview_when_latents_are_far_out_then_its_levels_end_at_black_and_white() -> None:
    weights = np.zeros((5, 3), np.float32)
    weights[0] = 1000

    levels = pixels(PreviewProjection(weights).picture(initial_noise(0) * 10))

    assert (levels.min(), levels.max()) == (0, 255)


def test_preview_when_the_decoder_can_not_run_then_it_says_so() -> None:
    def fail(rows: int, index: int) -> str | None:
        raise BackendError("backend_error", "vae_decoder: broken")

    with pytest.raises(BackendError, match="broken"):
        fit_preview(FakeBackend({"vae_decoder": fail}))
