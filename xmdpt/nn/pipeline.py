"""All networks of one variant: those that X-MDPT trains, the two extractors and the frozen autoencoder.

Runs nothing by itself: `xmdpt.nn.reference` is the loop, `export.graphs` are the exported parts.
"""

from typing import Protocol

from torch import nn

from xmdpt.nn.conv_extractor import ConvExtractor
from xmdpt.nn.dinov2 import Dinov2
from xmdpt.nn.network import XMDPT
from xmdpt.nn.patch_vae import PatchVae
from xmdpt.nn.vae import Vae
from xmdpt.spec import ConvExtractorConfig, Dinov2Config, PatchVaeConfig, VaeConfig, Variant

Extractor = Dinov2 | ConvExtractor
"""Picture to tokens: `extractor(extractor.shrink(x))`."""

Autoencoder = Vae | PatchVae


class Networks(Protocol):
    """What stands between a photo and a skeleton on one side and the picture on the other.

    An implementation may load each network when it is first asked for: a graph needs some of them only.
    """

    variant: Variant

    @property
    def xmdpt(self) -> XMDPT:
        """TDNet and CANet."""
        ...

    @property
    def pose_extractor(self) -> Extractor:
        """Sees the skeleton."""
        ...

    @property
    def photo_extractor(self) -> Extractor:
        """Sees the photo."""
        ...

    @property
    def vae(self) -> Autoencoder:
        """Between pictures and latents."""
        ...


class Pipeline(nn.Module):
    """All of the networks at once."""

    def __init__(self, variant: Variant):
        super().__init__()
        self.variant = variant
        self.xmdpt = XMDPT(variant)
        self.pose_extractor = build_extractor(variant.pose_extractor)
        self.photo_extractor = build_extractor(variant.photo_extractor)
        self.vae = build_autoencoder(variant.vae)


def build_extractor(config: Dinov2Config | ConvExtractorConfig) -> Extractor:
    """Return the extractor of a configuration's kind, its weights still to be loaded or trained."""
    return Dinov2(config) if isinstance(config, Dinov2Config) else ConvExtractor(config)


def build_autoencoder(config: VaeConfig | PatchVaeConfig) -> Autoencoder:
    """Return the autoencoder of a configuration's kind, its weights still to be loaded or trained."""
    return Vae(config) if isinstance(config, VaeConfig) else PatchVae(config)


def build_pipeline(variant: Variant) -> Pipeline:
    """Return a variant's networks in evaluation mode, without gradients; their weights are still to be loaded."""
    return Pipeline(variant).eval().requires_grad_(False)
