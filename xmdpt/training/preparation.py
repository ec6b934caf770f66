"""Pictures to what the denoiser's training sees: the frozen networks, and the first step of those that are trained."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmdpt.nn.pipeline import Autoencoder, Extractor
from xmdpt.nn.pixels import to_pixels
from xmdpt.nn.vae import Vae, posterior_sample
from xmdpt.spec import ConvExtractorConfig, Variant
from xmdpt.training.batches import Batch
from xmdpt.training.mixed_precision import mixed_precision


class Preparation:
    """The frozen networks of a variant; its trained extractors only shrink the pictures here."""

    def __init__(
        self, variant: Variant, vae: Autoencoder, pose_extractor: Extractor, photo_extractor: Extractor
    ) -> None:
        self._vae, self._scale = vae, variant.latent_scale
        self._extractors = (pose_extractor, photo_extractor)
        self._are_trained = isinstance(variant.pose_extractor, ConvExtractorConfig)

    @torch.no_grad()
    def batch(
        self,
        sources: NDArray[np.uint8],
        targets: NDArray[np.uint8],
        skeletons: NDArray[np.uint8],
        draw: torch.Generator | None = None,
    ) -> Batch:
        """Return what training sees of B pairs.

        Args:
            sources: [B, 256, 256, 3] u8.
            targets: the same persons in other poses.
            skeletons: of the targets.
            draw: latents are drawn from the autoencoder's posterior, as the paper's are; None: its mode.
        """
        with mixed_precision():
            photo, pose = to_pixels(sources), _brightest_one(skeletons)
            latents = [self._latents(to_pixels(pictures), draw).float() for pictures in (targets, sources)]
            skeleton, photo = (self._first(e, x) for e, x in zip(self._extractors, (pose, photo), strict=True))
        target, source = latents
        return Batch(target, source, photo.float(), skeleton.float())

    def _latents(self, x: Tensor, draw: torch.Generator | None) -> Tensor:
        if draw is None or not isinstance(self._vae, Vae):
            return self._vae.encode_mode(x) * self._scale
        moments = self._vae.encode_moments(x).float()
        noise = torch.randn(moments[:, : moments.shape[1] // 2].shape, generator=draw)
        return posterior_sample(moments, noise) * self._scale

    def _first(self, extractor: Extractor, x: Tensor) -> Tensor:
        small = extractor.shrink(x)
        return small if self._are_trained else extractor(small)


def _brightest_one(skeletons: NDArray[np.uint8]) -> Tensor:
    """[B, H, W, 3] u8 to [B, 3, H, W] f32, each divided by its own maximum as the exported graph does."""
    x = torch.from_numpy(skeletons).permute(0, 3, 1, 2).float()
    return x / x.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)
