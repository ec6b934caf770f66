"""The graph `vae_decoder`: finished latents to the picture's pixels.

Does not write picture files.
"""

import torch
from torch import Tensor, nn

from xmdpt.nn.pipeline import Networks


class VaeDecoderGraph(nn.Module):
    """The decoder with the latent scale before it and the conversion to pixels behind it."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.vae = networks.vae
        self.latent_scale = networks.variant.latent_scale

    def forward(self, latents: Tensor) -> Tensor:
        """Return image [B, 256, 256, 3] u8 RGB of latents [B, 4, 32, 32], scaled."""
        x = self.vae.decode(latents / self.latent_scale)
        pixels = ((x + 1) * 127.5).round().clamp(0, 255)
        # Bytes last: TensorRT gives u8 at a graph's border only.
        return pixels.permute(0, 2, 3, 1).to(torch.uint8)
