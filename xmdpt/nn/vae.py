"""The frozen autoencoder between pictures and latents, with the key names of diffusers' AutoencoderKL.

Does not know the latent scale: what it encodes and decodes is unscaled (`Variant.latent_scale` is applied outside).

Source: diffusers `AutoencoderKL` in the configuration of stabilityai/sd-vae-ft-mse.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmdpt.spec import LATENT_SHAPE, VaeConfig

_GROUP_NORM_EPS = 1e-6
_LATENT_CHANNELS = LATENT_SHAPE[0]
_LOG_VARIANCE_RANGE = (-30.0, 20.0)


class Vae(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1] to unscaled latents [B, 4, H/8, W/8] and back; H and W multiples of 8."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.encoder = _Encoder(config)
        self.decoder = _Decoder(config)
        self.quant_conv = nn.Conv2d(2 * _LATENT_CHANNELS, 2 * _LATENT_CHANNELS, 1)
        self.post_quant_conv = nn.Conv2d(_LATENT_CHANNELS, _LATENT_CHANNELS, 1)

    def encode_moments(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] f32 in [-1, 1] to [B, 8, H/8, W/8]: the posterior's mean, then its log variance."""
        # A transposed picture would take torch's channels-last GroupNorm, which loses three digits on flat pictures.
        return self.quant_conv(self.encoder(x.contiguous()))

    def encode_mode(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] f32 in [-1, 1] to unscaled latents [B, 4, H/8, W/8]: the posterior's mean, nothing drawn."""
        return self.encode_moments(x)[:, :_LATENT_CHANNELS]

    def decode(self, unscaled_latents: Tensor) -> Tensor:
        """[B, 4, h, w] f32 to pictures [B, 3, 8h, 8w] f32, about [-1, 1] and not clamped."""
        return self.decoder(self.post_quant_conv(unscaled_latents))


def posterior_sample(moments: Tensor, noise: Tensor) -> Tensor:
    """Unscaled latents [B, 4, h, w] drawn from the posterior `encode_moments` tells; noise is standard normal."""
    mean, log_variance = moments.chunk(2, dim=1)
    return mean + torch.exp(log_variance.clamp(*_LOG_VARIANCE_RANGE) / 2) * noise


class _Encoder(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        channels = config.block_channels
        self.conv_in = _conv3x3(3, channels[0])
        self.down_blocks = nn.ModuleList(
            _DownBlock(c_in, c_out, config, is_last=index == len(channels) - 1)
            for index, (c_in, c_out) in enumerate(pairwise((channels[0], *channels)))
        )
        self.mid_block = _MidBlock(channels[-1], config.groups)
        self.conv_norm_out = _norm(channels[-1], config.groups)
        self.conv_out = _conv3x3(channels[-1], 2 * _LATENT_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        x = self.mid_block(x)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


class _Decoder(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        channels = config.block_channels[::-1]
        self.conv_in = _conv3x3(_LATENT_CHANNELS, channels[0])
        self.mid_block = _MidBlock(channels[0], config.groups)
        self.up_blocks = nn.ModuleList(
            _UpBlock(c_in, c_out, config, is_last=index == len(channels) - 1)
            for index, (c_in, c_out) in enumerate(pairwise((channels[0], *channels)))
        )
        self.conv_norm_out = _norm(channels[-1], config.groups)
        self.conv_out = _conv3x3(channels[-1], 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


class _DownBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, config: VaeConfig, is_last: bool) -> None:
        super().__init__()
        self.resnets = _resnets(c_in, c_out, config.layers_per_block, config.groups)
        self.downsamplers = nn.ModuleList([] if is_last else [_Downsample(c_out)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x)
        return x


class _UpBlock(nn.Module):
    """One resnet more than the encoder's block, then twice the size."""

    def __init__(self, c_in: int, c_out: int, config: VaeConfig, is_last: bool) -> None:
        super().__init__()
        self.resnets = _resnets(c_in, c_out, config.layers_per_block + 1, config.groups)
        self.upsamplers = nn.ModuleList([] if is_last else [_Upsample(c_out)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


class _MidBlock(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([_Attention(channels, groups)])
        self.resnets = _resnets(channels, channels, 2, groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class _Resnet(nn.Module):
    def __init__(self, c_in: int, c_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = _norm(c_in, groups)
        self.conv1 = _conv3x3(c_in, c_out)
        self.norm2 = _norm(c_out, groups)
        self.conv2 = _conv3x3(c_out, c_out)
        self.conv_shortcut = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        return hidden + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class _Attention(nn.Module):
    """Self-attention with a single head over all pixels, beside a residual path."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.group_norm = _norm(channels, groups)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        # [B, 1, H * W, C]: the axis of the one head keeps the tracer content.
        pixels = self.group_norm(x).flatten(2).transpose(1, 2).unsqueeze(1)
        mixed = functional.scaled_dot_product_attention(self.to_q(pixels), self.to_k(pixels), self.to_v(pixels))
        return x + self.to_out[0](mixed).squeeze(1).transpose(1, 2).unflatten(2, x.shape[2:])


class _Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        # One pixel on the right and at the bottom only: the trained weights expect this asymmetry.
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class _Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


def _resnets(c_in: int, c_out: int, count: int, groups: int) -> nn.ModuleList:
    return nn.ModuleList(_Resnet(c_in if index == 0 else c_out, c_out, groups) for index in range(count))


def _conv3x3(c_in: int, c_out: int) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, padding=1)


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(groups, channels, eps=_GROUP_NORM_EPS)
