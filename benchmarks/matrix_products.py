"""Graphs of matrix products alone: what a runtime reaches on a computer when nothing but the products is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from xmdpt.spec import Variant

_OPSET, _IR_VERSION = 20, 10


@dataclass(frozen=True)
class Product:
    """One product, in each of `batch` places: [rows, inner] times [inner, columns].

    Attributes:
        has_weights: the second matrix is a constant of the graph, which runtimes lay out beforehand; else an input.
    """

    rows: int
    inner: int
    columns: int
    batch: int = 1
    has_weights: bool = True

    @property
    def flops(self) -> int:
        """A multiplication and its addition are 2."""
        return 2 * self.batch * self.rows * self.inner * self.columns


def square(size: int) -> list[Product]:
    """One large product, which is what a computer's matrix rate usually means."""
    return [Product(size, size, size)]


def denoiser_products(variant: Variant, num_pictures: int = 1) -> list[Product]:
    """The products of every block of the denoiser, each guided picture being two rows."""
    tokens, width, heads = variant.num_tokens, variant.width, variant.heads
    rows, depth = 2 * num_pictures * tokens, width // heads
    linear = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
    block = [
        *(Product(rows, inner, columns) for inner, columns in linear),
        Product(tokens, depth, tokens, 2 * num_pictures * heads, has_weights=False),
        Product(tokens, tokens, depth, 2 * num_pictures * heads, has_weights=False),
    ]
    return block * variant.depth


def products_model(
    products: Sequence[Product], dtype: type[np.floating] = np.float32, *, is_reduced: bool = True
) -> onnx.ModelProto:
    """A graph that computes all of them, each by itself; equal shapes share their inputs.

    Args:
        products: one or more.
        dtype: what they are computed in.
        is_reduced: give one number of each, its largest, so that no time goes into handing results over; else all.
    """
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    generator = np.random.default_rng(0)
    nodes, weights, inputs, outputs = [], [], {}, []
    for number, product in enumerate(products):
        batch = [product.batch] if product.batch > 1 else []
        first, second = [*batch, product.rows, product.inner], [*batch, product.inner, product.columns]
        x, w, y = f"x{'x'.join(map(str, first))}", f"w{'x'.join(map(str, second))}", f"y{number}"
        inputs[x] = first
        if product.has_weights:
            w = f"w{number}"
            values = generator.standard_normal(second, np.float32).astype(dtype)
            weights.append(numpy_helper.from_array(values, w))
        else:
            inputs[w] = second
        nodes.append(helper.make_node("MatMul", [x, w], [y]))
        if is_reduced:
            nodes.append(helper.make_node("ReduceMax", [y], [f"largest{number}"], keepdims=0))
            outputs.append(helper.make_tensor_value_info(f"largest{number}", kind, []))
        else:
            outputs.append(helper.make_tensor_value_info(y, kind, [*batch, product.rows, product.columns]))
    values = [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()]
    graph = helper.make_graph(nodes, "products", values, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


class ProductsRun:
    """All of some products in ONNX Runtime; what goes in lies on the device and nothing comes back.

    On the CPU each product's largest number is looked for as well, which reads the result once.
    """

    def __init__(self, products: Sequence[Product], dtype: type[np.floating] = np.float32, device: str = "cpu") -> None:
        """Load them.

        Args:
            products: one or more.
            dtype: what they are computed in.
            device: "cpu", in the calling thread alone, or "cuda".
        """
        model = products_model(products, dtype, is_reduced=device == "cpu")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        # Float32 means float32, as in what is measured against it.
        provider = {"cpu": "CPUExecutionProvider", "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"})}[device]
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=[provider], enable_fallback=False
        )
        self._binding = self._session.io_binding()
        generator = np.random.default_rng(1)
        for value in model.graph.input:
            shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            numbers = generator.standard_normal(shape, np.float32).astype(dtype)
            self._binding.bind_ortvalue_input(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(numbers, device, 0))
        for output in model.graph.output:
            self._binding.bind_output(output.name, device)

    def __call__(self) -> None:
        """Compute all of them once, and return when that is done."""
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
