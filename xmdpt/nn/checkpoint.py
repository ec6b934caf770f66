"""The official checkpoint's names and ours, and networks from such checkpoints.

Does not make weights up (`xmdpt.nn.untrained`) nor read files (`xmdpt.nn.weight_files`).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from xmdpt.nn.network import XMDPT
from xmdpt.nn.weight_files import CheckpointError, check_fit, read_state
from xmdpt.spec import VARIANTS, Variant

_OFFICIAL_PREFIXES = {
    "tdnet.latent_embedder.projection.": "x_embedder.proj.",
    "tdnet.latent_embedder.positions": "pos_embed",
    "tdnet.timestep_embedder.": "t_embedder.",
    "tdnet.decoder_positions": "decoder_pos_embed",
    "tdnet.": "",
    "canet.pose_project.": "mlp_dino_pose.",
    "canet.pose_pool.": "conv1d_pose.",
    "canet.global_project.": "mlp_dino_img.",
    "canet.global_pool.": "conv1d_global.",
    "canet.local_pool.": "conv1d_local.",
    "canet.merge.": "mlp_final.",
    "mipnet.mask_token": "mask_token",
    "mipnet.block.": "sideblocks.0.",
    "mipnet.cross_block.": "sideblocks_cross.0.",
}
_OFFICIAL_FRAGMENTS = {
    "modulation.linear.": "adaLN_modulation.1.",
    "attn.bias.table": "attn.rel_pos_bias.relative_position_bias_table",
}
_BIAS_TABLE, _BIAS_INDEX = "relative_position_bias_table", "relative_position_index"


def official_name(name: str) -> str:
    """Return the official checkpoint's key for a key of the state_dict of `XMDPT` or `TrainableXMDPT`."""
    for ours, official in _OFFICIAL_PREFIXES.items():
        if name.startswith(ours):
            name = official + name.removeprefix(ours)
            break
    for ours, official in _OFFICIAL_FRAGMENTS.items():
        name = name.replace(ours, official)
    return name


def load_xmdpt(variant: Variant, path: Path) -> XMDPT:
    """Return a variant's network with the weights of an official checkpoint file, for inference.

    Raises:
        CheckpointError: as `load_official`, and where the file is no file of weights.
        OSError: the file cannot be read.
    """
    network = XMDPT(variant).eval().requires_grad_(False)
    state = read_state(path)
    if (other := _variant_of(state)) not in (None, variant.name):
        raise CheckpointError(f"{path}: these are weights of the variant {other}, not of {variant.name}")
    load_official(network, state, path)
    return network


def load_official(network: XMDPT, state: Mapping[str, Tensor], path: Path | None = None) -> None:
    """Fill a network from an official state_dict, which must fit it key by key and shape by shape.

    What only masked training uses (side blocks, mask token) may be there or not if the network does not have it.

    Args:
        network: to be filled.
        state: names and tensors of an official checkpoint.
        path: the file that an error is to name.

    Raises:
        CheckpointError: a key is missing, unexpected or of another shape, or a position index is not the model's.
    """
    names = {official_name(name): name for name in network.state_dict()}
    not_weights = (_training_only_names(names) - names.keys()) | _index_names(names)
    given = {name: tensor for name, tensor in state.items() if name not in not_weights}
    check_fit({name: tuple(network.state_dict()[ours].shape) for name, ours in names.items()}, given, path)
    for index_name in sorted(_index_names(names) & state.keys()):
        _check_index(network, index_name, state[index_name], path)
    network.load_state_dict({names[name]: tensor for name, tensor in given.items()})


def _variant_of(state: Mapping[str, Tensor]) -> str | None:
    """Return the variant whose width and depth these weights have."""
    width = state["pos_embed"].shape[-1] if "pos_embed" in state else None
    depth = sum(name.startswith("blocks.") and name.endswith(".attn.qkv.weight") for name in state)
    found = [variant.name for variant in VARIANTS.values() if (variant.width, variant.depth) == (width, depth)]
    return found[0] if found else None


def _index_names(names: Mapping[str, str]) -> set[str]:
    return {name.replace(_BIAS_TABLE, _BIAS_INDEX) for name in names if name.endswith(_BIAS_TABLE)}


def _training_only_names(names: Mapping[str, str]) -> set[str]:
    """Return the official names of MIPNet: one block of self-attention, one of cross-attention, one token."""
    block = "blocks.0."
    parts = {name.removeprefix(block) for name in names.keys() | _index_names(names) if name.startswith(block)}
    cross_parts = {part.replace("qkv", projection) for part in parts for projection in ("to_q", "to_kv")}
    side = {f"sideblocks.0.{part}" for part in parts}
    cross = {f"sideblocks_cross.0.{part}" for part in cross_parts}
    return side | cross | {"mask_token"}


def _check_index(network: XMDPT, name: str, index: Tensor, path: Path | None) -> None:
    ours = network.tdnet.get_submodule("blocks.0.attn.bias").get_buffer("index")
    if index.shape != ours.shape or not torch.equal(index.to(ours.device), ours):
        prefix = f"{path}: " if path else ""
        raise CheckpointError(f"{prefix}{name} is not the order of the model's bias table")
