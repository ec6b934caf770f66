"""The schedule is the linear one, and a run keeps evenly spaced timesteps with both ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmdpt.noise_schedule import betas, cumulative_alphas, kept_timesteps


def test_betas_when_made_then_1000_evenly_spaced_numbers() -> None:
    found = betas()

    assert found.shape == (1000,)
    assert found.dtype == np.float64
    assert (found[0], found[-1]) == (1e-4, 2e-2)
    assert np.diff(found) == pytest.approx(np.full(999, (2e-2 - 1e-4) / 999))


def test_cumulative_alphas_when_made_then_the_running_product() -> None:
    expected, product = [], 1.0
    for beta in betas():
        product *= 1 - beta
        expected.append(product)

    assert cumulative_alphas() == pytest.approx(expected, rel=1e-12)
    assert cumulative_alphas()[-1] == pytest.approx(4.0358e-5, rel=1e-4)


def test_kept_timesteps_when_50_then_the_official_spacing() -> None:
    found = kept_timesteps(50).tolist()

    assert found[:5] == [999, 979, 958, 938, 917]
    assert found[-5:] == [82, 61, 41, 20, 0]


@pytest.mark.parametrize(
    ("num_steps", "kept"),
    [
        (2, [999, 0]),
        (3, [999, 500, 0]),
        (10, [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        # 166.5 and 832.5 go to the even neighbour, as in the official code.
        (7, [999, 832, 666, 500, 333, 166, 0]),
    ],
)
def test_kept_timesteps_when_few_then_counted_by_hand(num_steps: int, kept: list[int]) -> None:
    assert kept_timesteps(num_steps).tolist() == kept


@given(st.integers(2, 1000))
def test_kept_timesteps_when_any_number_then_both_ends_and_falling_evenly(num_steps: int) -> None:
    kept = kept_timesteps(num_steps)
    gaps = -np.diff(kept)

    assert kept.shape == (num_steps,)
    assert kept.dtype == np.int64
    assert (kept[0], kept[-1]) == (999, 0)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_kept_timesteps_when_1000_then_all() -> None:
    assert kept_timesteps(1000).tolist() == list(range(999, -1, -1))


@pytest.mark.parametrize("num_steps", [-1, 0, 1, 1001])
def test_kept_timesteps_when_out_of_range_then_refused(num_steps: int) -> None:
    with pytest.raises(ValueError, match=f"2..1000, not {num_steps}"):
        kept_timesteps(num_steps)
