"""The reference pipeline in torch, one picture after the other: to check the graphs on a few pairs.

Does not hold the loop (`xmdpt.nn.reference`).
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xmdpt.evaluation.generators import Model, Pictures, Sampling
from xmdpt.evaluation.weight_files import fill
from xmdpt.nn.dinov2 import resize_224
from xmdpt.nn.pipeline import build_pipeline
from xmdpt.nn.reference import reference_picture
from xmdpt.nn.untrained import fill_untrained
from xmdpt.spec import Variant


class TorchGenerator:
    """Generator by the reference."""

    def __init__(self, variant: Variant, weights: Path | None):
        """Build the networks.

        Args:
            variant: shape of the networks.
            weights: safetensors file of the whole pipeline; None takes the untrained rule.

        Raises:
            InputError: the file cannot be read or does not fit.
        """
        self._pipeline = build_pipeline(variant)
        digest, origin = "untrained", "untrained: random numbers by the rule of xmdpt/nn/untrained.py"
        if weights is None:
            fill_untrained(self._pipeline)
        else:
            fill(self._pipeline, [weights])
            with weights.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            origin = f"{weights.name}, {digest}"
        self.model = Model(variant.name, f"torch {torch.__version__}", digest, origin, weights is not None)

    def pictures(self, photos: Pictures, skeletons: Pictures, seeds: list[int], sampling: Sampling) -> Pictures:
        """See Generator."""
        how = (sampling.num_steps, sampling.guidance, sampling.sampler)
        return np.stack(
            [
                reference_picture(self._pipeline, photo, skeleton, seed, *how)
                for photo, skeleton, seed in zip(photos, skeletons, seeds, strict=True)
            ]
        )

    def source_vectors(self, photos: Pictures) -> NDArray[np.float32]:
        """See Generator."""
        with torch.inference_mode():
            x = torch.from_numpy(photos).permute(0, 3, 1, 2) / 127.5 - 1
            latents = self._pipeline.vae.encode_mode(x) * self._pipeline.variant.latent_scale
            tokens = self._pipeline.photo_extractor(resize_224(x))
            return self._pipeline.xmdpt.source_vector(tokens, latents).numpy()
