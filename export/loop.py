"""The graph `sampler` made of the graph `tdnet_step`: an ONNX Loop around it.

What does not change from step to step stays outside of the loop, weights above all, so that they are there once and
runtimes fold them. Does not trace (`export.to_onnx`); weights that lie in another file stay there.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.helper import make_node

from xmdpt.spec import STEPS_AXIS, GraphSpec

_STATE = {"latents": "next_latents", "previous_denoised": "denoised"}
"""Inputs of a step and the outputs that take their place in the next one."""
_COLUMNS = {"timestep": "timesteps", "guidance": "guidance", "coefficients": "coefficients"}
"""Inputs of a step and the tables of the plan that hold one for each step."""
_ITERATION, _GOES_ON = "iteration", "goes_on"


def sampler_model(step: onnx.ModelProto, spec: GraphSpec) -> onnx.ModelProto:
    """Return the model of `sampler`.

    Args:
        step: the model of `tdnet_step`, as it is stored; not changed.
        spec: of `sampler`.
    """
    model = onnx.ModelProto()
    model.CopyFrom(step)
    graph = model.graph
    graph.name = spec.name
    inner, outer = _split(graph.node, {*_STATE, *_COLUMNS})
    body = _body(inner, step.graph)
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend([*outer, *_before_the_loop(), _loop(body, spec)])
    graph.initializer.extend(_scalars())
    for tensors, values in ((spec.inputs, graph.input), (spec.outputs, graph.output)):
        values.extend(
            helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, ["batch", *tensor.shape])
            for tensor in tensors
        )
    return model


def _split(nodes: Iterable[NodeProto], changing: set[str]) -> tuple[list[NodeProto], list[NodeProto]]:
    """Return the nodes that depend on what changes from step to step, and the others."""
    inner, outer = [], []
    for node in nodes:
        if changing.isdisjoint(node.input):
            outer.append(node)
        else:
            inner.append(node)
            changing = changing.union(node.output)
    return inner, outer


def _body(nodes: Sequence[NodeProto], step: onnx.GraphProto) -> onnx.GraphProto:
    """One turn of the loop: the plan's column of this step, then the step.

    A step's own names get a prefix: some of them are names of the whole graph too.
    """
    border = [*_STATE, *_STATE.values(), *_COLUMNS]
    renamed = {name: f"step.{name}" for name in border}
    turned = []
    for node in nodes:
        copy = NodeProto()
        copy.CopyFrom(node)
        for names in (copy.input, copy.output):
            names[:] = [renamed.get(name, name) for name in names]
        turned.append(copy)
    shapes = {value.name: value for value in (*step.input, *step.output)}

    def value(name: str) -> onnx.ValueInfoProto:
        copy = onnx.ValueInfoProto()
        copy.CopyFrom(shapes[name])
        copy.name = renamed[name]
        return copy

    columns = [
        make_node("Gather", [f"{table}.by_step", _ITERATION], [f"step.{name}"], f"step of {table}", axis=0)
        for name, table in _COLUMNS.items()
    ]
    goes_on = make_node("Identity", [_GOES_ON], [f"{_GOES_ON}.next"], "go on")
    return helper.make_graph(
        [*columns, *turned, goes_on],
        "step",
        [
            helper.make_tensor_value_info(_ITERATION, TensorProto.INT64, []),
            helper.make_tensor_value_info(_GOES_ON, TensorProto.BOOL, []),
            *map(value, _STATE),
        ],
        [helper.make_tensor_value_info(f"{_GOES_ON}.next", TensorProto.BOOL, []), *map(value, _STATE.values())],
    )


def _before_the_loop() -> list[NodeProto]:
    """Tables with the steps first, the number of steps, and the zeros that no first step has a use for."""
    return [
        make_node("Transpose", ["timesteps"], ["timesteps.turned"], "turn timesteps", perm=[1, 0]),
        make_node("Unsqueeze", ["timesteps.turned", "last_axis"], ["timesteps.by_step"], "column of timesteps"),
        make_node("Transpose", ["guidance"], ["guidance.turned"], "turn guidance", perm=[1, 0]),
        make_node("Unsqueeze", ["guidance.turned", "last_axis"], ["guidance.by_step"], "column of guidance"),
        make_node("Transpose", ["coefficients"], ["coefficients.by_step"], "turn coefficients", perm=[1, 0, 2]),
        make_node("Shape", ["timesteps"], ["timesteps.shape"], "shape of timesteps"),
        make_node("Gather", ["timesteps.shape", "steps_axis"], ["num_steps"], "count the steps", axis=0),
        make_node("Shape", ["noise"], ["noise.shape"], "shape of noise"),
        make_node("ConstantOfShape", ["noise.shape"], ["nothing_denoised"], "start without memory"),
    ]


def _scalars() -> list[TensorProto]:
    return [
        numpy_helper.from_array(values, name)
        for name, values in {
            "last_axis": np.array([2], np.int64),
            "steps_axis": np.array(1, np.int64),
            f"{_GOES_ON}.first": np.array(True),
        }.items()
    ]


def _loop(body: onnx.GraphProto, spec: GraphSpec) -> NodeProto:
    return make_node(
        "Loop",
        ["num_steps", f"{_GOES_ON}.first", "noise", "nothing_denoised"],
        [spec.outputs[0].name, "last_denoised"],
        f"for each of {STEPS_AXIS}",
        body=body,
    )
