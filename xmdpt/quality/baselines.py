"""What generated pictures are compared with: floors that any model must pass, and the ceiling that its latents set.

Does not score anything (`xmdpt.quality.scoring`).
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from xmdpt.evaluation.generators import Model
from xmdpt.evaluation.mistakes import RunError
from xmdpt.nn.bundle import is_bundled
from xmdpt.nn.loading import LoadedNetworks, WeightPaths
from xmdpt.nn.pixels import to_pixels
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.persons.domain import DEMO, Domain
from xmdpt.persons.render import render_pair
from xmdpt.quality.held_out import Pictures
from xmdpt.repository import shared_weights_path
from xmdpt.spec import VARIANTS

NUM_AVERAGED = 128
"""Training pictures that the mean picture is made of."""


def mean_picture(domain: Domain = DEMO, count: int = NUM_AVERAGED) -> NDArray[np.uint8]:
    """Return the mean of one picture each of training persons 0 to count - 1, [256, 256, 3] uint8 RGB.

    What a model draws that has learned nothing but the average; 25 ms a person on one core.
    """
    pictures = (render_pair(seed, domain, split="train", num_views=1).views[0].picture for seed in range(count))
    return np.rint(sum(picture.astype(np.float64) for picture in pictures) / count).astype(np.uint8)


class Decoder(Protocol):
    """The part of a repository's generator that is used here."""

    model: Model

    def decode(self, latents: NDArray[np.float32]) -> Pictures:
        """Return the pictures [N, 256, 256, 3] of scaled latents [N, 4, 32, 32]."""
        ...


class Autoencoder:
    """A repository's way to latents and back: the encoder of its weights in torch, its exported decoder.

    The encoder has no graph of its own: it is a part of `source_encoder`.
    """

    def __init__(self, root: Path, decoder: Decoder) -> None:
        """Load the encoder.

        Args:
            root: of the repository.
            decoder: of the same.

        Raises:
            RunError: the weights are damaged.
        """
        variant = VARIANTS[decoder.model.variant]
        weights = root / shared_weights_path(variant.name)
        paths = WeightPaths(weights) if is_bundled(variant) and weights.exists() else WeightPaths()
        self._decoder, self._scale = decoder, variant.latent_scale
        try:
            self._vae = LoadedNetworks(variant, paths).vae
        except (CheckpointError, OSError) as error:
            raise RunError(str(error)) from None

    @staticmethod
    def is_there(root: Path, decoder: Decoder) -> bool:
        """Whether the repository holds the encoder: not if it was built of files that stayed with their owner."""
        has_weights = (root / shared_weights_path(decoder.model.variant)).exists()
        return has_weights or not decoder.model.is_trained

    def rebuilt(self, pictures: Pictures) -> Pictures:
        """Return pictures [N, 256, 256, 3] uint8 RGB as they come back from their latents, the posterior's mode."""
        x = to_pixels(pictures)
        with torch.inference_mode():
            latents = self._vae.encode_mode(x) * self._scale
        return self._decoder.decode(latents.numpy())
