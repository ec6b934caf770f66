"""The graphs hold only what every runtime runs at a fixed shape: no branches, no noise, no interpolated encoders."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export.graphs import GRAPHS
from export.verify import MAX_RELATIVE_ERRORS, example_inputs
from tests.built_repositories import demo_repository, tiny_repository
from xmdpt.nn.pipeline import Pipeline
from xmdpt.repository import graph_path
from xmdpt.spec import VARIANTS, graph_specs

ALL_GRAPHS = list(graph_specs(VARIANTS["tiny"]))
CONTROL_FLOW = {"If", "Scan", "SequenceMap"}
NOISE = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
DATA_DEPENDENT_SHAPES = {"Compress", "NonMaxSuppression", "NonZero", "Unique"}


@pytest.fixture(scope="session", params=[tiny_repository, demo_repository], ids=["tiny", "demo"])
def built(request: pytest.FixtureRequest) -> Path:
    """A repository of one of the kinds that the project can ship."""
    return request.param()


def model_of(root: Path, name: str) -> onnx.ModelProto:
    return onnx.load(root / graph_path(name), load_external_data=False)


def ops(graph: onnx.GraphProto) -> set[str]:
    """Those of the subgraphs too."""
    found = set()
    for node in graph.node:
        found.add(node.op_type)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                found |= ops(attribute.g)
    return found


@pytest.mark.parametrize("name", ALL_GRAPHS)
def test_graph_when_built_then_no_branches_noise_or_data_dependent_shapes(built: Path, name: str) -> None:
    found = ops(model_of(built, name).graph)

    assert not found & (CONTROL_FLOW | NOISE | DATA_DEPENDENT_SHAPES)
    assert ("Loop" in found) == (name == "sampler")


@pytest.mark.parametrize("name", ALL_GRAPHS)
def test_graph_when_built_then_standard_operators_of_one_opset(built: Path, name: str) -> None:
    model = model_of(built, name)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions


@pytest.mark.parametrize("name", [name for name in ALL_GRAPHS if name != "vae_decoder"])
def test_graph_when_not_the_decoder_then_interpolates_nothing(built: Path, name: str) -> None:
    assert not ops(model_of(built, name).graph) & {"Resize", "Upsample", "GridSample"}


@pytest.mark.parametrize("name", ALL_GRAPHS)
def test_graph_when_built_then_names_neither_sources_nor_the_computer(built: Path, name: str) -> None:
    content = (built / graph_path(name)).read_bytes()
    marks = [".py", "site-packages", str(Path(__file__).parents[2]), str(Path.home()) + "/", sys.prefix]
    assert not [mark for mark in marks if mark.encode() in content]


def test_step_when_exported_then_takes_no_picture_of_the_source(size_s_step: onnx.ModelProto) -> None:
    assert [(value.name, len(value.type.tensor_type.shape.dim)) for value in size_s_step.graph.input] == [
        ("latents", 4),
        ("previous_denoised", 4),
        ("condition", 2),
        ("timestep", 2),
        ("guidance", 2),
        ("coefficients", 2),
    ]


def test_step_when_exported_then_each_blocks_bias_is_folded(size_s_step: onnx.ModelProto) -> None:
    graph = size_s_step.graph
    biases = [list(tensor.dims) for tensor in graph.initializer if list(tensor.dims)[-2:] == [256, 256]]
    tables = [tensor.name for tensor in graph.initializer if 964 in tensor.dims]

    assert biases == [[6, 256, 256]] * 12
    assert not tables
    assert not ops(graph) & {"Gather", "GatherElements", "GatherND"}


def test_step_when_exported_then_the_variance_is_left_out(size_s_step: onnx.ModelProto) -> None:
    shapes = [sorted(tensor.dims) for tensor in size_s_step.graph.initializer]
    assert [16, 384] in shapes
    assert [32, 384] not in shapes


def test_step_when_exported_at_size_s_then_agrees_with_torch_on_one_row(
    size_s_step: onnx.ModelProto, size_s_pipeline: Pipeline
) -> None:
    inputs = example_inputs(graph_specs(size_s_pipeline.variant)["tdnet_step"], batch_size=1)
    session = onnxruntime.InferenceSession(size_s_step.SerializeToString(), providers=["CPUExecutionProvider"])

    found = session.run(None, inputs)

    with torch.inference_mode():
        wanted = GRAPHS["tdnet_step"](size_s_pipeline)(*map(torch.from_numpy, inputs.values()))
    for a, b in zip(found, wanted, strict=True):
        assert np.abs(a - b.numpy()).max() <= MAX_RELATIVE_ERRORS["fp32"] * np.abs(b.numpy()).max()
