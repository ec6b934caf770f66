"""The noise schedule: betas, cumulative alphas, which timesteps a short run keeps, and the posterior between them.

Does not know how a sampler steps between the kept timesteps (`xmdpt.sampler`).

Source:
    Ho et al. 2020 (linear schedule); trungpx/xmdpt@8397056 masked_diffusion/respace.py, spacing by a plain number.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Posterior:
    """The normal distribution of the less noisy latents, given the noisier ones and the picture without noise.

    Every table is [K] float64, by rising timestep: mean = picture_weight * picture + latents_weight * latents.

    Attributes:
        picture_weight, latents_weight: of the mean.
        variance: 0 at the first, which has no noise left.
        log_variance: its logarithm, in which the first entry repeats the second.
        log_betas: logarithm of the variance that the noising adds, the upper bound of what a network may predict.
    """

    picture_weight: Float64
    latents_weight: Float64
    variance: Float64
    log_variance: Float64
    log_betas: Float64


def posterior(alpha_bars: Float64) -> Posterior:
    """The posterior between kept timesteps.

    Args:
        alpha_bars: [K] in (0, 1), falling: cumulative alphas at the kept timesteps, least noisy first; K >= 2.

    Source:
        Ho et al. 2020, eq. 7; Nichol and Dhariwal 2021, section 3.1.
    """
    betas_between = betas_of(alpha_bars)
    before = np.append(1.0, alpha_bars[:-1])
    variance = betas_between * (1 - before) / (1 - alpha_bars)
    return Posterior(
        picture_weight=betas_between * np.sqrt(before) / (1 - alpha_bars),
        latents_weight=(1 - before) * np.sqrt(1 - betas_between) / (1 - alpha_bars),
        variance=variance,
        log_variance=np.log(np.append(variance[1], variance[1:])),
        log_betas=np.log(betas_between),
    )


def betas_of(alpha_bars: Float64) -> Float64:
    """Variance added between kept timesteps: [K] float64 of cumulative alphas [K], least noisy first."""
    return 1 - alpha_bars / np.append(1.0, alpha_bars[:-1])
