"""The reference loop in torch and the rows of numbers lead along the same way, with a real network between."""

import numpy as np
import pytest
import torch
from torch import Tensor

from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.reference import as_noise, ddim_steps, dpmpp_2m_steps, guided, reference_picture
from xmdpt.nn.tdnet import TDNet
from xmdpt.nn.untrained import fill_untrained
from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.spec import VARIANTS

NUM_STEPS, SCALE = 10, 2.0
STEPS = {"ddim": ddim_steps, "dpmpp_2m": dpmpp_2m_steps}
# Float32 against float64 coefficients: each step differs by about 1e-6.
MAX_RELATIVE_ERROR = 1e-4


@pytest.fixture(scope="module")
def tiny() -> Pipeline:
    pipeline = build_pipeline(VARIANTS["tiny"])
    fill_untrained(pipeline)
    return pipeline


@pytest.fixture(scope="module")
def tdnet(tiny: Pipeline) -> TDNet:
    return tiny.xmdpt.tdnet


@pytest.fixture(scope="module")
def condition() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((2, 64), np.float32))


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.from_numpy(np.stack([initial_noise(0), initial_noise(42)]))


def by_rows(sampler: str, tdnet: TDNet, condition: Tensor, latents: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What a server computes: both rows in one call, float32 numbers from the plan."""
    plan, previous, trace = sampling_plan(NUM_STEPS, SCALE, sampler), torch.zeros_like(latents), []
    for timestep, weight, row in zip(plan.timesteps, plan.guidance, plan.coefficients, strict=True):
        a, b, c, p, q = (float(number) for number in row)
        both = tdnet(
            torch.cat([latents, latents]),
            torch.full((2 * len(latents),), float(timestep)),
            torch.cat([condition, torch.zeros_like(condition)]),
        )[:, :4]
        conditional, unconditional = both.chunk(2)
        denoised = p * latents + q * (unconditional + float(weight) * (conditional - unconditional))
        latents = a * latents + b * denoised + c * previous
        previous = denoised
        trace.append((latents, denoised))
    return trace


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("sampler", STEPS)
def test_rows_when_run_through_the_network_then_each_step_is_the_references(
    sampler: str, tdnet: TDNet, condition: Tensor, noise: Tensor
) -> None:
    predict = guided(tdnet, condition, SCALE)

    reference = list(STEPS[sampler](predict, noise, kept_timesteps(NUM_STEPS).tolist()))

    found = by_rows(sampler, tdnet, condition, noise)
    assert len(reference) == len(found) == NUM_STEPS
    for (latents, denoised), (latents_wanted, denoised_wanted) in zip(found, reference, strict=True):
        assert relative(latents, latents_wanted) <= MAX_RELATIVE_ERROR
        assert relative(denoised, denoised_wanted) <= MAX_RELATIVE_ERROR


def test_rows_when_of_the_other_sampler_then_far_from_the_reference(
    tdnet: TDNet, condition: Tensor, noise: Tensor
) -> None:
    *_, (wanted, _) = ddim_steps(guided(tdnet, condition, SCALE), noise, kept_timesteps(NUM_STEPS).tolist())
    assert relative(by_rows("dpmpp_2m", tdnet, condition, noise)[-1][0], wanted) > 100 * MAX_RELATIVE_ERROR


def test_guided_when_the_scale_is_1_then_the_conditional_prediction(
    tdnet: TDNet, condition: Tensor, noise: Tensor
) -> None:
    found = guided(tdnet, condition, scale=1.0)(noise, 500)
    assert relative(found, tdnet(noise, torch.full((2,), 500.0), condition)[:, :4]) <= 1e-6


@pytest.mark.parametrize("prediction", ["v", "x0"])
def test_as_noise_when_the_network_predicts_something_else_then_the_noise(prediction: str, noise: Tensor) -> None:
    epsilon = noise.flip(0)
    alpha, sigma = (float(x) ** 0.5 for x in (cumulative_alphas()[500], 1 - cumulative_alphas()[500]))
    picture = (noise - sigma * epsilon) / alpha
    converted = {"v": alpha * epsilon - sigma * picture, "x0": picture}[prediction]

    found = as_noise(lambda latents, timestep: converted, prediction)(noise, 500)

    assert relative(found, epsilon) <= 1e-5


@pytest.mark.parametrize("sampler", STEPS)
def test_reference_picture_when_made_twice_then_the_same_and_the_seed_matters(tiny: Pipeline, sampler: str) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    skeleton = np.zeros((256, 256, 3), np.uint8)

    first, again, other = (
        reference_picture(tiny, photo, skeleton, seed, num_steps=2, guidance=SCALE, sampler=sampler)
        for seed in (3, 3, 4)
    )

    assert first.shape == (256, 256, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()
