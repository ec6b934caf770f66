"""Does each graph of a model repository compute what torch computes in float32, and how fast?

Does not check the repository's files, which is `export.manifest`'s, nor whole runs (`export.whole_run`), and changes
nothing.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from export.bfloat16 import computed_in_float32
from export.graphs import module_of
from export.precision import lowered
from xmdpt.graph_session import RUNTIME, GraphSession
from xmdpt.nn.pipeline import Networks
from xmdpt.nn.threads import one_thread
from xmdpt.repository import Precision, manifest_specs, weights_folder
from xmdpt.spec import GraphSpec, TensorSpec

Arrays = Mapping[str, NDArray]
Runner = Callable[[Arrays], Sequence[NDArray]]
"""Inputs by name to the outputs in order."""

BATCH_SIZES = (1, 2, 3, 8)
MAX_RELATIVE_ERRORS: Mapping[Precision, float] = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 2e-2, "int8": 1e-1}
"""Of one call. Two float32 implementations of the same formula differ by about 1e-6 here, and 1e-4 is the agreed bound;
the others leave a network that nobody trained about four times what it shows."""
MAX_GREY_LEVELS: Mapping[Precision, float] = {"fp32": 1, "fp16": 2, "bf16": 8, "int8": 64}
"""Of any pixel. One on the edge between two grey levels may round either way; in int8 decoders that nobody trained show
up to 34, with a mean of 2: what that does to pictures is for whole runs and presets to say."""
ROUNDED_BY_TORCH: frozenset[Precision] = frozenset({"fp16", "bf16"})
"""ONNX Runtime's CPU has no products in these: it shows that a graph is right, computed in float32, and torch what its
roundings cost."""
# Grey levels of the darkest picture. A photo of one level would meet norms of constant channels, where ONNX Runtime
# loses two digits and torch none.
_DARK_LEVELS = {"photo": 16, "skeleton": 1}
_NUM_STEPS = 4
_TIMESTEPS = ("timestep", "timesteps")
# Processor time of a thread hardly varies from call to call, so that of a long one is enough.
_TIMED_SECONDS = 0.1


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


@dataclass(frozen=True)
class GraphCheck:
    """What one graph showed.

    Attributes:
        precision: of its large products.
        runtime: what ran it.
        errors: of each output at each batch size.
        speed: seconds of torch in float32 per second of the graph, for one row on one thread.
    """

    precision: Precision
    runtime: str
    errors: Sequence[GraphError]
    speed: float


def check_graph(
    root: Path,
    manifest: Mapping,
    networks: Callable[[], Networks],
    name: str,
    batch_sizes: Sequence[int] = BATCH_SIZES,
) -> GraphCheck:
    """Run a graph and torch on the same random arrays.

    Args:
        root: a repository that `export.manifest.read_manifest` has accepted.
        manifest: its manifest.
        networks: makes the networks with the weights that the repository was built of, once a call.
        name: of the graph.
        batch_sizes: each is tried with arrays of its own.
    """
    spec, entry = manifest_specs(manifest)[name], manifest["graphs"][name]
    precision: Precision = entry["precision"]
    inputs = [example_inputs(spec, batch_size) for batch_size in batch_sizes]
    module = module_of(name)(networks()).eval()
    with one_thread():
        run_torch = torch_runner(module)
        wanted, torch_seconds = [run_torch(arrays) for arrays in inputs], _seconds(run_torch, spec)
        found, runtimes, seconds = [], [], float("inf")
        if precision in ROUNDED_BY_TORCH:
            run_rounded = torch_runner(lowered(module, precision, sums_in_float32=True))
            found.append([run_rounded(arrays) for arrays in inputs])
            runtimes.append(f"torch-{torch.__version__.split('+')[0]}")
            seconds = _seconds(run_rounded, spec)
            del run_rounded
        # Torch's copy goes first: both at once need twice the memory.
        del module, run_torch
        if run_graph := graph_runner(root, manifest, name):
            found.append([run_graph(arrays) for arrays in inputs])
            runtimes.append(RUNTIME)
            seconds = _seconds(run_graph, spec)
    errors = [
        _error(spec, index, precision, [outputs[call][index] for outputs in found], wanted[call][index])
        for call in range(len(inputs))
        for index in range(len(spec.outputs))
    ]
    return GraphCheck(precision, " and ".join(runtimes), errors, torch_seconds / seconds)


def graph_runner(root: Path, manifest: Mapping, name: str) -> Runner | None:
    """Load a graph for one thread of the CPU, one in bfloat16 to be computed in float32; None if it cannot be.

    Args:
        root: the repository's folder.
        manifest: of `load_manifest`.
        name: of the graph.
    """
    entry = manifest["graphs"][name]
    path = root / entry["path"]
    model = computed_in_float32(path) if entry["precision"] == "bf16" else path
    if model is None:
        return None
    folder, max_rows = weights_folder(root, manifest, name), entry["max_batch_size"]
    return GraphSession(model, folder, max_rows, num_threads=1, device="cpu").run


def torch_runner(module: nn.Module) -> Runner:
    """Call a graph's module with arrays."""

    def run(inputs: Arrays) -> Sequence[NDArray]:
        with torch.inference_mode():
            outputs = module(*(torch.from_numpy(array) for array in inputs.values()))
        return tuple(tensor.numpy() for tensor in (outputs if isinstance(outputs, tuple) else (outputs,)))

    return run


