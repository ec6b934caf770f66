"""How weights lie in an ONNX file: in the smallest type that loses nothing, widened to float32 by the graph itself.

Changes neither values nor arithmetic: runtimes compute the widening once, when they load the file. Weights too many for
one file lie in a second one beside it; those that a file of weights holds already (`export.shared_weights`) stay there.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.shared_weights import SharedTensor, SharedWeights

MIN_NUMBERS = 256
"""Below this many numbers the node that widens costs more than it saves."""

_INT8_MAX = 127
# Runtimes map tensors from a file where these begin on a page.
_ALIGNMENT = 4096


def store_compactly(
    model: onnx.ModelProto,
    detached: Mapping[str, np.ndarray] | None = None,
    data: Path | None = None,
    shared: SharedWeights | None = None,
) -> onnx.ModelProto:
    """Replace float32 initializers in place, where exact, by int8 times a power of two, or by float16.

    The trained weights of a checkpoint are usually neither and stay as they are.

    Args:
        model: to be changed.
        detached: values of initializers that the model names without holding them.
        data: file to write large initializers to instead of into the model; it must come to lie beside the model's.
        shared: file to point to for what it holds; runtimes must be told its folder, or find it beside the model's.
    """
    detached = detached or {}
    graph = model.graph
    initializers, widening = [], []
    pointers: dict[str, TensorProto] = {}
    with data.open("wb") if data else nullcontext() as file:
        for tensor in graph.initializer:
            if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < MIN_NUMBERS:
                initializers.append(tensor)
                continue
            values = detached[tensor.name] if tensor.name in detached else numpy_helper.to_array(tensor)
            if shared and (found := shared.find(values)):
                stored = f"{found.name}.stored"
                pointers[stored] = _pointer(stored, found, shared.path.name)
                widening += _widened(stored, tensor.name, found)
                continue
            arrays, nodes = _stored(tensor.name, values)
            initializers += [_tensor(name, array, file) for name, array in arrays.items()]
            widening += nodes
    nodes = [*widening, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*initializers, *pointers.values()])
    graph.node.extend(nodes)
    return model


def _tensor(name: str, array: np.ndarray, file: BinaryIO | None) -> TensorProto:
    if file is None or array.size < MIN_NUMBERS:
        return numpy_helper.from_array(array, name)
    file.write(bytes(-file.tell() % _ALIGNMENT))
    tensor = _external(name, array.shape, array.dtype, Path(file.name).name, file.tell(), array.nbytes)
    # Little-endian, as the format demands and as every processor here is.
    file.write(array.tobytes())
    return tensor


def _pointer(name: str, found: SharedTensor, file_name: str) -> TensorProto:
    return _external(name, found.shape, np.dtype(np.float16), file_name, found.offset, found.length)


def _external(
    name: str, shape: tuple[int, ...], dtype: np.dtype, file_name: str, offset: int, length: int
) -> TensorProto:
    """An initializer whose values are in a file, at an offset, of a length, both in bytes."""
    tensor = TensorProto(name=name, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(dtype)
    for key, value in {"location": file_name, "offset": str(offset), "length": str(length)}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def _widened(stored: str, name: str, found: SharedTensor) -> list[onnx.NodeProto]:
    """Nodes that make of a stored float16 tensor the float32 value `name`."""
    if not found.is_transposed:
        return [helper.make_node("Cast", [stored], [name], f"widen {name}", to=TensorProto.FLOAT)]
    return [
        helper.make_node("Transpose", [stored], [f"{name}.turned"], f"turn {name}", perm=[1, 0]),
        helper.make_node("Cast", [f"{name}.turned"], [name], f"widen {name}", to=TensorProto.FLOAT),
    ]


def exponent_of_int8(values: np.ndarray) -> int:
    """The smallest e for which values / 2**e lie within -127..127; values are finite and not all 0."""
    return int(np.ceil(np.log2(np.abs(values).max().astype(np.float64) / _INT8_MAX)))


def _stored(name: str, values: np.ndarray) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """Arrays by the names of their initializers, and nodes that make of them the float32 value `name`."""
    small = f"{name}.stored"
    if (steps := _as_int8(values)) is not None:
        integers, step = steps
        return (
            {small: integers, f"{name}.step": step},
            [
                helper.make_node("Cast", [small], [f"{name}.integers"], f"widen {name}", to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}.integers", f"{name}.step"], [name], f"scale {name}"),
            ],
        )
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if np.array_equal(halves.astype(np.float32), values):
        cast = helper.make_node("Cast", [small], [name], f"widen {name}", to=TensorProto.FLOAT)
        return {small: halves}, [cast]
    return {name: values}, []


def _as_int8(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers and the step between them, if that is exact."""
    if not values.any():
        return values.astype(np.int8), np.asarray(np.float32(1))
    if not np.isfinite(values).all():
        return None
    # In float64, where neither the step of the largest float32 overflows nor that of the smallest vanishes.
    step = 2.0 ** exponent_of_int8(values)
    integers = np.round(values.astype(np.float64) / step)
    is_exact = step >= np.finfo(np.float32).tiny and np.array_equal(integers * step, values)
    return (integers.astype(np.int8), np.asarray(np.float32(step))) if is_exact else None
