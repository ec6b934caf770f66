"""The noise schedule: betas, cumulative alphas, and which timesteps a short run keeps.

Does not know how a sampler steps between the kept timesteps (`xmdpt.sampler`).

Source:
    Ho et al. 2020 (linear schedule); trungpx/xmdpt@8397056 masked_diffusion/respace.py, spacing by a plain number.
"""

import numpy as np
from numpy.typing import NDArray

from xmdpt.spec import NUM_TRAIN_TIMESTEPS

Float64 = NDArray[np.float64]

_FIRST_BETA, _LAST_BETA = 1e-4, 2e-2


def betas() -> Float64:
    """Variance added at each timestep: [1000] float64, rising from 1e-4 to 2e-2."""
    return np.linspace(_FIRST_BETA, _LAST_BETA, NUM_TRAIN_TIMESTEPS, dtype=np.float64)


def cumulative_alphas() -> Float64:
    """Share of the picture's variance left at each timestep: [1000] float64 in (0, 1), falling."""
    return np.cumprod(1.0 - betas(), dtype=np.float64)


def kept_timesteps(num_steps: int) -> NDArray[np.int64]:
    """The timesteps of a run, evenly spaced with both ends: [num_steps] int64, falling from 999 to 0.

    This is not the spacing that other software calls "ddim", which leaves out the noisiest end.

    Raises:
        ValueError: num_steps is not within 2..1000.
    """
    if not 2 <= num_steps <= NUM_TRAIN_TIMESTEPS:
        raise ValueError(f"num_steps must be within 2..{NUM_TRAIN_TIMESTEPS}, not {num_steps}")
    last = NUM_TRAIN_TIMESTEPS - 1
    rising = [round(step * last / (num_steps - 1)) for step in range(num_steps)]
    return np.array(rising[::-1], dtype=np.int64)
