"""Is a model repository whole: are its files those of its manifest, and are they what the contract says?

Runs no graph (`export.verify`) and changes nothing. Places and digests are `xmdpt.repository`'s, configurations
`export.config_checks`'s; here is what needs onnx.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from export.config_checks import check_configs
from export.shared_weights import with_weights_inside
from xmdpt.repository import MANIFEST_NAME, ONNX, RepositoryError, check_files, load_manifest, manifest_specs
from xmdpt.spec import GraphSpec

_ONNX_TYPES = {"f32": onnx.TensorProto.FLOAT, "u8": onnx.TensorProto.UINT8}
_REBUILD = "build it again with `python -m export build`"


def read_manifest(root: Path) -> dict:
    """The manifest of a repository whose every file has the digest that the manifest states.

    Raises:
        RepositoryError: `load_manifest`, `check_files` or `check_contents` refuses the repository.
    """
    manifest = load_manifest(root)
    check_files(root, manifest)
    check_contents(root, manifest)
    return manifest


def check_contents(root: Path, manifest: Mapping) -> None:
    """Open every graph and every configuration.

    Args:
        root: the repository's folder.
        manifest: of `load_manifest`. Engines are not opened: only the computer they were built for can.

    Raises:
        RepositoryError: a graph is not a valid model or not the contract's, or `check_configs` refuses a configuration.
    """
    if manifest["platform"] == ONNX:
        specs = manifest_specs(manifest)
        for name, entry in manifest["graphs"].items():
            weights = [root / file["path"] for file in entry["external"]]
            _check_model(root / entry["path"], specs[name], weights[0] if weights else None)
    check_configs(root, manifest)


def _check_model(path: Path, spec: GraphSpec, weights: Path | None) -> None:
    """Refuse a graph that is no valid model, takes weights from another file than `weights`, or breaks the contract."""
    try:
        model = onnx.load(path, load_external_data=False)
        named = {
            entry.value
            for tensor in model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        if named != ({weights.name} if weights else set()):
            message = f"takes weights from {named or 'no other file'}, {MANIFEST_NAME} says otherwise"
            raise RepositoryError(f"{path}: {message}; {_REBUILD}")
        # A large graph, whose weights lie beside it, is checked where it is: a copy of both would fill the memory.
        if weights is None or weights.parent == path.parent:
            onnx.checker.check_model(str(path), full_check=True)
        else:
            onnx.checker.check_model(with_weights_inside(model, weights), full_check=True)
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RepositoryError(f"{path}: not a valid ONNX model: {' '.join(str(error).split())}; {_REBUILD}") from None
    for kind, values, tensors in (
        ("inputs", model.graph.input, spec.inputs),
        ("outputs", model.graph.output, spec.outputs),
    ):
        found = [_signature(value) for value in values]
        wanted = [(t.name, _ONNX_TYPES[t.dtype], "batch", *t.shape) for t in tensors]
        if found != wanted:
            raise RepositoryError(f"{path}: the {kind} are {found}, the contract says {wanted}; {_REBUILD}")


def _signature(value: onnx.ValueInfoProto) -> tuple:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, *(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
