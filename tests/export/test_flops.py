"""The exported denoiser does the work that one conditional and one unconditional forward need, and no more."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from export.flops import matrix_flops, needed_flops
from export.graphs.tdnet_step import TdnetStepGraph
from export.to_onnx import to_onnx
from xmdpt.nn.pipeline import build_pipeline
from xmdpt.spec import VARIANTS, Variant, graph_specs

# What the graph leaves out (the variance channels) is far less than this; a second stream is 100 %.
MAX_RELATIVE_EXCESS = 0.03
ROWS = 2
"""A picture takes a conditional and an unconditional row."""


class WithSourceStream(TdnetStepGraph):
    """The mistake of the official code: a second picture through every block, whose result nobody needs."""

    def forward(
        self,
        latents: Tensor,
        previous_denoised: Tensor,
        condition: Tensor,
        timestep: Tensor,
        guidance: Tensor,
        coefficients: Tensor,
    ) -> tuple[Tensor, Tensor]:
        next_latents, denoised = super().forward(
            latents, previous_denoised, condition, timestep, guidance, coefficients
        )
        unused, _ = super().forward(previous_denoised, latents, condition, timestep, guidance, coefficients)
        # Not quite unused, or the exporter would drop it.
        return next_latents + 1e-9 * unused, denoised


def relative_excess(model: onnx.ModelProto, variant: Variant) -> float:
    needed = needed_flops(variant)
    return abs(matrix_flops(model, batch_size=1) / ROWS - needed) / needed


def test_needed_flops_when_computed_for_the_papers_sizes_then_the_stated_figures() -> None:
    gflop = [round(needed_flops(VARIANTS[name]) / 1e9, 2) for name in ("s", "b", "l")]
    assert gflop == [12.11, 46.01, 161.40]


def test_step_when_exported_at_size_s_then_its_flops_are_those_needed(
    size_s: Variant, size_s_step: onnx.ModelProto
) -> None:
    assert relative_excess(size_s_step, size_s) <= MAX_RELATIVE_EXCESS
    assert matrix_flops(size_s_step, batch_size=1) / ROWS == pytest.approx(12.11e9, rel=MAX_RELATIVE_EXCESS)


def test_step_when_the_batch_grows_then_its_flops_grow_alike(size_s_step: onnx.ModelProto) -> None:
    assert matrix_flops(size_s_step, batch_size=3) == 3 * matrix_flops(size_s_step, batch_size=1)


def test_counter_when_the_source_stream_is_back_then_over_the_bound(size_s: Variant) -> None:
    # Two decoder blocks and one before them: the smallest network with every kind of block.
    shallow = replace(size_s, depth=3)

    model = to_onnx(WithSourceStream(build_pipeline(shallow)), graph_specs(shallow)["tdnet_step"])

    assert relative_excess(model, shallow) > 0.9


def test_counter_when_one_block_is_too_many_then_over_the_bound(size_s: Variant, size_s_step: onnx.ModelProto) -> None:
    assert relative_excess(size_s_step, replace(size_s, depth=size_s.depth - 1)) > MAX_RELATIVE_EXCESS


def a_product(op_type: str, first: list[int], second: list[int], out: list[int], **attributes: object):
    weight = numpy_helper.from_array(np.ones(second, np.float32), "weight")
    node = helper.make_node(op_type, ["x", "weight"], ["y"], **attributes)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", first), ("y", out)))
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(helper.make_graph([node], op_type, [x], [y], [weight]), opset_imports=opsets)


@pytest.mark.parametrize(
    ("model", "flops"),
    [
        (a_product("MatMul", [7, 3], [3, 5], [7, 5]), 2 * 7 * 3 * 5),
        (a_product("MatMul", [2, 4, 7, 3], [4, 3, 5], [2, 4, 7, 5]), 2 * 8 * 7 * 3 * 5),
        (a_product("Gemm", [7, 3], [5, 3], [7, 5], transB=1), 2 * 7 * 3 * 5),
        (a_product("Conv", [1, 4, 8, 8], [6, 4, 2, 2], [1, 6, 4, 4], strides=[2, 2]), 2 * 6 * 16 * 16),
        (a_product("Conv", [1, 4, 8, 8], [6, 2, 3, 3], [1, 6, 6, 6], group=2), 2 * 6 * 36 * 18),
    ],
    ids=["matrix", "batch of matrices", "transposed", "strided", "grouped"],
)
def test_counter_when_one_product_then_counted_by_hand(model: onnx.ModelProto, flops: int) -> None:
    rows = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    assert matrix_flops(model, rows) == flops


def test_counter_when_a_product_has_another_form_then_refuses() -> None:
    model = a_product("Einsum", [7, 3], [3, 5], [7, 5], equation="ij,jk->ik")
    with pytest.raises(ValueError, match="Einsum"):
        matrix_flops(model, 7)
