"""A variant's networks from the files that a user names, or by the rule for the untrained placeholder.

Does not know the files' keys (`xmdpt.nn.checkpoint`, `xmdpt.nn.encoder_files`) or the rule's numbers
(`xmdpt.nn.untrained`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

from torch import nn

from xmdpt.nn.checkpoint import load_xmdpt
from xmdpt.nn.dinov2 import Dinov2
from xmdpt.nn.encoder_files import PHOTO_EXTRACTOR_FILE, POSE_EXTRACTOR_FILE, load_dinov2, load_vae, vae_file
from xmdpt.nn.network import XMDPT
from xmdpt.nn.pipeline import Networks, Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.nn.vae import Vae
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.spec import Variant

Network = TypeVar("Network", bound=nn.Module)

UNTRAINED = "untrained: random numbers by the rule of xmdpt/nn/untrained.py, each tensor following from its name"
"""Where weights come from that no file holds."""

_MAY_MIX_FILES_AND_RULE = {"tiny"}


@dataclass(frozen=True)
class WeightPaths:
    """The files of a variant's weights.

    Attributes:
        weights: official checkpoint of TDNet and CANet.
        vae: diffusers folder, or a file of its weights.
        dino: folder with both hub files of DINOv2.
    """

    weights: Path | None = None
    vae: Path | None = None
    dino: Path | None = None

    @property
    def is_complete(self) -> bool:
        """Every network has its file."""
        return None not in (self.weights, self.vae, self.dino)

    def files(self, variant: Variant) -> dict[str, Path]:
        """Return the file of each network that has one.

        Raises:
            CheckpointError: some files are given and some are not, though the variant needs all, or a folder lacks one.
        """
        is_partial = not self.is_complete and self != WeightPaths()
        if is_partial and variant.name not in _MAY_MIX_FILES_AND_RULE:
            raise CheckpointError(f"the variant {variant.name} needs --weights, --vae and --dino together")
        files = {"xmdpt": self.weights} if self.weights else {}
        if self.dino:
            files["pose_extractor"] = self.dino / POSE_EXTRACTOR_FILE
            files["photo_extractor"] = self.dino / PHOTO_EXTRACTOR_FILE
        if self.vae:
            files["vae"] = vae_file(self.vae)
        return files


class LoadedNetworks(Networks):
    """A variant's networks, each loaded when it is first asked for; forgetting this object frees them.

    Its attributes raise CheckpointError where a file does not fit, OSError where it cannot be read.
    """

    def __init__(
        self, variant: Variant, paths: WeightPaths, change: Callable[[nn.Module], object] | None = None
    ) -> None:
        """Nothing is loaded yet; `change` is called with each network that comes from a file."""
        self.variant = variant
        self._paths = paths
        self._change = change

    @cached_property
    def xmdpt(self) -> XMDPT:
        """TDNet and CANet."""
        path = self._paths.weights
        return self._changed(load_xmdpt(self.variant, path)) if path else _untrained(self.variant).xmdpt

    @cached_property
    def pose_extractor(self) -> Dinov2:
        """Sees the skeleton."""
        if self._paths.dino is None:
            return _untrained(self.variant).pose_extractor
        return self._changed(load_dinov2(self.variant.pose_extractor, self._paths.dino / POSE_EXTRACTOR_FILE))

    @cached_property
    def photo_extractor(self) -> Dinov2:
        """Sees the photo."""
        if self._paths.dino is None:
            return _untrained(self.variant).photo_extractor
        return self._changed(load_dinov2(self.variant.photo_extractor, self._paths.dino / PHOTO_EXTRACTOR_FILE))

    @cached_property
    def vae(self) -> Vae:
        """Between pictures and latents."""
        path, variant = self._paths.vae, self.variant
        return self._changed(load_vae(variant.vae, variant.latent_scale, path)) if path else _untrained(variant).vae

    def _changed(self, network: Network) -> Network:
        if self._change:
            self._change(network)
        return network


@cache
def _untrained(variant: Variant) -> Pipeline:
    pipeline = build_pipeline(variant)
    fill_untrained(pipeline)
    return pipeline
