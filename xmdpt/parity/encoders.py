"""DINOv2 and the autoencoder against the golden numbers, from the golden pictures on.

Knows which file is made of which network; the weights follow from `xmdpt.nn.encoder_rules`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from xmdpt.nn.dinov2 import Dinov2, resize_224
from xmdpt.nn.encoder_rules import dinov2_base, dinov2_by_rule, dinov2_strong, vae_by_rule
from xmdpt.nn.untrained import seeded_normal
from xmdpt.nn.vae import Vae, posterior_sample
from xmdpt.parity import tolerances
from xmdpt.parity.golden import Array, Golden, Outcome, Skipped, compared
from xmdpt.spec import VARIANTS, Dinov2Config, VaeConfig

PICTURES = "dinov2_resize"
"""The file that holds the pictures which everything here starts from."""

_RULES = {"base": dinov2_base, "strong": dinov2_strong}
# Those of tiny have the shape of the golden cuts.
_TINY, _PAPER = VARIANTS["tiny"], VARIANTS["s"]
# Of these two, unlike of the demo, they are of the official kinds.
_DINOV2 = cast(
    Mapping[str, Mapping[str, Dinov2Config]],
    {
        "dinov2_cut": {"b-cut.": _TINY.pose_extractor, "g-cut.": _TINY.photo_extractor},
        "dinov2_b14_full": {"": _PAPER.pose_extractor},
        "dinov2_g14_full": {"": _PAPER.photo_extractor},
    },
)
_VAES = cast(Mapping[str, VaeConfig], {"vae_tiny": _TINY.vae, "vae_ft_mse": _PAPER.vae})
_G_POSITION_STRIDE = 8
"""The golden table of the whole g extractor holds every eighth channel."""


def encoder_checks(name: str, golden: Golden, folder: Path) -> Iterator[Outcome]:
    """Compare one file.

    Args:
        name: of the file, one of `ENCODER_FILES`.
        golden: what it holds; of each array possibly the first entries along each axis only.
        folder: where the file with the pictures is.
    """
    x = golden_pictures(folder)
    if x is None:
        yield Skipped("all", f"the pictures in {PICTURES}.npz are not in this folder")
    elif name == PICTURES:
        made = {key: array for key, array in golden.items() if key != "img256_u8"}
        yield from _checks(made, {"x224": resize_224(x)}, tolerances.RESIZE)
    elif name in _VAES:
        yield from vae_checks(golden, vae_by_rule(_VAES[name]), name.removeprefix("vae_"), x)
    else:
        yield from _dinov2_file_checks(golden, _DINOV2[name], resize_224(x))


ENCODER_FILES = (PICTURES, *_DINOV2, *_VAES)


def golden_pictures(folder: Path) -> Tensor | None:
    """Return [N, 3, 256, 256] float32 in [-1, 1], or None where the folder does not hold them."""
    path = folder / f"{PICTURES}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as golden:
        return torch.from_numpy(golden["img256_u8"]).float() / 127.5 - 1


def _dinov2_file_checks(golden: Golden, configs: Mapping[str, Dinov2Config], x224: Tensor) -> Iterator[Outcome]:
    for network_prefix, config in configs.items():
        for rule, weights in _RULES.items():
            prefix = f"{network_prefix}{rule}."
            held = {key: array for key, array in golden.items() if key.startswith(prefix)}
            if held:
                num_pictures = max(len(array) for array in held.values())
                stride = _G_POSITION_STRIDE if config == _PAPER.photo_extractor else 1
                yield from dinov2_checks(held, dinov2_by_rule(config, weights), x224[:num_pictures], prefix, stride)


def dinov2_checks(
    golden: Golden, network: Dinov2, x224: Tensor, prefix: str, position_stride: int = 1
) -> Iterator[Outcome]:
    """The tokens of pictures [B, 3, 224, 224], and on the way the table, the first block's input and its output."""
    seen: dict[str, Tensor] = {}

    def keep(_block: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        seen["tokens0"], seen["block0_out"] = inputs[0], output

    watch = network.blocks[0].register_forward_hook(keep)
    with torch.inference_mode():
        seen["out"] = network(x224)
    watch.remove()
    seen["pos"] = network.pos_embed[:, :, ::position_stride]
    yield from _checks(golden, {f"{prefix}{name}": value for name, value in seen.items()}, tolerances.NETWORK)


def vae_checks(golden: Golden, network: Vae, name: str, x: Tensor) -> Iterator[Outcome]:
    """Encoder and decoder in float32, and in float64, where a wrong constant of a norm shows as well.

    Args:
        golden: what the file holds.
        network: with the weights of the rule; it is left in float64.
        name: "tiny" or "ft_mse", in the names of the golden random numbers.
        x: the golden pictures.
    """
    x = x[:1] if name == "ft_mse" else x[:, :, 96:160, 96:160]
    yield from _checks({key: array for key, array in golden.items() if key == "in"}, {"in": x}, tolerances.EXACT)
    golden = {key: array for key, array in golden.items() if key != "in"}
    for prefix, dtype, tolerance in (
        ("", torch.float32, tolerances.VAE),
        ("float64.", torch.float64, tolerances.VAE_FLOAT64),
    ):
        held = {f"{prefix}{key}": array for key, array in golden.items()}
        ours = _vae_arrays(network.to(dtype), name, x.to(dtype), is_mode_decoded="dec_mode.out" in golden)
        yield from _checks(held, {f"{prefix}{key}": value for key, value in ours.items()}, tolerance)


def _vae_arrays(network: Vae, name: str, x: Tensor, is_mode_decoded: bool) -> dict[str, Tensor]:
    shape = (len(x), 4, x.shape[2] // 8, x.shape[3] // 8)

    def drawn(kind: str) -> Tensor:
        return torch.from_numpy(seeded_normal(f"input.vae_{kind}.{name}", shape).astype(np.float32)).to(x)

    with torch.inference_mode():
        moments = network.encode_moments(x)
        arrays = {
            "moments": moments,
            "sample": posterior_sample(moments, drawn("eps")),
            "dec_z.out": network.decode(drawn("z")),
        }
        return arrays | ({"dec_mode.out": network.decode(moments[:, :4])} if is_mode_decoded else {})


def _checks(golden: Golden, ours: Mapping[str, Tensor], tolerance: float) -> Iterator[Outcome]:
    """Compare what the golden arrays hold of ours."""
    found: dict[str, Array] = {
        key: value.numpy()[tuple(slice(size) for size in golden[key].shape)]
        for key, value in ours.items()
        if key in golden
    }
    yield from compared(golden, {tolerance: found})
