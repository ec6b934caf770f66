"""On a distribution whose noise is known exactly, each sampler converges at the rate of its order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps
from xmdpt.sampler import SAMPLERS

# A mixture of three normal distributions on a line.
MEANS, SHARES, DEVIATION = np.array([-1.5, 0.5, 2.0]), np.array([0.3, 0.5, 0.2]), 0.4
NUM_SAMPLES = 2000


def exact_noise(x: NDArray[np.float64], alpha_bar: float) -> NDArray[np.float64]:
    """The expected noise in x: minus sigma times the gradient of the noisy mixture's log density."""
    alpha, sigma = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
    variance = alpha**2 * DEVIATION**2 + sigma**2
    distances = x[:, None] - alpha * MEANS
    weights = SHARES * np.exp(-(distances**2) / (2 * variance))
    weights /= weights.sum(axis=1, keepdims=True)
    return sigma * (weights * distances).sum(axis=1) / variance


def samples(sampler: str, num_steps: int) -> NDArray[np.float64]:
    levels = cumulative_alphas()[kept_timesteps(num_steps)]
    x = np.random.default_rng(0).standard_normal(NUM_SAMPLES)
    previous = np.zeros_like(x)
    for (a, b, c, p, q), level in zip(SAMPLERS[sampler](levels, "epsilon"), levels, strict=True):
        denoised = p * x + q * exact_noise(x, level)
        x, previous = a * x + b * denoised + c * previous, denoised
    return x


@pytest.fixture(scope="module")
def truth() -> NDArray[np.float64]:
    """Where the same noise ends with all timesteps."""
    return samples("dpmpp_2m", 1000)


def mean_errors(sampler: str, truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Errors with 40, 80 and 160 steps."""
    return np.array([np.abs(samples(sampler, num_steps) - truth).mean() for num_steps in (40, 80, 160)])


def test_ddim_when_the_steps_double_then_the_error_halves(truth: NDArray[np.float64]) -> None:
    errors = mean_errors("ddim", truth)
    assert errors[:-1] / errors[1:] == pytest.approx([2, 2], abs=0.3)


def test_dpmpp_2m_when_the_steps_double_then_the_error_falls_faster_than_ddims(truth: NDArray[np.float64]) -> None:
    first_order, second_order = mean_errors("ddim", truth), mean_errors("dpmpp_2m", truth)

    assert (second_order[:-1] / second_order[1:] > 2.8).all()
    assert (second_order < 0.6 * first_order).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_when_run_finely_then_the_samples_have_the_mixtures_moments(sampler: str) -> None:
    mean = (SHARES * MEANS).sum()
    variance = (SHARES * (DEVIATION**2 + MEANS**2)).sum() - mean**2

    found = samples(sampler, 200)

    # Three standard errors of 2000 samples.
    assert found.mean() == pytest.approx(mean, abs=3 * np.sqrt(variance / NUM_SAMPLES))
    assert found.std() == pytest.approx(np.sqrt(variance), rel=0.06)
