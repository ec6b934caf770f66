"""A run's plan holds the graphs' numbers, and its noise follows from the seed alone."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmdpt.guidance import guidance_weights
from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps
from xmdpt.sampler import SAMPLERS, initial_noise, sampling_plan


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("num_steps", [2, 50, 1000])
def test_plan_when_made_then_float32_of_the_exact_tables(sampler: str, num_steps: int) -> None:
    plan = sampling_plan(num_steps, guidance=2.0, sampler=sampler)
    timesteps = kept_timesteps(num_steps)

    assert {array.dtype for array in (plan.timesteps, plan.guidance, plan.coefficients)} == {np.dtype(np.float32)}
    assert plan.timesteps.tolist() == timesteps.tolist()
    assert (plan.guidance == guidance_weights(timesteps, 2.0).astype(np.float32)).all()
    exact = SAMPLERS[sampler](cumulative_alphas()[timesteps], "epsilon")
    assert (plan.coefficients == exact.astype(np.float32)).all()
    assert np.isfinite(plan.coefficients).all()


def test_plan_when_nothing_is_said_then_the_papers() -> None:
    plan, ddim = sampling_plan(50, 2.0), sampling_plan(50, 2.0, "ddim", "epsilon")
    assert (plan.coefficients == ddim.coefficients).all()


@pytest.mark.parametrize("prediction", ["v", "x0"])
def test_plan_when_the_prediction_is_another_then_other_p_and_q_only(prediction: str) -> None:
    plan, by_noise = sampling_plan(10, 2.0, "dpmpp_2m", prediction), sampling_plan(10, 2.0, "dpmpp_2m")
    assert (plan.coefficients[:, :3] == by_noise.coefficients[:, :3]).all()
    assert (plan.coefficients[:, 3:] != by_noise.coefficients[:, 3:]).all()


def test_plan_when_guidance_is_1_then_every_weight_is_1() -> None:
    assert (sampling_plan(50, guidance=1.0).guidance == 1).all()


def test_plan_when_the_sampler_is_unknown_then_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="one of ddim, dpmpp_2m, not euler"):
        sampling_plan(50, 2.0, "euler")


@pytest.mark.parametrize("num_steps", [0, 1, 1001])
def test_plan_when_the_step_count_is_out_of_range_then_refused(num_steps: int) -> None:
    with pytest.raises(ValueError, match="num_steps"):
        sampling_plan(num_steps, 2.0)


@pytest.mark.parametrize(
    ("seed", "digest"),
    [
        (0, "2afab274d4e9ea94cd1930b86cee87c16c8469b0775bfadc8b8c20698386378b"),
        (42, "9a2e198c112726ebc2d2fa34b1a000f8d194f7a1195a04065dbc3f66e612a2bd"),
        (2**53 - 1, "0d1e99227cfb4b3fcbab44925308074d0d0968272d43ed7da38751ddd7d21fa2"),
    ],
)
def test_noise_when_drawn_for_a_seed_then_the_pinned_bytes(seed: int, digest: str) -> None:
    noise = initial_noise(seed)

    assert noise.shape == (4, 32, 32)
    assert noise.dtype == np.float32
    assert hashlib.sha256(noise.tobytes()).hexdigest() == digest


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
def test_noise_when_seeds_differ_then_unrelated(first: int, second: int) -> None:
    a, b = initial_noise(first).ravel(), initial_noise(second).ravel()
    if first == second:
        assert (a == b).all()
    else:
        # 4096 pairs: six standard errors.
        assert abs(np.corrcoef(a, b)[0, 1]) < 6 / 64


def test_noise_when_drawn_then_standard_normal() -> None:
    noise = np.concatenate([initial_noise(seed).ravel() for seed in range(50)])
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(noise) > 1.96).mean() == pytest.approx(0.05, abs=0.003)


@pytest.mark.parametrize("seed", [-1, 2**128])
def test_noise_when_the_seed_is_out_of_range_then_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="key"):
        initial_noise(seed)
