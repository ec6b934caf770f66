"""Weights by rule, where no training has been: those of the golden data, and those of `tiny`.

Every tensor follows from its key alone, so that any implementation makes the same weights without a file.
"""

import zlib
from collections.abc import Callable

import numpy as np
import torch

from xmdpt.nn.checkpoint import official_name
from xmdpt.nn.network import XMDPT
from xmdpt.nn.pipeline import Pipeline

Rule = Callable[[str, tuple[int, ...]], np.ndarray]
"""Official key and shape to values."""

_NORMS = ("mlp_dino_pose", "mlp_dino_img", "conv1d_pose", "conv1d_global", "conv1d_local", "mlp_final")
_NORM_WEIGHTS = {f"{part}.2.weight" for part in _NORMS}
_POSITIONS = {"pos_embed", "decoder_pos_embed"}


def golden_base(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Small weights throughout: the golden data's rule "base". Float64 of the given shape."""
    return (key in _NORM_WEIGHTS) + seeded_normal(key, shape) * 0.02


def golden_strong(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that keep activations at unit size, so that each mistake shows: the golden data's rule "strong"."""
    if key.endswith("relative_position_bias_table"):
        scale = 1.0
    elif len(shape) > 1 and key != "mask_token":
        scale = np.prod(shape[1:]) ** -0.5
    else:
        scale = 0.1
    return (key in _NORM_WEIGHTS) + seeded_normal(key, shape) * scale


def seeded_normal(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers that depend on the key alone: float64 of the given shape."""
    return np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)


def fill_golden(network: XMDPT, rule: Rule) -> None:
    """Give a network the weights of a golden rule; positions keep the sine and cosine values they start with."""
    for name, tensor in network.state_dict().items():
        key = official_name(name)
        if key not in _POSITIONS:
            tensor.copy_(torch.from_numpy(rule(key, tuple(tensor.shape))))


def fill_untrained(pipeline: Pipeline) -> None:
    """Give every network of a pipeline the weights of the placeholder.

    All values of a tensor are integers within -127..127 times one power of two, so that a byte each stores them.
    """
    for name, tensor in pipeline.state_dict().items():
        values = tensor.numpy() if name.endswith("positions") else _placeholder(name, tuple(tensor.shape))
        step = 2.0 ** np.ceil(np.log2(np.abs(values).max() / 127))
        tensor.copy_(torch.from_numpy(np.round(values / step) * step))


def _placeholder(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The rule "strong" for all networks: activations of unit size, nothing zero."""
    values = seeded_normal(name, shape)
    if name.endswith(("pos_embed", "cls_token")):
        return values * 0.5
    if name.endswith("gamma"):
        return 0.5 + values * 0.2
    if name.endswith("bias.table"):
        return values
    if len(shape) > 1:
        return values * np.prod(shape[1:]) ** -0.5
    # The only weights with one axis are those of norms; deviations are not negative either.
    return name.endswith(("weight", "latent_std")) + values * 0.1