def example_inputs(spec: GraphSpec, batch_size: int) -> dict[str, NDArray]:
    """Random arrays for a graph, the same at every call.

    Pictures are uniform noise, the first at half brightness; the last of several is a very dark photo or an all black
    skeleton. Timesteps are 0..999, guidance is 1..3, the rest is normal; plans of a few steps are as random, since of
    real ones the last steps change next to nothing.
    """
    generator = np.random.default_rng(batch_size)

    def example(tensor: TensorSpec) -> NDArray:
        shape = tensor.sizes(batch_size, _NUM_STEPS)
        if tensor.dtype == "u8":
            pictures = generator.integers(0, 256, shape, np.uint8)
            pictures[0] //= 2
            pictures[1:][-1:] %= _DARK_LEVELS[tensor.name]
            return pictures
        if tensor.name in _TIMESTEPS:
            return generator.integers(0, 1000, shape).astype(np.float32)
        if tensor.name == "guidance":
            return generator.uniform(1, 3, shape).astype(np.float32)
        return generator.standard_normal(shape, np.float32)

    return {tensor.name: example(tensor) for tensor in spec.inputs}


def _seconds(runner: Runner, spec: GraphSpec) -> float:
    """Of one processor for a call with one row, once warm: the clock on the wall would count other programs too."""
    inputs, seconds = example_inputs(spec, 1), []
    while sum(seconds) < _TIMED_SECONDS:
        start = time.process_time()
        runner(inputs)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def _error(spec: GraphSpec, index: int, precision: Precision, found: Sequence[NDArray], wanted: NDArray) -> GraphError:
    """Of an output of a call, the larger one if several runtimes made it."""
    tensor, size = spec.outputs[index], len(wanted)
    if any(array.shape != wanted.shape or array.dtype != wanted.dtype for array in found):
        return GraphError(spec.name, size, tensor.name, float("nan"), 0.0)
    # Not Python's max, which overlooks what is not a number.
    difference = float(np.max([np.abs(array.astype(np.float64) - wanted).max() for array in found]))
    if tensor.dtype == "u8":
        return GraphError(spec.name, size, tensor.name, difference, MAX_GREY_LEVELS[precision])
    return GraphError(
        spec.name, size, tensor.name, difference / float(np.abs(wanted).max()), MAX_RELATIVE_ERRORS[precision]
    )
