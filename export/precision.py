"""In what numbers the large matrix products of a graph are computed; everything else stays in float32.

Low precision goes as far as attention, MLPs and convolutions, for int8 as far as the first two's linear layers.
Timesteps up to 999 have no bfloat16 of their own, and the conditions of different pictures are nearly parallel: their
embedding, CANet, all modulations, the residual stream and the norms between those parts stay float32. Does not say how
weights are stored (`export.storage`) nor what an error may be (`export.verify`).
"""

import copy
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, numpy_helper
from onnx.helper import make_node
from torch import Tensor, nn

from xmdpt.nn import dinov2, layers
from xmdpt.repository import Precision

_FLOATS = {"fp16": torch.float16, "bf16": torch.bfloat16}
_TRANSFORMER_PARTS = (layers.Attention, layers.Mlp, dinov2.Attention, dinov2.Mlp, dinov2.SwiGlu)
_INT8_MAX = 127
QUANTISATION_CONSTANTS = {
    "columns": np.array([0], np.int64),
    "least_scale": np.array(np.finfo(np.float32).tiny, np.float32),
    "int8_max": np.array(_INT8_MAX, np.float32),
}
"""What the nodes of `quantisation` take, by name; every product shares them."""
# Where torch's exporter writes to which modules a node belongs, as the text of a list of their names.
_SCOPES = "pkg.torch.onnx.name_scopes"


def parts_to_lower(graph: nn.Module, precision: Precision) -> Sequence[str]:
    """Return the names of a graph's modules whose products get this precision; none lies in another."""
    match precision:
        case "fp32":
            return []
        case "int8":
            return list(_outermost("", graph, _TRANSFORMER_PARTS))
        case _:
            return list(_outermost("", graph, (*_TRANSFORMER_PARTS, nn.Conv2d)))


def _outermost(prefix: str, module: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterable[str]:
    for name, child in module.named_children():
        if isinstance(child, kinds):
            yield f"{prefix}{name}"
        # It embeds noisy latents and the source with 16 numbers a patch: little work, and all that the model sees.
        elif not isinstance(child, layers.LatentEmbedder):
            yield from _outermost(f"{prefix}{name}.", child, kinds)


def lowered(graph: nn.Module, precision: Precision, *, sums_in_float32: bool = False) -> nn.Module:
    """Return a graph whose products compute in float16 or bfloat16; the same for precisions that no module has.

    The given module and its weights stay as they are, and are shared where nothing changes.

    Args:
        graph: one of `export.graphs`.
        precision: of its products.
        sums_in_float32: let linear layers and convolutions round what they take and give, but compute in float32, as
            tensor cores do: to run it on a CPU, many of which imitate such numbers and take a hundred times as long.
    """
    if precision not in _FLOATS:
        return graph
    tensors = {id(tensor): tensor for tensor in (*graph.parameters(), *graph.buffers())}
    graph = copy.deepcopy(graph, memo=dict(tensors))
    for name in parts_to_lower(graph, precision):
        part = _LowPrecision(graph.get_submodule(name), _FLOATS[precision])
        if sums_in_float32:
            _sum_in_float32(part)
        graph.set_submodule(name, part)
    return graph


class _LowPrecision(nn.Module):
    """A module in another floating point type, between float32 and float32."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        # A copy: its tensors may be those of a module that stays as it is.
        self.module = copy.deepcopy(module).to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor, *rest: object) -> Tensor:
        return self.module(x.to(self.dtype), *rest).float()


def _sum_in_float32(part: _LowPrecision) -> None:
    for name, module in list(part.named_modules()):
        if isinstance(module, nn.Linear | nn.Conv2d):
            part.set_submodule(name, _SumsInFloat32(module))


class _SumsInFloat32(nn.Module):
    """A module in another floating point type, computing in float32 between what it takes and gives."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.float()

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.float()).to(x.dtype)


