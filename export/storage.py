"""How weights lie in an ONNX file: in the smallest type that loses nothing, widened by the graph itself.

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
from onnx.external_data_helper import ExternalDataInfo

from export.shared_weights import SharedTensor, SharedWeights

MIN_NUMBERS = 256
"""Below this many numbers the node that widens costs more than it saves."""

_INT8_MAX = 127
_STORED = ".stored"
# Runtimes map tensors from a file where these begin on a page.
_ALIGNMENT = 4096


def store_compactly(
    model: onnx.ModelProto,
    detached: Mapping[str, np.ndarray] | None = None,
    data: Path | None = None,
    shared: SharedWeights | None = None,
) -> onnx.ModelProto:
    """Replace float32 initializers in place, where exact, by int8 times a power of two, or by float16.

    The trained weights of a checkpoint are usually neither and stay as they are; so do initializers of other types.

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
            values = detached.get(tensor.name)
            if values is None:
                if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < MIN_NUMBERS:
                    initializers.append(tensor)
                    continue
                values = numpy_helper.to_array(tensor)
            if shared and (found := shared.find(values)):
                stored = f"{found.name}{_STORED}"
                pointers[stored] = _pointer(stored, found, shared.path.name)
                widening += _widened(stored, tensor, found)
                continue
            arrays, nodes = _stored(tensor.name, values) if values.dtype == np.float32 else ({tensor.name: values}, [])
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


def _widened(stored: str, wanted: TensorProto, found: SharedTensor) -> list[onnx.NodeProto]:
    """Nodes that make of a stored float16 tensor the value of an initializer, in that one's type."""
    name, nodes = wanted.name, []
    if found.is_transposed:
        nodes.append(helper.make_node("Transpose", [stored], [f"{name}.turned"], f"turn {name}", perm=[1, 0]))
        stored = f"{name}.turned"
    return [*nodes, helper.make_node("Cast", [stored], [name], f"widen {name}", to=wanted.data_type)]


def widen_integers(model: onnx.ModelProto, folder: Path) -> dict[str, np.ndarray]:
    """Take back in place what `store_compactly` made int8 of, for runtimes to which int8 means a quantised tensor.

    Args:
        model: as it was stored; its initializers become float32 ones that hold no values.
        folder: where the file is that the model takes weights from, if it does.

    Returns:
        The values of those initializers, by name.
    """
    graph, widened = model.graph, {}
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    for name, tensor in initializers.items():
        if name.endswith(_STORED) and tensor.data_type == TensorProto.INT8:
            wanted = name.removesuffix(_STORED)
            step = numpy_helper.to_array(initializers[f"{wanted}.step"])
            widened[wanted] = _values(tensor, folder).astype(np.float32) * step
    unused = {f"{name}{ending}" for name in widened for ending in (_STORED, ".step", ".integers", "")}
    nodes = [node for node in graph.node if unused.isdisjoint(node.output)]
    kept = [tensor for tensor in graph.initializer if tensor.name not in unused]
    # A file that there is not: whoever forgets to hand over the values is told so.
    kept += [
        _external(name, array.shape, array.dtype, f"values of {name}", 0, array.nbytes)
        for name, array in widened.items()
    ]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    return widened


def _values(tensor: TensorProto, folder: Path) -> np.ndarray:
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place, shape = ExternalDataInfo(tensor), tuple(tensor.dims)
    numbers = np.fromfile(folder / place.location, np.int8, int(np.prod(shape)), offset=place.offset or 0)
    return numbers.reshape(shape)


def exponent_of_int8(values: np.ndarray) -> int:
    """The smallest e for which values / 2**e lie within -127..127; values are finite and not all 0."""
    return int(np.ceil(np.log2(np.abs(values).max().astype(np.float64) / _INT8_MAX)))


def _stored(name: str, values: np.ndarray) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """Arrays by the names of their initializers, and nodes that make of them the float32 value `name`."""
    small = f"{name}{_STORED}"
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
