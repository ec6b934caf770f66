"""The exporter keeps the batch axis open, writes the same bytes each time, and refuses what fixes a batch."""

import pytest
import torch
from torch import Tensor, nn

from export.to_onnx import to_onnx
from xmdpt.spec import GraphSpec, TensorSpec

SPEC = GraphSpec("doubling", (TensorSpec("x", "f32", (3,)),), (TensorSpec("y", "f32", (3,)),))


class Doubling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class PairsOnly(nn.Module):
    """Its constant has a row for each of two pictures."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(2, 3)


def test_export_when_a_module_is_simple_then_named_and_open_as_the_contract_says() -> None:
    graph = to_onnx(Doubling(), SPEC).graph

    (x,), (y,) = graph.input, graph.output
    assert (graph.name, x.name, y.name) == ("doubling", "x", "y")
    for value in (x, y):
        batch, width = value.type.tensor_type.shape.dim
        assert (batch.dim_param, width.dim_value) == ("batch", 3)


def test_export_when_repeated_then_the_same_bytes() -> None:
    first, second = (to_onnx(Doubling(), SPEC).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_export_when_the_module_fixes_its_batch_then_refused() -> None:
    with pytest.raises(Exception, match="batch") as error:
        to_onnx(PairsOnly(), SPEC)
    assert type(error.value).__name__ == "UserError"
