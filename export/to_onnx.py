"""One graph module to one ONNX model, the same bytes every time.

Does not write files (`export.repository`) nor choose how weights are stored (`export.storage`).
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch import nn

from export.storage import store_compactly
from xmdpt.spec import GraphSpec

OPSET = 20
"""Attention still decomposes into products here; TensorRT refuses the later opsets' Attention with an added bias."""

_TORCH_TYPES = {"f32": torch.float32, "u8": torch.uint8}


def to_onnx(module: nn.Module, spec: GraphSpec) -> onnx.ModelProto:
    """Trace a graph with a batch axis of any size.

    Args:
        module: its `forward` takes and returns the arrays of `spec`, in order.
        spec: names, types and shapes of the graph's inputs and outputs.

    Returns:
        The checked model, free of everything that names the computer or the source it was traced on.

    Raises:
        torch._dynamo.exc.UserError: the graph fixes its batch size.
    """
    # Two rows: a batch of one would let the tracer take the batch axis for a constant.
    examples = tuple(torch.zeros(2, *tensor.shape, dtype=_TORCH_TYPES[tensor.dtype]) for tensor in spec.inputs)
    batch = torch.export.Dim("batch")
    with _quiet():
        # In two calls: torch.onnx alone would fix the batch size silently where this one raises.
        traced = torch.export.export(module.eval(), examples, dynamic_shapes=tuple({0: batch} for _ in examples))
        program = torch.onnx.export(
            traced,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=[tensor.name for tensor in spec.outputs],
        )
    assert program is not None
    model = store_compactly(_anonymous(program.model_proto, spec.name))
    onnx.checker.check_model(model, full_check=True)
    return model


def _anonymous(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model without traces of its making, its inner values numbered in order instead of named by the tracer."""
    graph = model.graph
    graph.name = name
    graph.doc_string = ""
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    kept = {value.name for value in (*graph.input, *graph.output)} | {tensor.name for tensor in graph.initializer}
    numbers: dict[str, str] = {}
    for node in graph.node:
        node.doc_string = ""
        node.name = f"{node.op_type}_{len(numbers)}"
        for names in (node.input, node.output):
            names[:] = [n if n in kept or not n else numbers.setdefault(n, f"v{len(numbers)}") for n in names]
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracer's remarks on packages that this export does not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