def quantise(
    model: onnx.ModelProto,
    weights: dict[str, np.ndarray],
    parts: Sequence[str],
    is_shared: Callable[[np.ndarray], bool] = lambda _values: False,
) -> None:
    """Let the products of some modules with their weights compute in int8, in place.

    A weight gets a scale for each of its columns; activations get one for each call, from the call's own numbers
    (dynamic quantisation). So only calls of one row give what they give alone.

    Args:
        model: just traced, its nodes still naming the modules that they belong to.
        weights: values of the model's initializers, by name; those that are quantised become int8.
        parts: names of the modules.
        is_shared: whether a file that the model will point to holds a weight's values. Such a weight stays as it is,
            and the graph makes the very same integers and scales of it: runtimes do that once, when they load it.
    """
    graph = model.graph
    nodes: list[NodeProto] = []
    quantised: set[str] = set()
    constants = False
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights and _belongs_to(node, parts):
            activation, weight = node.input
            if activation not in quantised:
                quantised.add(activation)
                outputs = [f"{activation}.int8", f"{activation}.scale", f"{activation}.zero"]
                nodes.append(make_node("DynamicQuantizeLinear", [activation], outputs))
            if is_shared(weights[weight]):
                nodes += quantisation(weight)
                constants = True
            else:
                _quantise_weight(graph, weights, weight)
            nodes += _product(activation, weight, node.output[0])
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    if constants:
        graph.initializer.extend(
            numpy_helper.from_array(values, name) for name, values in QUANTISATION_CONSTANTS.items()
        )


def _belongs_to(node: NodeProto, parts: Sequence[str]) -> bool:
    scopes = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "")
    return any(f"'{part}'" in scopes for part in parts)


def _quantise_weight(graph: onnx.GraphProto, weights: dict[str, np.ndarray], name: str) -> None:
    """Put integers and scales in the place of a weight [K, N] that one product uses."""
    integers, scale = quantised(weights.pop(name))
    place = next(tensor for tensor in graph.initializer if tensor.name == name)
    graph.initializer.remove(place)
    for part, array in ((f"{name}.int8", integers), (f"{name}.scale", scale)):
        weights[part] = array
        graph.initializer.append(TensorProto(name=part, dims=array.shape, data_location=TensorProto.EXTERNAL))
        graph.initializer[-1].data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)


def quantised(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[K, N] float32 to integers [K, N] int8 and the scale of each column [N] float32."""
    scale = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / np.float32(_INT8_MAX)
    return np.round(weight / scale).astype(np.int8), scale.astype(np.float32)


def quantisation(weight: str) -> list[NodeProto]:
    """What `quantised` computes of a weight of this name, operation by operation: `<name>.int8` and `<name>.scale`."""
    return [
        make_node("Abs", [weight], [f"{weight}.sizes"]),
        make_node("ReduceMax", [f"{weight}.sizes", "columns"], [f"{weight}.largest"], keepdims=0),
        make_node("Max", [f"{weight}.largest", "least_scale"], [f"{weight}.range"]),
        make_node("Div", [f"{weight}.range", "int8_max"], [f"{weight}.scale"]),
        make_node("Div", [weight, f"{weight}.scale"], [f"{weight}.steps"]),
        make_node("Round", [f"{weight}.steps"], [f"{weight}.rounded"]),
        make_node("Cast", [f"{weight}.rounded"], [f"{weight}.int8"], to=TensorProto.INT8),
    ]


def _product(activation: str, weight: str, output: str) -> list[NodeProto]:
    """Integers times integers, and the scales; runtimes make one operation of these."""
    return [
        make_node("MatMulInteger", [f"{activation}.int8", f"{weight}.int8", f"{activation}.zero"], [f"{output}.int32"]),
        make_node("Cast", [f"{output}.int32"], [f"{output}.integers"], to=TensorProto.FLOAT),
        make_node("Mul", [f"{activation}.scale", f"{weight}.scale"], [f"{output}.scale"]),
        make_node("Mul", [f"{output}.integers", f"{output}.scale"], [output]),
    ]
