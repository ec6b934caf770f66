"""Samplers as data: for each step of a run one row [a, b, c, p, q], a timestep and a guidance weight.

A step with any row is the same two lines, so that rows of different samplers can share a batch:

    denoised     = p * latents + q * prediction
    next_latents = a * latents + b * denoised + c * previous_denoised

Does not run the network, and knows no job or batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from xmdpt.guidance import guidance_weights
from xmdpt.noise_schedule import Float64, cumulative_alphas, kept_timesteps
from xmdpt.spec import LATENT_SHAPE, Prediction

Float32 = NDArray[np.float32]
Rows = Callable[[Float64, Prediction], Float64]


def ddim_rows(alpha_bars: Float64, prediction: Prediction = "epsilon") -> Float64:
    """One row per step of DDIM with eta 0, the paper's sampler.

    Args:
        alpha_bars: [K] in (0, 1), rising: cumulative alphas at the kept timesteps, noisiest first.
        prediction: what the network predicts.

    Returns:
        [K, 5] float64. c is 0 (no memory); the last row gives next_latents = denoised.

    Raises:
        ValueError: alpha_bars is empty, not rising, or leaves (0, 1).

    Source:
        Song et al. 2021, eq. 12.
    """
    alpha, sigma, next_alpha, next_sigma = _levels(alpha_bars)
    a = next_sigma / sigma
    b = next_alpha - a * alpha
    return np.stack([a, b, np.zeros_like(a), *_denoising(alpha, sigma, prediction)], axis=1)


def dpmpp_2m_rows(alpha_bars: Float64, prediction: Prediction = "epsilon") -> Float64:
    """One row per step of DPM-Solver++(2M), which extrapolates from the previous step's denoised latents.

    Takes and raises what `ddim_rows` does. The first step has no memory (c = 0) and is a step of DDIM; so is the last
    one, which ends in next_latents = denoised, where the method's step in log(alpha / sigma) would be infinite.

    Source:
        Lu et al. 2022 (DPM-Solver++), algorithm 2, in terms of the denoised latents.
    """
    alpha, sigma, _, _ = _levels(alpha_bars)
    rows = ddim_rows(alpha_bars, prediction)
    step_sizes = np.diff(np.log(alpha / sigma))
    # Both orders weigh the latents by a; 2M splits b, DDIM's weight of the denoised latents, over the last two steps.
    extrapolation = rows[1:-1, 1] * step_sizes[1:] / (2 * step_sizes[:-1])
    rows[1:-1, 1] += extrapolation
    rows[1:-1, 2] = -extrapolation
    return rows


SAMPLERS: Mapping[str, Rows] = MappingProxyType({"ddim": ddim_rows, "dpmpp_2m": dpmpp_2m_rows})
"""Every sampler by the name that a request gives."""


IDENTITY_ROW = (1.0, 0.0, 0.0, 0.0, 0.0)
"""The row of a step that changes nothing."""


@dataclass(frozen=True)
class SamplingPlan:
    """Everything about a run of K steps that does not depend on the picture, in the graphs' type.

    Attributes:
        timesteps: [K] float32, falling from 999 to 0.
        guidance: [K] float32, the weight of the conditional prediction.
        coefficients: [K, 5] float32 rows [a, b, c, p, q].
    """

    timesteps: Float32
    guidance: Float32
    coefficients: Float32


def sampling_plan(
    num_steps: int, guidance: float, sampler: str = "ddim", prediction: Prediction = "epsilon"
) -> SamplingPlan:
    """Return the plan of a run.

    Args:
        num_steps: 2..1000.
        guidance: scale of `guidance_weights`; 1 is the conditional prediction alone.
        sampler: a name in `SAMPLERS`.
        prediction: what the network predicts.

    Raises:
        ValueError: num_steps is out of range or there is no such sampler.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {sampler}")
    timesteps = kept_timesteps(num_steps)
    rows = SAMPLERS[sampler](cumulative_alphas()[timesteps], prediction)
    return SamplingPlan(
        timesteps.astype(np.float32),
        guidance_weights(timesteps, guidance).astype(np.float32),
        rows.astype(np.float32),
    )


def stack_plans(plans: Sequence[SamplingPlan]) -> SamplingPlan:
    """Return the plans as the rows of one batch, as the graph `sampler` takes them: [B, K], [B, K] and [B, K, 5].

    K is the longest plan's; the shorter ones end in identity rows, and so in the latents that they had alone.

    Args:
        plans: B >= 1 of any lengths.
    """
    shape = len(plans), max(len(plan.timesteps) for plan in plans)
    timesteps, guidance = np.zeros(shape, np.float32), np.ones(shape, np.float32)
    coefficients = np.tile(np.array(IDENTITY_ROW, np.float32), (*shape, 1))
    for row, plan in enumerate(plans):
        steps = slice(len(plan.timesteps))
        timesteps[row, steps], guidance[row, steps] = plan.timesteps, plan.guidance
        coefficients[row, steps] = plan.coefficients
    return SamplingPlan(timesteps, guidance, coefficients)


def initial_noise(seed: int) -> Float32:
    """The latents that a run starts from: [4, 32, 32] float32, standard normal, the same wherever a seed is used.

    Args:
        seed: 0..2**128 - 1.
    """
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(LATENT_SHAPE, dtype=np.float32)


def _levels(alpha_bars: Float64) -> tuple[Float64, Float64, Float64, Float64]:
    """Return signal and noise level at each step, then at each following one; behind the last there is no noise."""
    is_rising_in_unit_interval = (
        len(alpha_bars) > 0 and alpha_bars[0] > 0 and alpha_bars[-1] < 1 and bool((np.diff(alpha_bars) > 0).all())
    )
    if not is_rising_in_unit_interval:
        raise ValueError("alpha_bars must be at least one number, rising, within (0, 1)")
    alpha, sigma = np.sqrt(alpha_bars), np.sqrt(1 - alpha_bars)
    return alpha, sigma, np.append(alpha[1:], 1.0), np.append(sigma[1:], 0.0)


def _denoising(alpha: Float64, sigma: Float64, prediction: Prediction) -> tuple[Float64, Float64]:
    """Return p and q: how latents and prediction make the denoised latents."""
    match prediction:
        case "epsilon":
            return 1 / alpha, -sigma / alpha
        case "v":
            return alpha, -sigma
        case "x0":
            return np.zeros_like(alpha), np.ones_like(alpha)
