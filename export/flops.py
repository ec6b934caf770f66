"""The work of an ONNX graph, counted from its matrix products, and the work that the denoiser needs.

A multiplication and its addition are 2 FLOP. What is not a matrix product (norms, softmax, GELU) counts nothing.
"""

from collections.abc import Sequence
from math import prod

import onnx

from xmdpt.spec import LATENT_SHAPE, Variant

_NOT_COUNTED = {"Attention", "ConvTranspose", "Einsum", "If", "Loop", "MatMulInteger", "QLinearMatMul", "Scan"}
Shape = Sequence[int]


def matrix_flops(model: onnx.ModelProto, batch_size: int) -> int:
    """FLOP of one run on `batch_size` rows.

    Raises:
        ValueError: the graph holds products that this does not count, or one whose shape depends on the data.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    for value in (*sized.graph.input, *sized.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch_size
    graph = onnx.shape_inference.infer_shapes(sized, strict_mode=True, data_prop=True).graph
    if model.functions or (found := _NOT_COUNTED & {node.op_type for node in graph.node}):
        raise ValueError(f"cannot count {found or 'functions'}")
    shapes: dict[str, Shape] = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    shapes |= {tensor.name: tensor.dims for tensor in graph.initializer}
    return sum(_product(node, shapes) for node in graph.node if node.op_type in {"MatMul", "Gemm", "Conv"})


def needed_flops(variant: Variant) -> int:
    """FLOP of one forward of the denoiser for one picture: its formula, both halves of the output included."""
    tokens, width = variant.num_tokens, variant.width
    block = 24 * tokens * width**2 + 4 * tokens**2 * width + 12 * width**2
    patch = LATENT_SHAPE[0] * variant.patch**2
    embedders = 2 * tokens * patch * width + 2 * (256 * width + width**2)
    final = 2 * 2 * width**2 + 2 * tokens * width * 2 * patch
    return variant.depth * block + embedders + final


def _product(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    first, second, out = shapes[node.input[0]], shapes[node.input[1]], shapes[node.output[0]]
    if 0 in (*first, *second, *out):
        raise ValueError(f"{node.name}: the shapes {first}, {second} and {out} are not known")
    if node.op_type == "Conv":
        # [channels out, channels in of one group, kernel rows, kernel columns]
        return 2 * prod(out) * prod(second[1:])
    if any(attribute.name == "transA" and attribute.i for attribute in node.attribute):
        raise ValueError(f"cannot count {node.name}, whose first matrix is transposed")
    return 2 * prod(out) * first[-1]
