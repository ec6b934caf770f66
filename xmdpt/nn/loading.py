"""A variant's networks from the files that a user names, or by the rule where there are none.

Does not know the files' keys (`xmdpt.nn.bundle`, `xmdpt.nn.checkpoint`, `xmdpt.nn.encoder_files`) or the rule's
numbers (`xmdpt.nn.untrained`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

from torch import nn

from xmdpt.nn.bundle import is_bundled, load_bundle
from xmdpt.nn.checkpoint import load_xmdpt
from xmdpt.nn.dinov2 import Dinov2
from xmdpt.nn.encoder_files import PHOTO_EXTRACTOR_FILE, POSE_EXTRACTOR_FILE, load_dinov2, load_vae, vae_file
from xmdpt.nn.network import XMDPT
from xmdpt.nn.pipeline import Autoencoder, Extractor, Networks, Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.spec import ConvExtractorConfig, Dinov2Config, PatchVaeConfig, Variant

Network = TypeVar("Network", bound=nn.Module)

UNTRAINED = "untrained: random numbers by the rule of xmdpt/nn/untrained.py, each tensor following from its name"
"""Where weights come from that no file holds."""

_MAY_MIX_FILES_AND_RULE = {"tiny"}


@dataclass(frozen=True)
class WeightPaths:
    """The files of a variant's weights.

    Attributes:
        weights: official checkpoint of TDNet and CANet, or a bundle (`xmdpt.nn.bundle`), which then is all.
        vae: diffusers folder, or a file of its weights.
        dino: folder with both hub files of DINOv2.
    """

    weights: Path | None = None
    vae: Path | None = None
    dino: Path | None = None

    def is_complete_for(self, variant: Variant) -> bool:
        """Every network of the variant has its file."""
        needed = (self.weights,) if is_bundled(variant) else (self.weights, self.vae, self.dino)
        return None not in needed

    def files(self, variant: Variant) -> dict[str, Path]:
        """Return the file of each network that has one, a bundle under the name `bundle`.

        Raises:
            CheckpointError: some files are given and some are not, though the variant needs all, files are given that
                the variant does not have, or a folder lacks one.
        """
        if is_bundled(variant):
            if self.vae or self.dino:
                message = "takes --weights alone: one file holds all of its networks"
                raise CheckpointError(f"the variant {variant.name} {message}")
            return {"bundle": self.weights} if self.weights else {}
        is_partial = not self.is_complete_for(variant) and self != WeightPaths()
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
    def bundle(self) -> Pipeline:
        """All networks at once: of the variant's one file, or by the rule for those that have none."""
        path = self._paths.weights
        if path is None or not is_bundled(self.variant):
            return _untrained(self.variant)
        return self._changed(load_bundle(self.variant, path))

    @cached_property
    def xmdpt(self) -> XMDPT:
        """TDNet and CANet."""
        path = self._paths.weights
        if path is None or is_bundled(self.variant):
            return self.bundle.xmdpt
        return self._changed(load_xmdpt(self.variant, path))

    @cached_property
    def pose_extractor(self) -> Extractor:
        """Sees the skeleton."""
        return self._dinov2(self.variant.pose_extractor, POSE_EXTRACTOR_FILE) or self.bundle.pose_extractor

    @cached_property
    def photo_extractor(self) -> Extractor:
        """Sees the photo."""
        return self._dinov2(self.variant.photo_extractor, PHOTO_EXTRACTOR_FILE) or self.bundle.photo_extractor

    @cached_property
    def vae(self) -> Autoencoder:
        """Between pictures and latents."""
        config, path = self.variant.vae, self._paths.vae
        if path is None or isinstance(config, PatchVaeConfig):
            return self.bundle.vae
        return self._changed(load_vae(config, self.variant.latent_scale, path))

    def _dinov2(self, config: Dinov2Config | ConvExtractorConfig, file: str) -> Dinov2 | None:
        """Return the extractor of a hub file; None where no file is given or the variant has another extractor."""
        folder = self._paths.dino
        if folder is None or isinstance(config, ConvExtractorConfig):
            return None
        return self._changed(load_dinov2(config, folder / file))

    def _changed(self, network: Network) -> Network:
        if self._change:
            self._change(network)
        return network


@cache
def _untrained(variant: Variant) -> Pipeline:
    pipeline = build_pipeline(variant)
    fill_untrained(pipeline)
    return pipeline
