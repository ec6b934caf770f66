"""The frozen networks from the files that their makers publish: DINOv2's hub files, diffusers' autoencoders.

Does not know the denoiser's files (`xmdpt.nn.checkpoint`) nor how bytes become tensors (`xmdpt.nn.weight_files`).
"""

import json
from pathlib import Path

from torch import Tensor

from xmdpt.nn.dinov2 import HUB_TOKENS, Dinov2, bake_position_table
from xmdpt.nn.vae import Vae
from xmdpt.nn.weight_files import CheckpointError, assembled, check_fit, read_state, shapes_of
from xmdpt.spec import LATENT_SHAPE, Dinov2Config, VaeConfig

POSE_EXTRACTOR_FILE = "dinov2_vitb14_pretrain.pth"
PHOTO_EXTRACTOR_FILE = "dinov2_vitg14_pretrain.pth"
_VAE_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
_VAE_CONFIG = "config.json"
# Names that diffusers gave to the attention's four maps before its version 0.16.
_OLD_ATTENTION_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def load_dinov2(config: Dinov2Config, path: Path) -> Dinov2:
    """Return an extractor with the weights of a hub file, its position table brought to 224 px.

    Raises:
        CheckpointError: a key is missing, unexpected or of another shape, or the file is no file of weights.
        OSError: the file cannot be read.
    """
    state = read_state(path)
    shapes = shapes_of(lambda: Dinov2(config))
    hub = {"pos_embed": (1, HUB_TOKENS, config.width), "mask_token": (1, config.width)}
    check_fit(shapes | hub, state, path)

    def weights(name: str, _shape: tuple[int, ...]) -> Tensor:
        tensor = state[name].float()
        return bake_position_table(tensor) if name == "pos_embed" else tensor

    return assembled(lambda: Dinov2(config), weights)


def load_vae(config: VaeConfig, latent_scale: float, path: Path) -> Vae:
    """Return an autoencoder with the weights of a diffusers file.

    Args:
        config: the shape that it must have.
        latent_scale: what its latents are multiplied by, which a folder's config.json may state.
        path: a folder with config.json and the weights, or the file of weights alone; the attention's keys may have
            their present or their old names.

    Raises:
        CheckpointError: a key is missing, unexpected or of another shape, config.json says another network, or a file
            is not of its format.
        OSError: a file cannot be read.
    """
    if path.is_dir():
        _check_vae_config(path / _VAE_CONFIG, config, latent_scale)
    path = vae_file(path)
    state = {_present_name(name): tensor for name, tensor in read_state(path).items()}
    shapes = shapes_of(lambda: Vae(config))
    state = {name: _as_linear(tensor, shapes.get(name, ())) for name, tensor in state.items()}
    check_fit(shapes, state, path)
    return assembled(lambda: Vae(config), lambda name, _shape: state[name].float())


def vae_file(path: Path) -> Path:
    """Return the file of weights in a diffusers folder; a path that is no folder as it is.

    Raises:
        CheckpointError: the folder holds none.
    """
    if not path.is_dir():
        return path
    for name in _VAE_FILES:
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{path}: holds neither {' nor '.join(_VAE_FILES)}")


def _check_vae_config(path: Path, config: VaeConfig, latent_scale: float) -> None:
    """Groups and activation show in no shape of a weight."""
    try:
        stated = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not JSON: {error}") from None
    if not isinstance(stated, dict):
        raise CheckpointError(f"{path}: not a JSON object")
    wanted = {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": list(config.block_channels),
        "layers_per_block": config.layers_per_block,
        "norm_num_groups": config.groups,
        "latent_channels": LATENT_SHAPE[0],
        "scaling_factor": latent_scale,
    }
    for name, value in wanted.items():
        # The scale is younger than the format.
        found = stated.get(name, value if name == "scaling_factor" else None)
        if found != value:
            raise CheckpointError(f"{path}: {name} is {json.dumps(found)} instead of {json.dumps(value)}")


def _present_name(name: str) -> str:
    if ".attentions." in name:
        for old, new in _OLD_ATTENTION_NAMES.items():
            name = name.replace(old, new)
    return name


def _as_linear(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Old files hold some of the attention's maps as convolutions of one pixel."""
    return tensor[:, :, 0, 0] if tensor.shape == (*shape, 1, 1) and len(shape) == 2 else tensor
