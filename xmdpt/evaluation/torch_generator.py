"""The reference pipeline in torch, one picture after the other: to check the graphs on a few pairs.

Does not hold the loop (`xmdpt.nn.reference`).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from xmdpt.evaluation.generators import Model, Pictures, Sampling
from xmdpt.evaluation.mistakes import InputError
from xmdpt.nn.loading import UNTRAINED, LoadedNetworks, WeightPaths
from xmdpt.nn.reference import reference_picture, source_vectors_of
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.repository import file_digest
from xmdpt.spec import Variant


class TorchGenerator:
    """Generator by the reference."""

    def __init__(self, variant: Variant, paths: WeightPaths):
        """Load the networks.

        Args:
            variant: shape of the networks.
            paths: official files; without any, weights follow the untrained rule.

        Raises:
            InputError: a file cannot be read or does not fit.
        """
        self._networks = LoadedNetworks(variant, paths)
        try:
            files = paths.files(variant)
            for network in ("xmdpt", "pose_extractor", "photo_extractor", "vae"):
                getattr(self._networks, network)
        except CheckpointError as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}; correct the path") from None
        digest = f"sha256:{_digest(files)}" if files else "untrained"
        origin = "; ".join(f"{network} {path.name}" for network, path in files.items()) or UNTRAINED
        self.model = Model(variant.name, f"torch {torch.__version__}", digest, origin, paths.is_complete_for(variant))

    def pictures(self, photos: Pictures, skeletons: Pictures, seeds: list[int], sampling: Sampling) -> Pictures:
        """See Generator."""
        how = (sampling.num_steps, sampling.guidance, sampling.sampler)
        return np.stack(
            [
                reference_picture(self._networks, photo, skeleton, seed, *how)
                for photo, skeleton, seed in zip(photos, skeletons, seeds, strict=True)
            ]
        )

    def source_vectors(self, photos: Pictures) -> NDArray[np.float32]:
        """See Generator."""
        with torch.inference_mode():
            return source_vectors_of(self._networks, photos).numpy()


def _digest(files: Mapping[str, Path]) -> str:
    """SHA-256 over all files in their order: another file gives other pictures."""
    total = hashlib.sha256()
    for path in files.values():
        total.update(bytes.fromhex(file_digest(path)))
    return total.hexdigest()
