"""What benchmarks of a GPU are measured against, as far as a CPU shows it: products alone, and the work of a step."""

from pathlib import Path

import numpy as np

from benchmarks.graphs import step_model, untrained
from benchmarks.matrix_products import products_model, square
from export.flops import matrix_flops
from xmdpt.graph_session import GraphSession


def test_products_when_they_are_not_reduced_then_the_graph_is_the_product_and_nothing_else() -> None:
    model = products_model(square(8), is_reduced=False)
    graph = GraphSession(model.SerializeToString(), Path(), 8, device="cpu")

    (product,) = graph.run({model.graph.input[0].name: np.eye(8, dtype=np.float32)})

    assert [node.op_type for node in model.graph.node] == ["MatMul"]
    assert product.shape == (8, 8)
    assert np.abs(product).min() > 0


def test_step_when_its_products_are_float16_then_its_work_is_that_of_float32() -> None:
    networks = untrained("tiny")

    assert matrix_flops(step_model(networks, "fp16"), 1) == matrix_flops(step_model(networks), 1)
