"""Does each graph of a model repository compute what torch computes?

Does not check the repository's files, which is `export.manifest`'s, and changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from export.graphs import GRAPHS
from xmdpt.nn.pipeline import Networks
from xmdpt.repository import WEIGHTS_FOLDER_OPTION, graph_path, load_manifest, weights_folder
from xmdpt.spec import GraphSpec, TensorSpec, Variant, graph_specs

BATCH_SIZES = (1, 2, 3, 8)
# Two float32 implementations of the same formula differ by about 1e-6 here; 1e-4 is the agreed bound.
MAX_RELATIVE_ERROR = 1e-4
# A pixel on the edge between two grey levels may round either way.
MAX_GREY_LEVELS = 1.0
# Grey levels of the darkest picture. A photo of one level would meet norms of constant channels, where ONNX Runtime
# loses two digits and torch none.
_DARK_LEVELS = {"photo": 16, "skeleton": 1}


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


def graph_errors(
    root: Path,
    variant: Variant,
    networks: Callable[[], Networks],
    batch_sizes: Sequence[int] = BATCH_SIZES,
    graphs: Sequence[str] = tuple(GRAPHS),
) -> Iterator[GraphError]:
    """Run graphs in ONNX Runtime and in torch on the same random arrays.

    Args:
        root: a repository that `export.manifest.read_manifest` has accepted.
        variant: of the repository.
        networks: makes the networks with the weights that the repository was built of, once a graph.
        batch_sizes: each is tried with arrays of its own.
        graphs: names of those to run.
    """
    for name in graphs:
        spec = graph_specs(variant)[name]
        # First the one, then the other: both at once need twice the memory.
        wanted = _run_torch(GRAPHS[name](networks()), spec, batch_sizes)
        session = open_graph(root, name)
        for batch_size, arrays in zip(batch_sizes, wanted, strict=True):
            found = session.run(None, example_inputs(spec, batch_size))
            for tensor, a, b in zip(spec.outputs, found, arrays, strict=True):
                yield _error(spec, tensor, np.asarray(a), b)


def open_graph(root: Path, name: str) -> onnxruntime.InferenceSession:
    """Load a graph of a repository for the CPU, with the weights that it takes from elsewhere in it."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(weights_folder(root, load_manifest(root), name)))
    return onnxruntime.InferenceSession(root / graph_path(name), options, providers=["CPUExecutionProvider"])


def _run_torch(module: nn.Module, spec: GraphSpec, batch_sizes: Sequence[int]) -> list[tuple[np.ndarray, ...]]:
    """The outputs for each batch size."""
    outputs = []
    for batch_size in batch_sizes:
        with torch.inference_mode():
            output = module(*(torch.from_numpy(array) for array in example_inputs(spec, batch_size).values()))
        outputs.append(tuple(tensor.numpy() for tensor in (output if isinstance(output, tuple) else (output,))))
    return outputs


def example_inputs(spec: GraphSpec, batch_size: int) -> dict[str, np.ndarray]:
    """Random arrays for a graph, the same at every call.

    Pictures are uniform noise, the first at half brightness; the last of several is a very dark photo or an all black
    skeleton. Timesteps are 0..999, guidance is 1..3, the rest normal.
    """
    generator = np.random.default_rng(batch_size)

    def example(tensor: TensorSpec) -> np.ndarray:
        shape = (batch_size, *tensor.shape)
        if tensor.dtype == "u8":
            pictures = generator.integers(0, 256, shape, np.uint8)
            pictures[0] //= 2
            pictures[1:][-1:] %= _DARK_LEVELS[tensor.name]
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
