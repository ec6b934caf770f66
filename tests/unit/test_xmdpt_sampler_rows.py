"""Every sampler is rows of five numbers, and two lines of arithmetic turn them into its steps."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps
from xmdpt.sampler import SAMPLERS, ddim_rows, dpmpp_2m_rows

Array = NDArray[np.float64]
Network = Callable[[Array, float], Array]
"""Latents and their cumulative alpha to the prediction."""

STEP_COUNTS = st.integers(2, 60)


def alpha_bars(num_steps: int) -> Array:
    return cumulative_alphas()[kept_timesteps(num_steps)]


def noise() -> Array:
    return np.random.default_rng(7).standard_normal((4, 8, 8))


def some_network(latents: Array, alpha_bar: float) -> Array:
    """Any smooth function that depends on both."""
    return np.sin(latents) + latents[::-1] * alpha_bar + 0.1


def run(rows: Array, levels: Array, network: Network, latents: Array) -> list[tuple[Array, Array]]:
    """Next and denoised latents after each step, by the two lines that every row means."""
    trace, previous = [], np.zeros_like(latents)
    for (a, b, c, p, q), level in zip(rows, levels, strict=True):
        denoised = p * latents + q * network(latents, level)
        latents = a * latents + b * denoised + c * previous
        previous = denoised
        trace.append((latents, denoised))
    return trace


def plain_ddim(levels: Array, network: Network, latents: Array) -> list[Array]:
    """Song et al. 2021, eq. 12 with sigma 0."""
    trace = []
    for level, next_level in zip(levels, [*levels[1:], 1.0], strict=True):
        epsilon = network(latents, level)
        predicted = (latents - np.sqrt(1 - level) * epsilon) / np.sqrt(level)
        latents = np.sqrt(next_level) * predicted + np.sqrt(1 - next_level) * epsilon
        trace.append(latents)
    return trace


def plain_dpmpp_2m(levels: Array, network: Network, latents: Array) -> list[Array]:
    """Lu et al. 2022 (DPM-Solver++), algorithm 2, a step of lambda at a time; to the end without noise at the last."""
    alphas, sigmas = np.sqrt(levels), np.sqrt(1 - levels)
    lambdas = np.log(alphas) - np.log(sigmas)
    denoised, trace = [], []
    for i in range(len(levels)):
        denoised.append((latents - sigmas[i] * network(latents, levels[i])) / alphas[i])
        if i == len(levels) - 1:
            latents = denoised[i]
        else:
            h = lambdas[i + 1] - lambdas[i]
            direction = denoised[i]
            if i > 0:
                r = (lambdas[i] - lambdas[i - 1]) / h
                direction = (1 + 1 / (2 * r)) * denoised[i] - 1 / (2 * r) * denoised[i - 1]
            latents = sigmas[i + 1] / sigmas[i] * latents - alphas[i + 1] * (np.exp(-h) - 1) * direction
        trace.append(latents)
    return trace


@pytest.mark.parametrize(("rows", "plain"), [(ddim_rows, plain_ddim), (dpmpp_2m_rows, plain_dpmpp_2m)])
@pytest.mark.parametrize("num_steps", [2, 3, 10, 50])
def test_rows_when_run_then_each_step_is_the_papers(rows: Callable, plain: Callable, num_steps: int) -> None:
    levels = alpha_bars(num_steps)

    found = [latents for latents, _ in run(rows(levels), levels, some_network, noise())]

    for latents, expected in zip(found, plain(levels, some_network, noise()), strict=True):
        assert np.abs(latents - expected).max() <= 1e-10 * np.abs(expected).max()


@given(STEP_COUNTS)
def test_ddim_when_any_step_count_then_it_has_no_memory(num_steps: int) -> None:
    assert (ddim_rows(alpha_bars(num_steps))[:, 2] == 0).all()


@given(STEP_COUNTS, st.sampled_from(sorted(SAMPLERS)))
def test_rows_when_the_run_ends_then_the_latents_are_the_denoised_ones(num_steps: int, sampler: str) -> None:
    rows = SAMPLERS[sampler](alpha_bars(num_steps), "epsilon")

    assert rows.shape == (num_steps, 5)
    assert rows.dtype == np.float64
    assert rows[-1, :3].tolist() == [0, 1, 0]


@given(STEP_COUNTS)
def test_dpmpp_2m_when_it_begins_and_ends_then_a_step_of_ddim(num_steps: int) -> None:
    levels = alpha_bars(num_steps)
    second_order, first_order = dpmpp_2m_rows(levels), ddim_rows(levels)
    assert second_order[[0, -1]].tolist() == first_order[[0, -1]].tolist()


@given(STEP_COUNTS, st.sampled_from(sorted(SAMPLERS)))
def test_rows_when_the_network_knows_the_picture_then_every_step_lies_on_the_straight_path(
    num_steps: int, sampler: str
) -> None:
    levels, picture, start = alpha_bars(num_steps), noise()[::-1], noise()

    def knows(latents: Array, level: float) -> Array:
        return (latents - np.sqrt(level) * picture) / np.sqrt(1 - level)

    epsilon = knows(start, levels[0])
    trace = run(SAMPLERS[sampler](levels, "epsilon"), levels, knows, start)

    for (latents, denoised), next_level in zip(trace, [*levels[1:], 1.0], strict=True):
        on_the_path = np.sqrt(next_level) * picture + np.sqrt(1 - next_level) * epsilon
        assert np.abs(denoised - picture).max() <= 1e-9
        assert np.abs(latents - on_the_path).max() <= 1e-9


@given(STEP_COUNTS, st.sampled_from(sorted(SAMPLERS)), st.sampled_from(["v", "x0"]))
def test_rows_when_the_network_predicts_something_else_then_the_same_trajectory(
    num_steps: int, sampler: str, prediction: str
) -> None:
    levels = alpha_bars(num_steps)

    def converted(latents: Array, level: float) -> Array:
        alpha, sigma = np.sqrt(level), np.sqrt(1 - level)
        epsilon = some_network(latents, level)
        picture = (latents - sigma * epsilon) / alpha
        return alpha * epsilon - sigma * picture if prediction == "v" else picture

    by_noise = run(SAMPLERS[sampler](levels, "epsilon"), levels, some_network, noise())
    by_other = run(SAMPLERS[sampler](levels, prediction), levels, converted, noise())

    for (first, _), (second, _) in zip(by_noise, by_other, strict=True):
        assert np.abs(first - second).max() <= 1e-8 * np.abs(first).max()


def test_rows_when_the_row_is_1_0_0_then_the_latents_stay() -> None:
    rows = np.array([[1.0, 0.0, 0.0, 3.0, -2.0]] * 3)
    trace = run(rows, alpha_bars(3), some_network, noise())
    assert all((latents == noise()).all() for latents, _ in trace)


def test_rows_when_samplers_share_a_batch_then_each_goes_its_own_way() -> None:
    levels = alpha_bars(10)
    tables = [SAMPLERS[name](levels, "epsilon") for name in sorted(SAMPLERS)]
    alone = [run(table, levels, some_network, noise()) for table in tables]

    latents, previous = np.stack([noise()] * 2), np.zeros((2, *noise().shape))
    for step, level in enumerate(levels):
        a, b, c, p, q = np.stack([table[step] for table in tables]).T[:, :, None, None, None]
        denoised = p * latents + q * np.stack([some_network(one, level) for one in latents])
        latents, previous = a * latents + b * denoised + c * previous, denoised

    assert [(together == trace[-1][0]).all() for together, trace in zip(latents, alone, strict=True)] == [True, True]


@pytest.mark.parametrize("rows", SAMPLERS.values(), ids=SAMPLERS)
@pytest.mark.parametrize(
    "levels", [[], [0.5, 0.4], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0], [-0.1, 0.5], [0.5, np.nan]], ids=str
)
def test_rows_when_the_levels_do_not_rise_within_0_and_1_then_refused(rows: Callable, levels: list[float]) -> None:
    with pytest.raises(ValueError, match="rising"):
        rows(np.array(levels), "epsilon")
