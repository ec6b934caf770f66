"""The paper's way from photo and skeleton to picture in plain torch: the oracle that everything faster is held to.

Written from the papers' formulas, one picture at a time, two forwards a step. Shares the networks and the schedule with
the rest, but neither the coefficient rows of `xmdpt.sampler` nor the exported graphs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from xmdpt.guidance import guidance_weights
from xmdpt.nn.pipeline import Networks
from xmdpt.nn.pixels import from_pixels, to_pixels
from xmdpt.nn.tdnet import TDNet
from xmdpt.noise_schedule import cumulative_alphas, kept_timesteps, posterior
from xmdpt.sampler import initial_noise
from xmdpt.spec import Prediction

Predict = Callable[[Tensor, int], Tensor]
"""Latents [B, 4, 32, 32] and their timestep to the predicted noise, of the same shape."""

Steps = Iterator[tuple[Tensor, Tensor]]
"""After each step: the next latents and the denoised latents, both [B, 4, 32, 32]."""


def reference_picture(
    networks: Networks,
    photo: np.ndarray,
    skeleton: np.ndarray,
    seed: int,
    num_steps: int,
    guidance: float,
    sampler: str = "ddim",
) -> np.ndarray:
    """Return the picture of the photo's person in the skeleton's pose.

    Args:
        networks: with their weights.
        photo: [256, 256, 3] uint8 RGB.
        skeleton: [256, 256, 3] uint8 RGB, of any brightness.
        seed: of the initial noise.
        num_steps: 2..1000.
        guidance: scale, 1 for none; the paper's results use 2.
        sampler: "ddim", which is the paper's, or "dpmpp_2m".

    Returns:
        [256, 256, 3] uint8 RGB.
    """
    steps = {"ddim": ddim_steps, "dpmpp_2m": dpmpp_2m_steps}[sampler]
    latents = torch.from_numpy(initial_noise(seed)).unsqueeze(0)
    with torch.inference_mode():
        predict = guided(networks.xmdpt.tdnet, condition_of(networks, photo, skeleton), guidance)
        predict = as_noise(predict, networks.variant.prediction)
        *_, (latents, _) = steps(predict, latents, kept_timesteps(num_steps).tolist())
        picture = networks.vae.decode(latents / networks.variant.latent_scale)
    return from_pixels(picture)[0]


def condition_of(networks: Networks, photo: np.ndarray, skeleton: np.ndarray) -> Tensor:
    """Return the condition [1, D] of a photo and a skeleton, both [256, 256, 3] uint8 RGB."""
    pose = torch.from_numpy(skeleton).permute(2, 0, 1)[None] / 255
    if pose.any():
        pose = pose / pose.max()
    pose_vector = networks.xmdpt.canet.pose_vector(networks.pose_extractor(networks.pose_extractor.shrink(pose)))
    return networks.xmdpt.canet.condition(source_vectors_of(networks, photo[None]), pose_vector)


def source_vectors_of(networks: Networks, photos: np.ndarray) -> Tensor:
    """Return source vectors [B, D] of photos [B, 256, 256, 3] uint8 RGB."""
    x = to_pixels(photos)
    # Unlike the paper's code, which draws source latents at random: the mode makes the condition repeatable.
    source_latents = networks.vae.encode_mode(x) * networks.variant.latent_scale
    return networks.xmdpt.source_vector(networks.photo_extractor(networks.photo_extractor.shrink(x)), source_latents)


def guided(tdnet: TDNet, condition: Tensor, scale: float, power: float = 0.01) -> Predict:
    """Return the prediction with classifier-free guidance, of a condition [B, D] and of none, in two forwards."""
    predict = guided_with_variance(tdnet, condition, scale, power)
    return lambda latents, timestep: predict(latents, timestep)[:, :4]


def guided_with_variance(tdnet: TDNet, condition: Tensor, scale: float, power: float = 0.01) -> Predict:
    """Return the same with all 8 channels of `TDNet.forward`, the four of the variance guided as well."""

    def predict(latents: Tensor, timestep: int) -> Tensor:
        timesteps = torch.full((len(latents),), float(timestep))
        conditional = tdnet(latents, timesteps, condition)
        unconditional = tdnet(latents, timesteps, torch.zeros_like(condition))
        weight = float(guidance_weights(timestep, scale, power))
        return unconditional + weight * (conditional - unconditional)

    return predict


def as_noise(predict: Predict, prediction: Prediction) -> Predict:
    """Return the same prediction as noise, whatever the network was trained to predict."""

    def noise(latents: Tensor, timestep: int) -> Tensor:
        return noise_of(predict(latents, timestep), latents, *_level(timestep), prediction)

    return noise


def noise_of(
    predicted: Tensor, latents: Tensor, alpha: float | Tensor, sigma: float | Tensor, prediction: Prediction
) -> Tensor:
    """Return the noise that a prediction for latents tells; alpha and sigma are the levels of picture and noise."""
    match prediction:
        case "epsilon":
            return predicted
        case "v":
            return alpha * predicted + sigma * latents
        case "x0":
            return (latents - alpha * predicted) / sigma


def ddim_steps(
    predict: Predict, latents: Tensor, timesteps: Sequence[int], eta: float = 0.0, noises: Iterable[Tensor] = ()
) -> Steps:
    """Step through falling timesteps by DDIM: Song et al. 2021, eq. 12.

    Args:
        predict: predicts the noise.
        latents: [B, 4, 32, 32] at the first timestep.
        timesteps: falling.
        eta: 0 draws nothing; 1 draws as much as DDPM does.
        noises: with eta above 0, one [B, 4, 32, 32] a step; the last is not used.
    """
    drawn = iter(noises)
    for timestep, (next_alpha, next_sigma) in zip(timesteps, _next_levels(timesteps), strict=True):
        alpha, sigma = _level(timestep)
        noise = predict(latents, timestep)
        denoised = latents / alpha - noise * (sigma / alpha)
        fresh_sigma = eta * next_sigma / sigma * max(0.0, 1 - (alpha / next_alpha) ** 2) ** 0.5
        latents = next_alpha * denoised + (next_sigma**2 - fresh_sigma**2) ** 0.5 * noise
        if fresh_sigma > 0:
            latents = latents + fresh_sigma * next(drawn)
        yield latents, denoised


def ddpm_steps(predict: Predict, latents: Tensor, timesteps: Sequence[int], noises: Iterable[Tensor]) -> Steps:
    """Step through falling timesteps by DDPM with the learned variance: Nichol and Dhariwal 2021, eq. 15.

    Args:
        predict: all 8 channels of `guided_with_variance`.
        latents: [B, 4, 32, 32] at the first timestep.
        timesteps: falling.
        noises: one [B, 4, 32, 32] a step; the last is not used.
    """
    tables = posterior(cumulative_alphas()[np.asarray(timesteps)[::-1]])
    for index, timestep, fresh in zip(reversed(range(len(timesteps))), timesteps, noises, strict=True):
        alpha, sigma = _level(timestep)
        noise, fraction = predict(latents, timestep).chunk(2, dim=1)
        denoised = latents / alpha - noise * (sigma / alpha)
        mean = float(tables.picture_weight[index]) * denoised + float(tables.latents_weight[index]) * latents
        upper, lower = float(tables.log_betas[index]), float(tables.log_variance[index])
        log_variance = (fraction + 1) / 2 * (upper - lower) + lower
        latents = mean + torch.exp(log_variance / 2) * fresh if index else mean
        yield latents, denoised


def dpmpp_2m_steps(predict: Predict, latents: Tensor, timesteps: Sequence[int]) -> Steps:
    """Step through falling timesteps by DPM-Solver++(2M): Lu et al. 2022, algorithm 2."""
    last_denoised, last_step_size = torch.zeros_like(latents), None
    for timestep, (next_alpha, next_sigma) in zip(timesteps, _next_levels(timesteps), strict=True):
        alpha, sigma = _level(timestep)
        denoised = latents / alpha - predict(latents, timestep) * (sigma / alpha)
        if next_sigma == 0.0:
            # The step size in log(alpha / sigma) is infinite, and the formula's limit is this.
            yield denoised, denoised
            return
        step_size = np.log(next_alpha / next_sigma) - np.log(alpha / sigma)
        extrapolated = denoised
        if last_step_size is not None:
            ratio = last_step_size / step_size
            extrapolated = (1 + 1 / (2 * ratio)) * denoised - 1 / (2 * ratio) * last_denoised
        latents = (next_sigma / sigma) * latents - (next_alpha * np.expm1(-step_size)) * extrapolated
        last_denoised, last_step_size = denoised, step_size
        yield latents, denoised


def _level(timestep: int) -> tuple[float, float]:
    """Return how much of the picture and how much noise the latents of a timestep hold."""
    alpha_bar = float(cumulative_alphas()[timestep])
    return alpha_bar**0.5, (1 - alpha_bar) ** 0.5


def _next_levels(timesteps: Sequence[int]) -> list[tuple[float, float]]:
    """Return `_level` of the timestep behind each one; behind the last, the picture without noise."""
    return [_level(timestep) for timestep in timesteps[1:]] + [(1.0, 0.0)]
