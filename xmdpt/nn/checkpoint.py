"""Weights in and out: the official checkpoint's names to ours, and safetensors files of our own.

Does not make weights up (`xmdpt.nn.untrained`) and reads no pickle.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xmdpt.nn.network import XMDPT

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
}
_OFFICIAL_FRAGMENTS = {
    "modulation.linear.": "adaLN_modulation.1.",
    "attn.bias.table": "attn.rel_pos_bias.relative_position_bias_table",
}
_BIAS_TABLE, _BIAS_INDEX = "relative_position_bias_table", "relative_position_index"


class CheckpointError(ValueError):
    """Weights do not fit the network; the message names the first offending key of each kind."""


def official_name(name: str) -> str:
    """Return the official checkpoint's key for a key of `XMDPT.state_dict()`."""
    for ours, official in _OFFICIAL_PREFIXES.items():
        if name.startswith(ours):
            name = official + name.removeprefix(ours)
            break
    for ours, official in _OFFICIAL_FRAGMENTS.items():
        name = name.replace(ours, official)
    return name


def load_official(network: XMDPT, state: Mapping[str, Tensor]) -> None:
    """Fill a network from an official state_dict, which must fit it key by key and shape by shape.

    What only masked training uses (side blocks, mask token) may be there or not and is left out.

    Raises:
        CheckpointError: a key is missing, unexpected or of another shape, or a position index is not the model's.
    """
    names = {official_name(name): name for name in network.state_dict()}
    not_weights = _training_only_names(names) | _index_names(names)
    given = {name: tensor for name, tensor in state.items() if name not in not_weights}
    _check_fit({name: network.state_dict()[ours] for name, ours in names.items()}, given)
    for index_name in _index_names(names) & state.keys():
        _check_index(network, index_name, state[index_name])
    network.load_state_dict({names[name]: tensor for name, tensor in given.items()})


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights under our own names as a safetensors file."""
    save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill a module from a file of `save_weights`, which must fit it key by key and shape by shape.

    Raises:
        CheckpointError: it is no safetensors file, or a key is missing, unexpected or of another shape.
        OSError: the file cannot be read.
    """
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from None
    _check_fit(module.state_dict(), state)
    module.load_state_dict(state)


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


def _check_fit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    missing = [f"missing {name}" for name in expected if name not in given]
    unexpected = [f"unexpected {name}" for name in given if name not in expected]
    misshaped = [
        f"{name} has shape {list(given[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    problems = [
        found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
        for found in (missing, unexpected, misshaped)
        if found
    ]
    if problems:
        raise CheckpointError("the weights do not fit the network: " + "; ".join(problems))


def _check_index(network: XMDPT, name: str, index: Tensor) -> None:
    ours = network.tdnet.get_submodule("blocks.0.attn.bias").get_buffer("index")
    if index.shape != ours.shape or not torch.equal(index.to(ours.device), ours):
        raise CheckpointError(f"the weights do not fit the network: {name} is not the order of the model's bias table")
