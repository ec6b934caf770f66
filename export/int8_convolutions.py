"""Convolutions in int8: each as one product of matrices, because CPUs have a fast one for these and none for those.

ONNX Runtime's own `ConvInteger` is slower than float32. Does not choose a precision (`export.precision`) nor judge what
it does to pictures (`export.verify`).
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.precision import QUANTISATION_CONSTANTS, quantisation, quantised

# With fewer there is little to compute, and what sees latents or makes colours stays exact.
_MIN_CHANNELS = 64
_LARGEST_KERNEL = 3
_KERNEL_AXES = "conv.axes"
# Of a weight: rows, columns, what goes in, what comes out.
_CHANNELS_LAST = [2, 3, 1, 0]


def quantise_convolutions(
    model: onnx.ModelProto,
    weights: dict[str, np.ndarray],
    is_shared: Callable[[np.ndarray], bool] = lambda _values: False,
) -> None:
    """Let convolutions of kernels up to 3 x 3 between many channels compute in int8, in place.

    A weight gets a scale for each channel that comes out; what goes in gets one for each call, from the call's own
    numbers, so that only calls of one row give what they give alone.

    Args:
        model: just traced.
        weights: values of the model's initializers, by name; those that are quantised become int8.
        is_shared: as for `export.precision.quantise`: of such a weight the graph makes integers and scales itself.
    """
    graph = model.graph
    nodes: list[NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    gone: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv" and _is_worth_it(node, weights):
            weight = weights[node.input[1]]
            if is_shared(weight):
                nodes += _quantisation(node.input[1], weight, constants)
            else:
                _quantise(node.input[1], weight, weights, constants)
            nodes += _as_product(node, weight, constants)
            gone.add(node.input[1])
        else:
            nodes.append(node)
    gone -= {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in gone]
    for name in gone:
        del weights[name]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    for name, array in constants.items():
        if name in weights:
            tensor = TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
            tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
            graph.initializer.append(tensor)
        else:
            graph.initializer.append(numpy_helper.from_array(array, name))


def _is_worth_it(node: NodeProto, weights: dict[str, np.ndarray]) -> bool:
    weight, settings = weights.get(node.input[1]), _settings(node)
    if (
        weight is None
        or weight.ndim != 4
        or settings.get("group", 1) != 1
        or settings.get("auto_pad", b"NOTSET") != b"NOTSET"
    ):
        return False
    is_dense = set(settings.get("dilations", [1])) == {1} and max(weight.shape[2:]) <= _LARGEST_KERNEL
    return is_dense and min(weight.shape[:2]) >= _MIN_CHANNELS


def _quantise(name: str, weight: np.ndarray, weights: dict[str, np.ndarray], constants: dict[str, np.ndarray]) -> None:
    """[out, in, rows, columns] to integers [rows * columns * in, out], and the scales [out]."""
    integers, scale = quantised(weight.transpose(_CHANNELS_LAST).reshape(-1, len(weight)))
    weights[f"{name}.rows.int8"] = constants[f"{name}.rows.int8"] = integers
    constants[f"{name}.rows.scale"] = scale


def _quantisation(name: str, weight: np.ndarray, constants: dict[str, np.ndarray]) -> Iterator[NodeProto]:
    """What `_quantise` computes."""
    constants |= QUANTISATION_CONSTANTS
    shape = _constant(constants, "shape", [-1, len(weight)])
    yield helper.make_node("Transpose", [name], [f"{name}.last"], perm=_CHANNELS_LAST)
    yield helper.make_node("Reshape", [f"{name}.last", shape], [f"{name}.rows"])
    yield from quantisation(f"{name}.rows")


def _as_product(node: NodeProto, weight: np.ndarray, constants: dict[str, np.ndarray]) -> Iterator[NodeProto]:
    """Bytes, channels last; the neighbours of each pixel in one row, times integers, and the scales."""
    (x, name, *bias), y = node.input, node.output[0]
    yield helper.make_node("DynamicQuantizeLinear", [x], [f"{y}.int8", f"{y}.scale", f"{y}.zero"])
    yield helper.make_node("Transpose", [f"{y}.int8"], [f"{y}.pixels"], perm=[0, 2, 3, 1])
    yield from _neighbours(node, weight.shape[2:], constants)
    yield helper.make_node("MatMulInteger", [f"{y}.columns", f"{name}.rows.int8", f"{y}.zero"], [f"{y}.int32"])
    yield helper.make_node("Cast", [f"{y}.int32"], [f"{y}.integers"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [f"{y}.scale", f"{name}.rows.scale"], [f"{y}.scales"])
    yield helper.make_node("Mul", [f"{y}.integers", f"{y}.scales"], [f"{y}.products"])
    if bias:
        yield helper.make_node("Add", [f"{y}.products", *bias], [f"{y}.sums"])
    yield helper.make_node("Transpose", [f"{y}.sums" if bias else f"{y}.products"], [y], perm=[0, 3, 1, 2])


def _neighbours(node: NodeProto, kernel: tuple[int, ...], constants: dict[str, np.ndarray]) -> Iterator[NodeProto]:
    """[B, H, W, C] to [B, H', W', rows * columns * C]: what the kernel sees at each place."""
    settings, y = _settings(node), node.output[0]
    top, left, bottom, right = settings.get("pads", [0] * 4)
    strides = settings.get("strides", [1, 1])
    pixels = f"{y}.pixels"
    if any((top, left, bottom, right)):
        pads = f"conv.pads.{top}.{left}.{bottom}.{right}"
        constants[pads] = np.array([0, top, left, 0, 0, bottom, right, 0], np.int64)
        # With the byte that stands for zero.
        yield helper.make_node("Pad", [pixels, pads, f"{y}.zero"], [f"{y}.padded"])
        pixels = f"{y}.padded"
    constants[_KERNEL_AXES] = np.array([1, 2], np.int64)
    steps = _constant(constants, "steps", strides)
    seen = []
    for place in product(*(range(size) for size in kernel)):
        ends = [offset - size + 1 or np.iinfo(np.int64).max for offset, size in zip(place, kernel, strict=True)]
        bounds = [_constant(constants, "starts", place), _constant(constants, "ends", ends)]
        seen.append("{}.at{}.{}".format(y, *place))
        yield helper.make_node("Slice", [pixels, *bounds, _KERNEL_AXES, steps], [seen[-1]])
    yield helper.make_node("Concat", seen, [f"{y}.columns"], axis=3)


def _constant(constants: dict[str, np.ndarray], kind: str, values: object) -> str:
    array = np.array(values, np.int64)
    name = ".".join(["conv", kind, *map(str, array)])
    constants[name] = array
    return name


def _settings(node: NodeProto) -> dict:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
