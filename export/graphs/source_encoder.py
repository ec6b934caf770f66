"""The graph `source_encoder`: a photo to the part of the condition that depends on the photo alone.

Does not decode or resize picture files (`xmdpt.preprocess`).
"""

from torch import Tensor, nn

from xmdpt.nn.pipeline import Networks


class SourceEncoderGraph(nn.Module):
    """Tokens and the VAE posterior's mode of one photo, pooled and summed."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.extractor = networks.photo_extractor
        self.vae = networks.vae
        self.latent_embedder = networks.xmdpt.tdnet.latent_embedder
        self.canet = networks.xmdpt.canet
        self.latent_scale = networks.variant.latent_scale

    def forward(self, photo: Tensor) -> Tensor:
        """Return source_vector [B, D] of photo [B, 256, 256, 3] u8 RGB."""
        # Numbers before anything else: TensorRT takes u8 at a graph's border only.
        x = photo.float().permute(0, 3, 1, 2) / 127.5 - 1
        photo_tokens = self.extractor(self.extractor.shrink(x))
        source_latents = self.vae.encode_mode(x) * self.latent_scale
        return self.canet.source_vector(photo_tokens, self.latent_embedder(source_latents))
