"""How weights lie in an ONNX file: in the smallest type that loses nothing, widened to float32 by the graph itself.

Changes neither values nor arithmetic: runtimes compute the widening once, when they load the file.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Below this many numbers the node that widens costs more than it saves.
_MIN_NUMBERS = 256
_INT8_MAX = 127


def store_compactly(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace float32 initializers in place, where exact, by int8 times a power of two, or by float16.

    The trained weights of a checkpoint are usually neither and stay as they are.
    """
    graph = model.graph
    initializers, widening = [], []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _MIN_NUMBERS:
            initializers.append(tensor)
            continue
        stored, nodes = _stored(tensor.name, numpy_helper.to_array(tensor))
        initializers += stored
        widening += nodes
    nodes = [*widening, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(nodes)
    return model


def exponent_of_int8(values: np.ndarray) -> int:
    """The smallest e for which values / 2**e lie within -127..127; values are finite and not all 0."""
    return int(np.ceil(np.log2(np.abs(values).max().astype(np.float64) / _INT8_MAX)))


def _stored(name: str, values: np.ndarray) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """Initializers, and nodes that make of them the float32 value `name`."""
    small = f"{name}.stored"
    if (steps := _as_int8(values)) is not None:
        integers, step = steps
        return (
            [numpy_helper.from_array(integers, small), numpy_helper.from_array(step, f"{name}.step")],
            [
                helper.make_node("Cast", [small], [f"{name}.integers"], f"widen {name}", to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{name}.integers", f"{name}.step"], [name], f"scale {name}"),
            ],
        )
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if np.array_equal(halves.astype(np.float32), values):
        cast = helper.make_node("Cast", [small], [name], f"widen {name}", to=TensorProto.FLOAT)
        return [numpy_helper.from_array(halves, small)], [cast]
    return [numpy_helper.from_array(values, name)], []


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
