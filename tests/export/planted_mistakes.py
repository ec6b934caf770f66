"""Mistakes put into a correct graph, each a few edits of the ONNX model."""

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

Mistake = Callable[[onnx.ModelProto], None]


def node_of(model: onnx.ModelProto, op_type: str) -> onnx.NodeProto:
    """The only node of its kind."""
    (node,) = (node for node in model.graph.node if node.op_type == op_type)
    return node


def rewire(model: onnx.ModelProto, old: str, new: str) -> None:
    """Let everything that reads `old` read `new`."""
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def add_constant(model: onnx.ModelProto, name: str, values: object, dtype: type) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), name))
    return name


def changed_input(name: str, op_type: str, values: object, dtype: type = np.float32, **attributes: object) -> Mistake:
    """Let the graph see op(input, values) in the place of an input."""

    def plant(model: onnx.ModelProto) -> None:
        rewire(model, name, f"{name}.changed")
        constant = add_constant(model, f"{name}.values", values, dtype)
        node = helper.make_node(op_type, [name, constant], [f"{name}.changed"], "planted", **attributes)
        model.graph.node.insert(0, node)

    return plant


def changed_weights(part: str, change: Callable[[np.ndarray], np.ndarray]) -> Mistake:
    """Change every stored tensor of at least 256 numbers whose name contains `part`."""

    def plant(model: onnx.ModelProto) -> None:
        found = [t for t in model.graph.initializer if part in t.name and np.prod(t.dims) >= 256]
        assert found, part
        for tensor in found:
            values = np.ascontiguousarray(change(numpy_helper.to_array(tensor)))
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    return plant


def not_a_number(model: onnx.ModelProto) -> None:
    """Poison the graph's first output."""
    output = model.graph.output[0].name
    producer = next(node for node in model.graph.node if output in node.output)
    producer.output[:] = [f"{name}.good" if name == output else name for name in producer.output]
    constant = add_constant(model, "poison", np.nan, np.float32)
    model.graph.node.append(helper.make_node("Mul", [f"{output}.good", constant], [output], "planted"))


def swap_guidance(model: onnx.ModelProto) -> None:
    """Unconditional minus conditional."""
    node = node_of(model, "Sub")
    node.input[:] = node.input[::-1]


def swap_cosines_and_sines(model: onnx.ModelProto) -> None:
    first, second = (node_of(model, op_type).output[0] for op_type in ("Cos", "Sin"))
    concat = next(node for node in model.graph.node if set(node.input) == {first, second})
    concat.input[:] = concat.input[::-1]


def swap_latents(model: onnx.ModelProto) -> None:
    rewire(model, "latents", "other")
    rewire(model, "previous_denoised", "latents")
    rewire(model, "other", "previous_denoised")


def swap_outputs(model: onnx.ModelProto) -> None:
    names = [value.name for value in model.graph.output]
    swapped = dict(zip(names, reversed(names), strict=True))
    for node in model.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [swapped.get(name, name) for name in ends]


def ignore_the_pose(model: onnx.ModelProto) -> None:
    rewire(model, "pose_vector", "source_vector")


def divide_by_255(model: onnx.ModelProto) -> None:
    """Forget that a skeleton is divided by its own maximum."""
    rewire(model, node_of(model, "ReduceMax").output[0], add_constant(model, "white", 255, np.float32))


def forget_in_the_loop(model: onnx.ModelProto) -> None:
    """Hand nothing on but the latents: what was denoised last stays what it was at the beginning."""
    body = node_of(model, "Loop").attribute[0].g
    nothing, handed_on = body.input[3].name, body.output[2].name
    producer = next(node for node in body.node if handed_on in node.output)
    producer.output[:] = ["denoised.lost" if name == handed_on else name for name in producer.output]
    for node in body.node:
        node.input[:] = ["denoised.lost" if name == handed_on else name for name in node.input]
    body.node.append(helper.make_node("Identity", [nothing], [handed_on], "planted"))


def stop_a_step_early(model: onnx.ModelProto) -> None:
    one = add_constant(model, "one", 1, np.int64)
    loop = node_of(model, "Loop")
    place = list(model.graph.node).index(loop)
    model.graph.node.insert(place, helper.make_node("Sub", [loop.input[0], one], ["fewer_steps"], "planted"))
    loop.input[0] = "fewer_steps"
