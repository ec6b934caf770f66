"""The demo's autoencoder between pictures and latents: a KL autoencoder of patches, small enough to train on a CPU.

Does what `xmdpt.nn.vae` does for the paper's sizes, with latents whose channels it normalises itself.
"""

import torch
from torch import Tensor, nn

from xmdpt.nn.conv_layers import ResidualConv, conv3x3
from xmdpt.spec import LATENT_SHAPE, PatchVaeConfig

_PATCH = 4
_LATENT_CHANNELS = LATENT_SHAPE[0]
_LOG_VARIANCE_RANGE = (-20.0, 5.0)


class PatchVae(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1] to latents [B, 4, H/8, W/8] and back; H and W multiples of 8.

    Latents have mean 0 and deviation 1 per channel over the training pictures, once `latent_mean` and `latent_std`
    [4] are measured; before that they are what the encoder makes.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: PatchVaeConfig) -> None:
        super().__init__()
        fine, coarse = config.fine, config.coarse
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(_PATCH),
            conv3x3(3 * _PATCH**2, fine),
            ResidualConv(fine),
            conv3x3(fine, coarse, stride=2),
            ResidualConv(coarse),
            nn.Conv2d(coarse, 2 * _LATENT_CHANNELS, 1),
        )
        self.decoder = nn.Sequential(
            conv3x3(_LATENT_CHANNELS, coarse),
            ResidualConv(coarse),
            ResidualConv(coarse),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            ResidualConv(fine),
            conv3x3(fine, 3 * _PATCH**2),
            nn.PixelShuffle(_PATCH),
        )
        self.register_buffer("latent_mean", torch.zeros(_LATENT_CHANNELS))
        self.register_buffer("latent_std", torch.ones(_LATENT_CHANNELS))

    def encode_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] in [-1, 1] to the posterior's mean and log variance, [B, 4, H/8, W/8] each, not normalised."""
        mean, log_variance = self.encoder(x.contiguous()).float().chunk(2, dim=1)
        return mean, log_variance.clamp(*_LOG_VARIANCE_RANGE)

    def encode_mode(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] f32 in [-1, 1] to latents [B, 4, H/8, W/8]: the posterior's mean, nothing drawn."""
        return (self.encode_moments(x)[0] - _per_channel(self.latent_mean)) / _per_channel(self.latent_std)

    def decode(self, latents: Tensor) -> Tensor:
        """[B, 4, h, w] f32 to pictures [B, 3, 8h, 8w] f32, about [-1, 1] and not clamped."""
        return self.decoder(latents * _per_channel(self.latent_std) + _per_channel(self.latent_mean))


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]
