"""Is a model repository whole, and does each of its graphs compute what torch computes?

Changes nothing; `export.repository` wrote what is read here.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError

from export.graphs import GRAPHS
from export.repository import MANIFEST_FORMAT, MANIFEST_NAME, model_digest
from export.triton_config import config_mistake
from xmdpt.nn.pipeline import Pipeline
from xmdpt.spec import VARIANTS, GraphSpec, TensorSpec, graph_specs

BATCH_SIZES = (1, 2, 3, 8)
# Two float32 implementations of the same formula differ by about 1e-6 here; 1e-4 is the agreed bound.
MAX_RELATIVE_ERROR = 1e-4
# A pixel on the edge between two grey levels may round either way.
MAX_GREY_LEVELS = 1.0
_ONNX_TYPES = {"f32": onnx.TensorProto.FLOAT, "u8": onnx.TensorProto.UINT8}


class RepositoryError(ValueError):
    """A repository's files are not what its manifest or the contract says; the message names the file."""


@dataclass(frozen=True)
class GraphError:
    """How far one output of one graph lies from torch: max|a - b| / max|b|, or grey levels for pixels."""

    graph: str
    batch_size: int
    output: str
    error: float
    tolerance: float

    @property
    def is_within_tolerance(self) -> bool:
        """False also where either side is not a number."""
        return self.error <= self.tolerance


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
            path, config_path = f"{name}/1/model.onnx", f"{name}/config.pbtxt"
            if (entry["path"], entry["config_path"]) != (path, config_path):
                raise RepositoryError(f"{root / MANIFEST_NAME}: the files of {name} are not {path} and {config_path}")
            _check_model(root / path, _read(root / path, entry["sha256"]), specs[name])
            config = _read(root / config_path, entry["config_sha256"])
            if mistake := config_mistake(config.decode(errors="replace"), specs[name]):
                raise RepositoryError(f"{root / config_path}: {mistake}")
        digest = model_digest({name: entry["sha256"] for name, entry in manifest["graphs"].items()})
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


def graph_errors(
    root: Path,
    pipeline: Pipeline,
    batch_sizes: tuple[int, ...] = BATCH_SIZES,
    graphs: tuple[str, ...] = tuple(GRAPHS),
) -> Iterator[GraphError]:
    """Run graphs in ONNX Runtime and in torch on the same random arrays.

    Args:
        root: a repository that `read_manifest` has accepted.
        pipeline: networks with the weights that the repository was built of.
        batch_sizes: each is tried with arrays of its own.
        graphs: names of those to run.
    """
    for name in graphs:
        spec = graph_specs(pipeline.variant)[name]
        session = onnxruntime.InferenceSession(root / name / "1" / "model.onnx", providers=["CPUExecutionProvider"])
        module = GRAPHS[name](pipeline)
        for batch_size in batch_sizes:
            inputs = example_inputs(spec, batch_size)
            found = session.run(None, inputs)
            with torch.inference_mode():
                wanted = module(*(torch.from_numpy(array) for array in inputs.values()))
            wanted = wanted if isinstance(wanted, tuple) else (wanted,)
            for tensor, a, b in zip(spec.outputs, found, wanted, strict=True):
                yield _error(spec, tensor, np.asarray(a), b.numpy())


def example_inputs(spec: GraphSpec, batch_size: int) -> dict[str, np.ndarray]:
    """Random arrays for a graph, the same at every call.

    Pictures are uniform noise, the first at half brightness, but for an all black last one; timesteps 0..999, guidance
    1..3, the rest normal.
    """
    generator = np.random.default_rng(batch_size)

    def example(tensor: TensorSpec) -> np.ndarray:
        shape = (batch_size, *tensor.shape)
        if tensor.dtype == "u8":
            pictures = generator.integers(0, 256, shape, np.uint8)
            pictures[0] //= 2
            pictures[1:][-1:] = 0
            return pictures
        if tensor.name == "timestep":
            return generator.integers(0, 1000, shape).astype(np.float32)
        if tensor.name == "guidance":
            return generator.uniform(1, 3, shape).astype(np.float32)
        return generator.standard_normal(shape, np.float32)

    return {tensor.name: example(tensor) for tensor in spec.inputs}


def _error(spec: GraphSpec, tensor: TensorSpec, found: np.ndarray, wanted: np.ndarray) -> GraphError:
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return GraphError(spec.name, len(wanted), tensor.name, float("nan"), 0.0)
    difference = np.abs(found.astype(np.float64) - wanted).max()
    if tensor.dtype == "u8":
        return GraphError(spec.name, len(wanted), tensor.name, float(difference), MAX_GREY_LEVELS)
    relative = float(difference / np.abs(wanted).max())
    return GraphError(spec.name, len(wanted), tensor.name, relative, MAX_RELATIVE_ERROR)


def _read(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        raise RepositoryError(f"{path}: its SHA-256 is {actual[:12]}..., {MANIFEST_NAME} says {digest[:12]}...")
    return data


def _check_constants(path: Path, manifest: dict) -> None:
    variant = VARIANTS[manifest["variant"]]
    wanted = {"format": MANIFEST_FORMAT, "latent_scale": variant.latent_scale, "prediction": variant.prediction}
    for name, value in wanted.items():
        if manifest[name] != value:
            raise RepositoryError(f"{path}: {name} is {manifest[name]}, the variant {variant.name} has {value}")
    if not isinstance(manifest["weights"]["origin"], str) or not isinstance(manifest["weights"]["is_trained"], bool):
        raise RepositoryError(f"{path}: weights must state an origin and whether they are trained")


def _check_model(path: Path, data: bytes, spec: GraphSpec) -> None:
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model, full_check=True)
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
