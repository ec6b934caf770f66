"""All networks of one variant: those that X-MDPT trains, the two frozen extractors and the frozen autoencoder.

Runs nothing by itself: `xmdpt.nn.reference` is the loop, `export.graphs` are the exported parts.
"""

from typing import Protocol

from torch import nn

from xmdpt.nn.dinov2 import Dinov2
from xmdpt.nn.network import XMDPT
from xmdpt.nn.vae import Vae
from xmdpt.spec import Variant


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
    def pose_extractor(self) -> Dinov2:
        """Sees the skeleton."""
        ...

    @property
    def photo_extractor(self) -> Dinov2:
        """Sees the photo."""
        ...

    @property
    def vae(self) -> Vae:
        """Between pictures and latents."""
        ...


class Pipeline(nn.Module):
    """All of the networks at once."""

    def __init__(self, variant: Variant):
        super().__init__()
        self.variant = variant
        self.xmdpt = XMDPT(variant)
        self.pose_extractor = Dinov2(variant.pose_extractor)
        self.photo_extractor = Dinov2(variant.photo_extractor)
        self.vae = Vae(variant.vae)


def build_pipeline(variant: Variant) -> Pipeline:
    """Return a variant's networks in evaluation mode, without gradients; their weights are still to be loaded."""
    return Pipeline(variant).eval().requires_grad_(False)
