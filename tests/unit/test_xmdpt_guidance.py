"""The guidance weight follows the power-cosine of the paper's constants."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmdpt.guidance import guidance_weights


@pytest.mark.parametrize(("timestep", "weight"), [(999, 1.989), (900, 1.9987)])
def test_guidance_when_the_official_constants_then_nearly_constant(timestep: int, weight: float) -> None:
    (found,) = guidance_weights([timestep], scale=2.0)
    assert found == pytest.approx(weight, abs=6e-4)


def test_guidance_when_at_timestep_0_then_the_scale() -> None:
    assert guidance_weights([0], scale=3.8, power=4.0) == pytest.approx([3.8])


@given(st.integers(0, 999), st.floats(0.005, 8))
def test_guidance_when_the_scale_is_1_then_1(timestep: int, power: float) -> None:
    assert guidance_weights([timestep], scale=1.0, power=power).tolist() == [1.0]


@given(st.floats(1, 20), st.floats(0.005, 8))
def test_guidance_when_timesteps_fall_then_grows_from_1_to_the_scale(scale: float, power: float) -> None:
    weights = guidance_weights(np.arange(999, -1, -1), scale, power)

    assert weights.dtype == np.float64
    assert (np.diff(weights) >= 0).all()
    assert weights[0] >= 1
    assert weights[-1] == pytest.approx(scale)


def test_guidance_when_computed_then_the_formula() -> None:
    # Halfway with power 1 the cosine is 0: half of the way from 1 to the scale.
    assert guidance_weights([500], scale=5.0, power=1.0) == pytest.approx([3.0])
    # (1 / 4) ** 0.5 is 1 / 2 again.
    assert guidance_weights([750], scale=5.0, power=0.5) == pytest.approx([3.0])
