"""Graphs in bfloat16 for a runtime that has none: the same graph and weights, computed in float32."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper


def computed_in_float32(path: Path) -> bytes | None:
    """Return a graph whose bfloat16 is float32, its weights as they were rounded, ready to be loaded.

    Args:
        path: of the graph.

    Returns:
        None if weights in bfloat16 lie in another file: the whole would be too large for one message.
    """
    model = onnx.load(path, load_external_data=False)
    for graph in _graphs(model.graph):
        for tensor in graph.initializer:
            if tensor.data_type == TensorProto.BFLOAT16:
                if tensor.data_location == TensorProto.EXTERNAL:
                    return None
                values = numpy_helper.to_array(tensor).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        for node in graph.node:
            for attribute in node.attribute:
                if (node.op_type, attribute.name, attribute.i) == ("Cast", "to", TensorProto.BFLOAT16):
                    attribute.i = TensorProto.FLOAT
                elif attribute.t.data_type == TensorProto.BFLOAT16:
                    attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float32)))
    return model.SerializeToString()


def _graphs(graph: onnx.GraphProto) -> Iterable[onnx.GraphProto]:
    """A graph and those in its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
