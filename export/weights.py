"""What a build's weights are: checked, digested and, where asked for, rounded.

Does not load them (`xmdpt.nn.loading`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from export.storage import MIN_NUMBERS
from xmdpt.nn.bundle import bundle_metadata, is_bundled
from xmdpt.nn.loading import UNTRAINED, LoadedNetworks, WeightPaths
from xmdpt.repository import file_digest, shared_weights_path
from xmdpt.spec import Variant


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


def read_origin(variant: Variant, paths: WeightPaths, is_rounded: bool = False) -> WeightsOrigin:
    """Check that every file fits its network, one network in memory at a time, and say what they are.

    Raises:
        CheckpointError: a file does not fit, or some files are given and some are not.
        OSError: a file cannot be read.
    """
    files = {}
    for network, path in paths.files(variant).items():
        getattr(networks_of(variant, paths, is_rounded), network)
        # A bundle goes into the repository, under this name.
        name = shared_weights_path(variant.name) if network == "bundle" else path.name
        files[network] = {"name": name, "bytes": path.stat().st_size, "sha256": file_digest(path)}
    words = [f"{network} {file['name']}" for network, file in files.items()]
    if bundle := paths.files(variant).get("bundle"):
        words += [text for key, text in bundle_metadata(bundle).items() if key == "origin"]
    is_trained = paths.is_complete_for(variant)
    return WeightsOrigin("; ".join(words if is_trained else [*words, UNTRAINED]), is_trained, is_rounded, files)


def own_weights(root: Path, variant: Variant) -> WeightPaths:
    """Return the file of weights that a repository of this variant holds itself; none if it has none."""
    place = root / shared_weights_path(variant.name)
    return WeightPaths(weights=place) if is_bundled(variant) and place.is_file() else WeightPaths()


def networks_of(variant: Variant, paths: WeightPaths, is_rounded: bool = False) -> LoadedNetworks:
    """Return a variant's networks, still to be loaded; rounded, their weights will be those of `--half-weights`."""
    return LoadedNetworks(variant, paths, _round_to_float16 if is_rounded else None)


def _round_to_float16(network: nn.Module) -> None:
    """Let float16 represent every weight that the graphs store compactly; what overflows it stays as it is."""
    for tensor in network.state_dict().values():
        halves = tensor.half()
        if tensor.numel() >= MIN_NUMBERS and torch.isfinite(halves).all():
            tensor.copy_(halves)
