"""The losses of the paper's training: squared error of the noise, and the variational bound that trains the variance.

Runs no network: it takes a prediction and what was to be predicted.

Source:
    Nichol and Dhariwal 2021 (learned variance, hybrid loss); trungpx/xmdpt@8397056, whose bound is not scaled down.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xmdpt.nn.reference import noise_of
from xmdpt.noise_schedule import cumulative_alphas, posterior
from xmdpt.spec import Prediction

# A grey level of a picture in -1..1 is twice this wide; the bound treats latents as if they were such pictures.
_HALF_LEVEL = 1 / 255
_OUTERMOST = 0.999
_MIN_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Losses:
    """Of each picture, [B] float32.

    Attributes:
        mse: mean squared error of the prediction.
        vb: the term of the variational bound at the picture's timestep, in bits a number.
    """

    mse: Tensor
    vb: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised: the sum of both, [B]."""
        return self.mse + self.vb


def noised(picture: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """Return the latents of a timestep: [B, 4, 32, 32] of scaled latents, normal noise and timestep [B] int64."""
    return _at(_TABLES.alpha, timestep) * picture + _at(_TABLES.sigma, timestep) * noise


def diffusion_losses(
    prediction: Tensor, picture: Tensor, noise: Tensor, timestep: Tensor, meaning: Prediction = "epsilon"
) -> Losses:
    """Compare a prediction with what it means.

    Args:
        prediction: [B, 8, 32, 32] of TDNet or MIPNet for `noised(picture, noise, timestep)`: the prediction, then where
            the variance lies between its bounds.
        picture: [B, 4, 32, 32], the target's scaled latents.
        noise: [B, 4, 32, 32].
        timestep: [B] int64, 0..999.
        meaning: what the first four channels are to be.
    """
    predicted, fraction = prediction.float().chunk(2, dim=1)
    mse = _mean((aim(picture, noise, timestep, meaning) - predicted) ** 2)
    latents = noised(picture, noise, timestep)
    predicted_noise = _as_noise(predicted.detach(), latents, timestep, meaning)
    # The bound trains the variance alone.
    return Losses(mse, _variational_bound(predicted_noise, fraction, picture, latents, timestep))


def aim(picture: Tensor, noise: Tensor, timestep: Tensor, meaning: Prediction) -> Tensor:
    """Return [B, 4, 32, 32], what a perfect prediction is; arguments as in `diffusion_losses`.

    Source:
        Salimans and Ho 2022 (v).
    """
    match meaning:
        case "epsilon":
            return noise
        case "v":
            return _at(_TABLES.alpha, timestep) * noise - _at(_TABLES.sigma, timestep) * picture
        case "x0":
            return picture


def denoised_of(predicted: Tensor, latents: Tensor, timestep: Tensor, meaning: Prediction) -> Tensor:
    """Return [B, 4, 32, 32], the picture's latents as a prediction [B, 4, 32, 32] for noised latents tells them."""
    return _denoised(_as_noise(predicted, latents, timestep, meaning), latents, timestep)


def _denoised(predicted_noise: Tensor, latents: Tensor, timestep: Tensor) -> Tensor:
    return (latents - _at(_TABLES.sigma, timestep) * predicted_noise) / _at(_TABLES.alpha, timestep)


def _as_noise(predicted: Tensor, latents: Tensor, timestep: Tensor, meaning: Prediction) -> Tensor:
    alpha, sigma = _at(_TABLES.alpha, timestep), _at(_TABLES.sigma, timestep)
    return noise_of(predicted, latents, alpha, sigma, meaning)


def _variational_bound(
    predicted_noise: Tensor, fraction: Tensor, picture: Tensor, latents: Tensor, timestep: Tensor
) -> Tensor:
    """Return [B] in bits: how far the predicted step is from the true one, or at timestep 0 from the picture."""
    denoised = _denoised(predicted_noise, latents, timestep)
    weights = _at(_TABLES.picture_weight, timestep), _at(_TABLES.latents_weight, timestep)
    true_mean, mean = (weights[0] * x + weights[1] * latents for x in (picture, denoised))
    lower, upper = _at(_TABLES.log_variance, timestep), _at(_TABLES.log_betas, timestep)
    log_variance = (fraction + 1) / 2 * (upper - lower) + lower
    divergence = _mean(_normal_divergence(true_mean, lower, mean, log_variance))
    surprise = _mean(-_log_likelihood(picture, mean, log_variance))
    return torch.where(timestep == 0, surprise, divergence) / math.log(2)


def _normal_divergence(mean: Tensor, log_variance: Tensor, other_mean: Tensor, other_log_variance: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of two normal distributions from the first to the second, in nats."""
    difference = log_variance - other_log_variance
    squared = (mean - other_mean) ** 2 * torch.exp(-other_log_variance)
    return 0.5 * (torch.exp(difference) - difference - 1 + squared)


def _log_likelihood(picture: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The probability of each number's grey level under a normal distribution, as a logarithm.

    The outermost levels reach to infinity.

    Source:
        Ho et al. 2020, eq. 13.
    """
    precision = torch.exp(-log_variance / 2)
    below = _normal_cdf((picture - mean - _HALF_LEVEL) * precision)
    above = _normal_cdf((picture - mean + _HALF_LEVEL) * precision)
    level = torch.where(picture < -_OUTERMOST, above, torch.where(picture > _OUTERMOST, 1 - below, above - below))
    return torch.log(level.clamp(min=_MIN_PROBABILITY))


def _normal_cdf(x: Tensor) -> Tensor:
    """The cumulative normal distribution in the tanh approximation that the official training uses."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1)


def _at(table: Tensor, timestep: Tensor) -> Tensor:
    """Return a table's [1000] entries at timestep [B] as [B, 1, 1, 1] float32."""
    return table.to(timestep.device)[timestep].float()[:, None, None, None]


@dataclass(frozen=True)
class _Tables:
    """[1000] float64 each, by timestep."""

    alpha: Tensor
    sigma: Tensor
    picture_weight: Tensor
    latents_weight: Tensor
    log_variance: Tensor
    log_betas: Tensor


def _tables() -> _Tables:
    alpha_bars = cumulative_alphas()
    between = posterior(alpha_bars)
    return _Tables(
        torch.from_numpy(np.sqrt(alpha_bars)),
        torch.from_numpy(np.sqrt(1 - alpha_bars)),
        torch.from_numpy(between.picture_weight),
        torch.from_numpy(between.latents_weight),
        torch.from_numpy(between.log_variance),
        torch.from_numpy(between.log_betas),
    )


_TABLES = _tables()
