"""Weights by rule for DINOv2 and the autoencoder: those of the golden data, under the keys of the official files.

Makes networks without a file. Does not read files (`xmdpt.nn.encoder_files`); the rules of the denoiser and of the
placeholder are in `xmdpt.nn.untrained`.
"""

import numpy as np
import torch
from torch import Tensor

from xmdpt.nn.dinov2 import HUB_TOKENS, Dinov2, bake_position_table
from xmdpt.nn.untrained import Rule, seeded_normal
from xmdpt.nn.vae import Vae
from xmdpt.nn.weight_files import assembled
from xmdpt.spec import Dinov2Config, VaeConfig

_DINOV2_NORM_WEIGHTS = ("norm.weight", "norm1.weight", "norm2.weight")


def dinov2_base(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Small weights throughout, norms and LayerScale near 1: the golden rule "base". Float64 of the given shape."""
    return key.endswith((*_DINOV2_NORM_WEIGHTS, ".gamma")) + seeded_normal(key, shape) * 0.02


def dinov2_strong(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep activations at unit size: the golden rule "strong". Float64 of the given shape."""
    values = seeded_normal(key, shape)
    if key in ("pos_embed", "cls_token"):
        return values * 0.5
    if key.endswith(".gamma"):
        return 0.5 + values * 0.2
    if len(shape) > 1 and key != "mask_token":
        return values * np.prod(shape[1:]) ** -0.5
    return key.endswith(_DINOV2_NORM_WEIGHTS) + values * 0.1


def vae_rule(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep activations at unit size. Float64 of the given shape."""
    values = seeded_normal(key, shape)
    if len(shape) > 1:
        return values * np.prod(shape[1:]) ** -0.5
    # The only weights with one axis are those of norms.
    return key.endswith("weight") + values * 0.1


def dinov2_by_rule(config: Dinov2Config, rule: Rule) -> Dinov2:
    """Return an extractor whose weights follow from the hub's keys; made tensor by tensor, each once in memory."""

    def weights(key: str, shape: tuple[int, ...]) -> Tensor:
        if key == "pos_embed":
            return bake_position_table(_float32(rule(key, (1, HUB_TOKENS, config.width))))
        return _float32(rule(key, shape))

    return assembled(lambda: Dinov2(config), weights)


def vae_by_rule(config: VaeConfig) -> Vae:
    """Return an autoencoder whose weights follow from diffusers' keys."""
    return assembled(lambda: Vae(config), lambda key, shape: _float32(vae_rule(key, shape)))


def _float32(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
