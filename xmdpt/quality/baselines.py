"""What generated pictures are compared with: floors that any model must pass, and the ceiling that its latents set.

Does not score anything (`xmdpt.quality.scoring`).
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.evaluation.mistakes import RunError
from xmdpt.nn.bundle import is_bundled
from xmdpt.nn.loading import LoadedNetworks, WeightPaths
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.persons.domain import DEMO, Domain
from xmdpt.persons.render import render_pair
from xmdpt.quality.held_out import Pictures
from xmdpt.repository import shared_weights_path
from xmdpt.spec import VARIANTS

NUM_AVERAGED = 128
"""Training pictures that the mean picture is made of; with twice as many it differs by one grey level."""


def mean_picture(domain: Domain = DEMO, count: int = NUM_AVERAGED) -> NDArray[np.uint8]:
    """Return the mean of the target pictures of training persons 0 to count - 1, [256, 256, 3] uint8 RGB.

    What a model draws that has learned nothing but the average; 50 ms a person on one core.
    """
    pictures = (render_pair(seed, domain, split="train").views[1].picture for seed in range(count))
    return np.rint(sum(picture.astype(np.float64) for picture in pictures) / count).astype(np.uint8)


class Autoencoder:
    """A repository's way to latents and back: the encoder of its weights in torch, its exported decoder.

    The encoder has no graph of its own: it is a part of `source_encoder`.
    """

    def __init__(self, root: Path, generator: GraphGenerator) -> None:
        """Load the encoder.

        Args:
            root: of the repository.
            generator: of the same.

        Raises:
            RunError: the weights are damaged.
        """
        variant = VARIANTS[generator.model.variant]
        weights = root / shared_weights_path(variant.name)
        paths = WeightPaths(weights) if is_bundled(variant) and weights.exists() else WeightPaths()
        self._generator, self._scale = generator, variant.latent_scale
        try:
            self._vae = LoadedNetworks(variant, paths).vae
        except (CheckpointError, OSError) as error:
            raise RunError(str(error)) from None

    @staticmethod
    def is_there(root: Path, generator: GraphGenerator) -> bool:
        """Whether the repository holds the encoder: not if it was built of files that stayed with their owner."""
        has_weights = (root / shared_weights_path(generator.model.variant)).exists()
        return has_weights or not generator.model.is_trained

    def rebuilt(self, pictures: Pictures) -> Pictures:
        """Return pictures [N, 256, 256, 3] uint8 RGB as they come back from their latents, the posterior's mode."""
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.inference_mode():
            latents = self._vae.encode_mode(x) * self._scale
        return self._generator.decode(latents.numpy())
