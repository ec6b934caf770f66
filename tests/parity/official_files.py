"""Files in the layout of the official ones, filled by rule: small where a network may be small."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from xmdpt.nn.checkpoint import official_name
from xmdpt.nn.dinov2 import HUB_TOKENS, Dinov2
from xmdpt.nn.encoder_files import PHOTO_EXTRACTOR_FILE, POSE_EXTRACTOR_FILE
from xmdpt.nn.encoder_rules import dinov2_strong, vae_rule
from xmdpt.nn.layers import relative_position_index
from xmdpt.nn.network import TrainableXMDPT
from xmdpt.nn.untrained import Rule, fill_golden, golden_strong
from xmdpt.nn.vae import Vae
from xmdpt.nn.weight_files import shapes_of
from xmdpt.spec import Dinov2Config, VaeConfig, Variant

State = dict[str, Tensor]
OLD_NAMES = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def by_rule(shapes: Mapping[str, tuple[int, ...]], rule: Rule) -> State:
    return {key: torch.from_numpy(rule(key, shape).astype(np.float32)) for key, shape in shapes.items()}


def xmdpt_state(variant: Variant) -> State:
    """What `ema_0.9999_300000.pt` of this size holds, the parts that only training uses included."""
    network: nn.Module = TrainableXMDPT(variant).requires_grad_(False)
    fill_golden(network, golden_strong)
    state = {official_name(name): tensor for name, tensor in network.state_dict().items()}
    table, index = "relative_position_bias_table", "relative_position_index"
    return state | {key.replace(table, index): relative_position_index(16) for key in state if key.endswith(table)}


def dinov2_shapes(config: Dinov2Config) -> dict[str, tuple[int, ...]]:
    hub = {"pos_embed": (1, HUB_TOKENS, config.width), "mask_token": (1, config.width)}
    return shapes_of(lambda: Dinov2(config)) | hub


def dinov2_state(config: Dinov2Config) -> State:
    return by_rule(dinov2_shapes(config), dinov2_strong)


def vae_state(config: VaeConfig) -> State:
    return by_rule(shapes_of(lambda: Vae(config)), vae_rule)


def with_old_names(state: State, *, as_convolutions: bool) -> State:
    """The same with the attention's names and shapes of old diffusers files."""

    def old(name: str) -> str:
        for new, before in OLD_NAMES.items():
            name = name.replace(new, before) if ".attentions." in name else name
        return name

    renamed = {old(name): tensor for name, tensor in state.items()}
    if not as_convolutions:
        return renamed
    maps = {name for name in renamed if name.endswith(tuple(f"{before}weight" for before in OLD_NAMES.values()))}
    return {name: tensor[:, :, None, None] if name in maps else tensor for name, tensor in renamed.items()}


def vae_config(config: VaeConfig) -> dict:
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": list(config.block_channels),
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.groups,
    }


def write_files(variant: Variant, folder: Path) -> dict[str, Path]:
    """Every file that a build of this variant takes, by the option that names it."""
    files = {"weights": folder / "ema_0.9999_300000.pt", "vae": folder / "vae", "dino": folder / "dino"}
    files["vae"].mkdir(parents=True)
    files["dino"].mkdir()
    torch.save(xmdpt_state(variant), files["weights"])
    torch.save(dinov2_state(variant.pose_extractor), files["dino"] / POSE_EXTRACTOR_FILE)
    torch.save(dinov2_state(variant.photo_extractor), files["dino"] / PHOTO_EXTRACTOR_FILE)
    save_file(vae_state(variant.vae), files["vae"] / "diffusion_pytorch_model.safetensors")
    (files["vae"] / "config.json").write_text(json.dumps(vae_config(variant.vae)))
    return files
