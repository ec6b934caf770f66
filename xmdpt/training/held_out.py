"""How good a denoiser is on pairs that it was not trained on, in figures and as a sheet for the eye."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmdpt.evaluation.metrics import psnr
from xmdpt.nn.pipeline import Autoencoder
from xmdpt.nn.pixels import from_pixels
from xmdpt.nn.reference import as_noise, ddim_steps, guided
from xmdpt.noise_schedule import kept_timesteps
from xmdpt.spec import Variant
from xmdpt.training.batches import Batch
from xmdpt.training.denoiser import Denoiser
from xmdpt.training.loop import Look
from xmdpt.training.losses import denoised_of, noised
from xmdpt.training.preparation import Preparation
from xmdpt.training.sheets import sheet

_TIMESTEPS = (950, 400, 150)
_NUM_STEPS = 25
_GUIDANCE = 2.0


class HeldOut:
    """Some pairs with all that is compared."""

    def __init__(
        self,
        variant: Variant,
        preparation: Preparation,
        vae: Autoencoder,
        sources: NDArray[np.uint8],
        targets: NDArray[np.uint8],
        skeletons: NDArray[np.uint8],
        num_drawn: int,
    ) -> None:
        """Prepare the pairs, [B, 256, 256, 3] u8 each; pictures are drawn of the first `num_drawn`."""
        self._variant, self._vae = variant, vae
        self._pictures = list(zip(sources, skeletons, targets, strict=True))[:num_drawn]
        self._batch = preparation.batch(sources, targets, skeletons)

    def look(self, denoiser: Denoiser) -> Look:
        """Return the figures of a denoiser.

        `x0_<t>` is the mean squared error of the predicted latents at a timestep, `x0_<t>_other_pose` the same when
        each pair is shown the pose of another: a denoiser that follows the pose gets worse by it.
        """
        conditions = condition_of(denoiser, self._batch)
        figures = {f"x0_{t}": self._error(denoiser, conditions, t) for t in _TIMESTEPS}
        shuffled = replace(self._batch, skeleton=self._batch.skeleton.roll(1, 0))
        figures[f"x0_{_TIMESTEPS[0]}_other_pose"] = self._error(
            denoiser, condition_of(denoiser, shuffled), _TIMESTEPS[0]
        )
        drawn = self._draw(denoiser, conditions[: len(self._pictures)])
        figures["psnr"] = float(np.mean([psnr(d, t) for d, (_, _, t) in zip(drawn, self._pictures, strict=True)]))
        rows = [(source, skeleton, d, t) for d, (source, skeleton, t) in zip(drawn, self._pictures, strict=True)]
        return Look(figures, sheet(rows))

    def _error(self, denoiser: Denoiser, conditions: Tensor, timestep: int) -> float:
        target = self._batch.target
        noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(timestep))
        timesteps = torch.full((len(target),), timestep)
        latents = noised(target, noise, timesteps)
        prediction = denoiser.xmdpt.tdnet(latents, timesteps.float(), conditions).float()[:, :4]
        denoised = denoised_of(prediction, latents, timesteps, self._variant.prediction)
        return float((denoised - target).square().mean())

    def _draw(self, denoiser: Denoiser, conditions: Tensor) -> NDArray[np.uint8]:
        latents = torch.randn(self._batch.target[: len(conditions)].shape, generator=torch.Generator().manual_seed(0))
        predict = as_noise(guided(denoiser.xmdpt.tdnet, conditions, _GUIDANCE), self._variant.prediction)
        *_, (latents, _) = ddim_steps(predict, latents, kept_timesteps(_NUM_STEPS).tolist())
        return from_pixels(self._vae.decode(latents.float() / self._variant.latent_scale).float())


def condition_of(denoiser: Denoiser, batch: Batch) -> Tensor:
    """Return [B, D], the condition of each pair."""
    xmdpt = denoiser.xmdpt
    source_vector = xmdpt.source_vector(denoiser.photo_extractor(batch.photo), batch.source)
    pose_vector = xmdpt.canet.pose_vector(denoiser.pose_extractor(batch.skeleton))
    return xmdpt.canet.condition(source_vector, pose_vector)
