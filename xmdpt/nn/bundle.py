"""The one file that holds all networks of a variant whose networks exist nowhere else: what our own training writes.

A safetensors file of `Pipeline.state_dict()` in float16, whose metadata say what it is. Not for the paper's sizes: what
they are made of comes in formats of its makers (`xmdpt.nn.checkpoint`, `xmdpt.nn.encoder_files`).
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.weight_files import CheckpointError, check_fit, read_state, shapes_of
from xmdpt.spec import PatchVaeConfig, Variant

# The format pads its header with spaces to this many bytes, so that tensors are aligned.
_HEADER_ALIGNMENT = 8
_LENGTH_BYTES = 8


def is_bundled(variant: Variant) -> bool:
    """One file holds all networks of this variant, also those that other variants take from somebody else."""
    return isinstance(variant.vae, PatchVaeConfig)


def save_bundle(pipeline: Pipeline, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a pipeline's weights rounded to float16; the same weights and metadata give the same bytes.

    Args:
        pipeline: on any device; it stays as it is.
        path: replaced at once, so that no reader sees half a file; its suffix must be `.safetensors`.
        metadata: for people, beside `variant` and `prediction`, which are written anyway; `origin` becomes part of what
            the manifest and `GET /v1/models` say.

    Raises:
        CheckpointError: the pipeline has other parts than its variant, or numbers that float16 cannot hold.
        ValueError: the path has another suffix.
    """
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: the suffix of a bundle is .safetensors")
    state = {name: tensor.detach().cpu().half().contiguous() for name, tensor in pipeline.state_dict().items()}
    check_fit(shapes_of(lambda: Pipeline(pipeline.variant)), state, path)
    stated = dict(metadata or {}) | {"variant": pipeline.variant.name, "prediction": pipeline.variant.prediction}
    unfinished = path.with_name(f".{path.name}")
    unfinished.write_bytes(_in_order(save(state, stated)))
    unfinished.replace(path)


def load_bundle(variant: Variant, path: Path) -> Pipeline:
    """Return a variant's networks for inference with the weights of a bundle, widened to float32, which is exact.

    Raises:
        CheckpointError: the file is no bundle, is one of another variant, or does not fit this one.
        OSError: the file cannot be read.
    """
    state = _read(variant, path)
    pipeline = build_pipeline(variant)
    pipeline.load_state_dict(state)
    return pipeline


def bundle_metadata(path: Path) -> dict[str, str]:
    """Return what a bundle that `load_bundle` takes says of itself."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def _read(variant: Variant, path: Path) -> dict[str, Tensor]:
    state = read_state(path)
    stated = bundle_metadata(path) if path.suffix == ".safetensors" else {}
    if "variant" not in stated:
        message = "its metadata do not say of which variant; all networks of one are in one file that training wrote"
        raise CheckpointError(f"{path}: {message}")
    if stated["variant"] != variant.name:
        raise CheckpointError(f"{path}: these are weights of the variant {stated['variant']}, not of {variant.name}")
    if (prediction := stated.get("prediction")) != variant.prediction:
        message = f"its network predicts {prediction}, that of the variant {variant.name} {variant.prediction}"
        raise CheckpointError(f"{path}: {message}")
    check_fit(shapes_of(lambda: Pipeline(variant)), state, path)
    for name, tensor in state.items():
        if tensor.dtype != torch.float16:
            found = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(f"{path}: {name} holds {found} instead of float16")
    return state


def _in_order(content: bytes) -> bytes:
    """Return the same safetensors file with its metadata sorted, which the library writes in any order."""
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _HEADER_ALIGNMENT)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + content[start:]
