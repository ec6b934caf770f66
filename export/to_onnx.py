"""One graph module to one ONNX model, the same bytes every time.

Does not choose how weights are stored (`export.storage`) nor write the model's file (`export.repository`).
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import nn

from export.int8_convolutions import quantise_convolutions
from export.precision import lowered, parts_to_lower, quantise
from export.shared_weights import SharedWeights, with_weights_inside
from export.storage import MIN_NUMBERS, store_compactly
from xmdpt.repository import Precision
from xmdpt.spec import LOW_DECODER, GraphSpec

OPSETS: Mapping[Precision, int] = {"fp32": 20, "fp16": 20, "bf16": 22, "int8": 20}
"""Old enough for the servers in use. In all of them attention still decomposes into products: TensorRT refuses opset
23's Attention with an added bias. Convolutions take bfloat16 from 22 on."""

MAX_INLINE_BYTES = 1_500_000_000
"""Float32 weights of a graph that one file holds. At 2 GB protobuf ends, and on the way it needs memory for copies."""

_WEIGHT_TYPES = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
_TORCH_TYPES = {"f32": torch.float32, "u8": torch.uint8}


def to_onnx(
    module: nn.Module,
    spec: GraphSpec,
    data: Path | None = None,
    max_inline_bytes: int = MAX_INLINE_BYTES,
    shared: SharedWeights | None = None,
    precision: Precision = "fp32",
) -> onnx.ModelProto:
    """Trace a graph with a batch axis of any size.

    Args:
        module: its `forward` takes and returns the arrays of `spec`, in order.
        spec: names, types and shapes of the graph's inputs and outputs.
        data: where to write the weights of a graph that has more of them than `max_inline_bytes`.
        max_inline_bytes: of weights in the type that they are computed in.
        shared: a file that holds the module's weights already; what is folded of them goes into the model.
        precision: of the large products; in int8 of convolutions only those of the low decoder.

    Returns:
        The model, free of everything that names the computer or the source it was traced on; checked, unless its
        weights are in `data`.

    Raises:
        torch._dynamo.exc.UserError: the graph fixes its batch size.
    """
    # Two rows: a batch of one would let the tracer take the batch axis for a constant.
    examples = tuple(torch.zeros(tensor.sizes(2), dtype=_TORCH_TYPES[tensor.dtype]) for tensor in spec.inputs)
    graph = lowered(module.eval(), precision)
    batch = torch.export.Dim("batch")
    with _quiet():
        # In two calls: torch.onnx alone would fix the batch size silently where this one raises.
        traced = torch.export.export(graph, examples, dynamic_shapes=tuple({0: batch} for _ in examples))
        program = torch.onnx.export(
            traced,
            dynamo=True,
            verbose=False,
            opset_version=OPSETS[precision],
            input_names=[tensor.name for tensor in spec.inputs],
            output_names=[tensor.name for tensor in spec.outputs],
        )
    assert program is not None
    detached = _detach_weights(program.model)
    model = ir.serde.serialize_model(program.model)
    if precision == "int8":
        is_shared = (lambda values: shared.find(values) is not None) if shared else (lambda _values: False)
        quantise(model, detached, parts_to_lower(module, precision), is_shared)
        if spec.name == LOW_DECODER:
            quantise_convolutions(model, detached, is_shared)
    model = _anonymous(model, spec.name)
    if shared:
        onnx.checker.check_model(
            with_weights_inside(store_compactly(model, detached, shared=shared), shared.path), full_check=True
        )
        return model
    if sum(values.nbytes for values in detached.values()) > max_inline_bytes:
        if data is None:
            raise ValueError(f"{spec.name}: too large for one file, and there is no place for a second one")
        return store_compactly(model, detached, data)
    onnx.checker.check_model(store_compactly(model, detached), full_check=True)
    return model


def _detach_weights(model: ir.Model) -> dict[str, np.ndarray]:
    """Take the large weights out of a model, in whose memory they would be copied once more."""
    detached = {}
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype in _WEIGHT_TYPES and tensor.size >= MIN_NUMBERS:
            detached[name] = values = tensor.numpy()
            shape = ir.Shape(values.shape)
            value.const_value = ir.ExternalTensor("detached", 0, 0, tensor.dtype, shape=shape, name=name)
    return detached


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
