"""TDNet and CANet together: what X-MDPT trains and what its checkpoints hold.

Does not hold the frozen networks around them (`xmdpt.nn.pipeline`).
"""

from torch import Tensor, nn

from xmdpt.nn.canet import CANet
from xmdpt.nn.tdnet import TDNet
from xmdpt.spec import Variant


class XMDPT(nn.Module):
    """TDNet and CANet of one variant.

    TDNet's embedder of latents also embeds CANet's source latents; this class is where the two meet.
    """

    def __init__(self, variant: Variant):
        super().__init__()
        self.tdnet = TDNet(variant)
        self.canet = CANet(variant)

    def source_vector(self, photo_tokens: Tensor, source_latents: Tensor) -> Tensor:
        """Return [B, D] of DINOv2 tokens [B, 257, W] and scaled latents [B, 4, 32, 32] of the same photo."""
        return self.canet.source_vector(photo_tokens, self.tdnet.latent_embedder(source_latents))
