"""Is a model repository whole: are its files those of its manifest, and are they what the contract says?

Runs no graph (`export.verify`) and changes nothing; `export.repository` wrote what is read here.
"""

import json
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from export.repository import MANIFEST_FORMAT, MANIFEST_NAME, config_path, data_path, graph_path, repository_digest
from export.triton_config import config_mistake
from export.weights import file_digest
from xmdpt.spec import VARIANTS, GraphSpec, graph_specs

_ONNX_TYPES = {"f32": onnx.TensorProto.FLOAT, "u8": onnx.TensorProto.UINT8}


class RepositoryError(ValueError):
    """A repository's files are not what its manifest or the contract says; the message names the file."""


def read_manifest(root: Path) -> dict:
    """The manifest of a repository whose every file has the digest that the manifest states.

    Raises:
        RepositoryError: a file is missing, altered or not where servers look for it, a graph is not a valid model or
            not the contract's, a config.pbtxt does not parse or does not fit its graph, or the manifest states other
            constants than the variant has.
    """
    try:
        manifest = json.loads((root / MANIFEST_NAME).read_bytes())
        specs = graph_specs(VARIANTS[manifest["variant"]])
        _check_constants(root / MANIFEST_NAME, manifest)
        if set(manifest["graphs"]) != set(specs):
            raise RepositoryError(f"{root / MANIFEST_NAME}: the graphs are not {', '.join(specs)}")
        for name, entry in manifest["graphs"].items():
            _check_places(root / MANIFEST_NAME, name, entry)
            for file in (entry, *entry["external"]):
                _check_digest(root / file["path"], file["sha256"])
            _check_digest(root / config_path(name), entry["config_sha256"])
            _check_model(root / graph_path(name), specs[name], {Path(file["path"]).name for file in entry["external"]})
            config = (root / config_path(name)).read_bytes().decode(errors="replace")
            if mistake := config_mistake(config, specs[name]):
                raise RepositoryError(f"{root / config_path(name)}: {mistake}")
        digest = repository_digest(manifest["graphs"])
        if manifest["model_digest"] != digest:
            raise RepositoryError(f"{root / MANIFEST_NAME}: model_digest is not that of the graphs, {digest}")
    except OSError as error:
        raise RepositoryError(f"{error.filename}: {error.strerror}") from None
    except KeyError as error:
        raise RepositoryError(f"{root / MANIFEST_NAME}: {error} is missing or unknown") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RepositoryError(f"{root / MANIFEST_NAME}: {error}") from None
    except (AttributeError, TypeError):
        raise RepositoryError(f"{root / MANIFEST_NAME}: not of the form that `python -m export build` writes") from None
    return manifest


def _check_digest(path: Path, digest: str) -> None:
    actual = file_digest(path)
    if actual != digest:
        raise RepositoryError(f"{path}: its SHA-256 is {actual[:12]}..., {MANIFEST_NAME} says {digest[:12]}...")


def _check_places(manifest_path: Path, graph: str, entry: dict) -> None:
    """Servers know where to look; a manifest must not lead anywhere else."""
    path, config, data = graph_path(graph), config_path(graph), data_path(graph)
    if (entry["path"], entry["config_path"]) != (path, config):
        raise RepositoryError(f"{manifest_path}: the files of {graph} are not {path} and {config}")
    if [file["path"] for file in entry["external"]] not in ([], [data]):
        raise RepositoryError(f"{manifest_path}: further weights of {graph} can only be in {data}")


def _check_constants(path: Path, manifest: dict) -> None:
    variant = VARIANTS[manifest["variant"]]
    wanted = {"format": MANIFEST_FORMAT, "latent_scale": variant.latent_scale, "prediction": variant.prediction}
    for name, value in wanted.items():
        if manifest[name] != value:
            raise RepositoryError(f"{path}: {name} is {manifest[name]}, the variant {variant.name} has {value}")
    weights = manifest["weights"]
    claims = (weights["is_trained"], weights["is_rounded"])
    if not isinstance(weights["origin"], str) or not all(isinstance(claim, bool) for claim in claims):
        raise RepositoryError(f"{path}: weights must state an origin and whether they are trained and rounded")
    if not all(isinstance(file["sha256"], str) for file in weights["files"].values()):
        raise RepositoryError(f"{path}: weights must state the digest of each file")


def _check_model(path: Path, spec: GraphSpec, external: set[str]) -> None:
    try:
        model = onnx.load(path, load_external_data=False)
        named = {
            entry.value
            for tensor in model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        if named != external:
            raise RepositoryError(
                f"{path}: takes weights from {named or 'no other file'}, {MANIFEST_NAME} says otherwise"
            )
        onnx.checker.check_model(str(path), full_check=True)
    except (DecodeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise RepositoryError(f"{path}: not a valid ONNX model: {' '.join(str(error).split())}") from None
    for kind, values, tensors in (
        ("inputs", model.graph.input, spec.inputs),
        ("outputs", model.graph.output, spec.outputs),
    ):
        found = [_signature(value) for value in values]
        wanted = [(t.name, _ONNX_TYPES[t.dtype], "batch", *t.shape) for t in tensors]
        if found != wanted:
            raise RepositoryError(f"{path}: the {kind} are {found}, the contract says {wanted}")


def _signature(value: onnx.ValueInfoProto) -> tuple:
    tensor = value.type.tensor_type
    return value.name, tensor.elem_type, *(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
