"""Where the weights of a build come from: official files, or the rule for the untrained placeholder.

Does not know the files' keys (`xmdpt.nn.checkpoint`, `xmdpt.nn.encoder_files`) or the rule's numbers
(`xmdpt.nn.untrained`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from export.storage import MIN_NUMBERS
from xmdpt.nn.checkpoint import load_xmdpt
from xmdpt.nn.dinov2 import Dinov2
from xmdpt.nn.encoder_files import PHOTO_EXTRACTOR_FILE, POSE_EXTRACTOR_FILE, load_dinov2, load_vae, vae_file
from xmdpt.nn.network import XMDPT
from xmdpt.nn.pipeline import Networks, Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.nn.vae import Vae
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.spec import Variant

Network = TypeVar("Network", bound=nn.Module)
_RULE = "untrained: random numbers by the rule of xmdpt/nn/untrained.py, each tensor following from its name"
_MAY_MIX_FILES_AND_RULE = {"tiny"}


@dataclass(frozen=True)
class WeightPaths:
    """The files of a build.

    Attributes:
        weights: official checkpoint of TDNet and CANet.
        vae: diffusers folder, or a file of its weights.
        dino: folder with both hub files of DINOv2.
    """

    weights: Path | None = None
    vae: Path | None = None
    dino: Path | None = None


@dataclass(frozen=True)
class WeightsOrigin:
    """What the manifest tells people about the weights; pictures of untrained ones are noise.

    Attributes:
        origin: in words.
        is_trained: every network's weights come from a file.
        is_rounded: weights were rounded to float16 before the graphs were made.
        files: name, bytes and sha256 of the file of each network that has one.
    """

    origin: str
    is_trained: bool
    is_rounded: bool
    files: Mapping[str, Mapping[str, str | int]]


class LoadedNetworks(Networks):
    """A variant's networks, each loaded when it is first asked for; forgetting this object frees them.

    Its attributes raise CheckpointError where a file does not fit, OSError where it cannot be read.
    """

    def __init__(self, variant: Variant, paths: WeightPaths, is_rounded: bool = False) -> None:
        self.variant = variant
        self._paths = paths
        self._is_rounded = is_rounded

    @cached_property
    def xmdpt(self) -> XMDPT:
        """TDNet and CANet."""
        path = self._paths.weights
        return self._stored(load_xmdpt(self.variant, path)) if path else _untrained(self.variant).xmdpt

    @cached_property
    def pose_extractor(self) -> Dinov2:
        """Sees the skeleton."""
        if self._paths.dino is None:
            return _untrained(self.variant).pose_extractor
        return self._stored(load_dinov2(self.variant.pose_extractor, self._paths.dino / POSE_EXTRACTOR_FILE))

    @cached_property
    def photo_extractor(self) -> Dinov2:
        """Sees the photo."""
        if self._paths.dino is None:
            return _untrained(self.variant).photo_extractor
        return self._stored(load_dinov2(self.variant.photo_extractor, self._paths.dino / PHOTO_EXTRACTOR_FILE))

    @cached_property
    def vae(self) -> Vae:
        """Between pictures and latents."""
        path, variant = self._paths.vae, self.variant
        return self._stored(load_vae(variant.vae, variant.latent_scale, path)) if path else _untrained(variant).vae

    def _stored(self, network: Network) -> Network:
        if self._is_rounded:
            _round_to_float16(network)
        return network


def read_origin(variant: Variant, paths: WeightPaths, is_rounded: bool = False) -> WeightsOrigin:
    """Check that every file fits its network, one network in memory at a time, and say what they are.

    Raises:
        CheckpointError: a file does not fit, or some files are given and some are not.
        OSError: a file cannot be read.
    """
    given = [path for path in (paths.weights, paths.vae, paths.dino) if path]
    if 0 < len(given) < 3 and variant.name not in _MAY_MIX_FILES_AND_RULE:
        raise CheckpointError(f"the variant {variant.name} needs --weights, --vae and --dino together")
    files = {}
    for network, path in _files(paths).items():
        getattr(LoadedNetworks(variant, paths, is_rounded), network)
        files[network] = {"name": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}
    words = [f"{network} {file['name']}" for network, file in files.items()]
    is_trained = len(given) == 3
    return WeightsOrigin("; ".join(words if is_trained else [*words, _RULE]), is_trained, is_rounded, files)


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(paths: WeightPaths) -> dict[str, Path]:
    """The file of each network that has one."""
    files = {"xmdpt": paths.weights} if paths.weights else {}
    if paths.dino:
        files |= {
            "pose_extractor": paths.dino / POSE_EXTRACTOR_FILE,
            "photo_extractor": paths.dino / PHOTO_EXTRACTOR_FILE,
        }
    return files | ({"vae": vae_file(paths.vae)} if paths.vae else {})


@cache
def _untrained(variant: Variant) -> Pipeline:
    pipeline = build_pipeline(variant)
    fill_untrained(pipeline)
    return pipeline


def _round_to_float16(network: nn.Module) -> None:
    """Let float16 represent every weight that the graphs store compactly; what overflows it stays as it is."""
    for tensor in network.state_dict().values():
        halves = tensor.half()
        if tensor.numel() >= MIN_NUMBERS and torch.isfinite(halves).all():
            tensor.copy_(halves)
