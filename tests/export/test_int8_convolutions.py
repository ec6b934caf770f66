"""Convolutions in int8 compute what they did, within the rounding of a byte; what is not worth it stays as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from export.graphs import module_of
from export.int8_convolutions import quantise_convolutions
from export.shared_weights import SharedWeights
from export.storage import store_compactly
from export.to_onnx import to_onnx
from tests.built_repositories import demo_networks, demo_weights
from xmdpt.graph_session import GraphSession
from xmdpt.repository import WEIGHTS_FOLDER_OPTION
from xmdpt.sampler import initial_noise
from xmdpt.spec import LOW_DECODER, VARIANTS, low_specs

CHANNELS, SIDE = 64, 12
# A byte has 127 levels on either side of zero, and sums of many products round less than one of them.
MAX_RELATIVE_ERROR = 0.02


def a_convolution(
    channels: tuple[int, int], kernel: tuple[int, int], *, with_bias: bool = True, **settings: Any
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A graph of one convolution as the exporter leaves it: its weight named, its values beside it."""
    generator = np.random.default_rng(0)
    num_in, num_out = channels
    shape = num_out, num_in // settings.get("group", 1), *kernel
    weights = {"weight": generator.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))}
    weight = TensorProto(name="weight", dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    bias = [onnx.numpy_helper.from_array(generator.standard_normal(num_out, np.float32), "bias")] if with_bias else []
    node = helper.make_node("Conv", ["x", "weight", *(tensor.name for tensor in bias)], ["y"], **settings)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", num_in, SIDE, SIDE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", num_out, None, None])
    graph = helper.make_graph([node], "convolution", [x], [y], [weight, *bias])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), weights


def outputs(model: onnx.ModelProto, weights: dict[str, np.ndarray]) -> np.ndarray:
    # Not around zero, as behind an activation: what stands for zero at the edges is then no zero byte.
    x = np.random.default_rng(1).standard_normal((1, CHANNELS, SIDE, SIDE), np.float32) + 1
    stored = store_compactly(model, weights).SerializeToString()
    (y,) = GraphSession(stored, Path(), 1, num_threads=1, device="cpu").run({"x": x})
    return y


def optimised(model: onnx.ModelProto, weights_folder: Path, path: Path) -> list[str]:
    """The operations that ONNX Runtime runs of a graph once it has loaded it."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(weights_folder))
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return operations(onnx.load(path))


def operations(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("num_out", "kernel", "settings"),
    [
        (2 * CHANNELS, (3, 3), {"pads": [1, 1, 1, 1]}),
        (CHANNELS, (3, 3), {"pads": [0, 0, 1, 1], "strides": [2, 2]}),
        (CHANNELS, (3, 2), {"pads": [1, 0, 0, 2], "strides": [1, 2], "with_bias": False}),
        (CHANNELS, (3, 3), {"group": 1, "dilations": [1, 1]}),
        (CHANNELS, (1, 1), {}),
    ],
)
def test_convolution_when_in_int8_then_it_is_one_product_and_gives_the_same_within_a_bytes_rounding(
    num_out: int, kernel: tuple[int, int], settings: dict
) -> None:
    wanted = outputs(*a_convolution((CHANNELS, num_out), kernel, **settings))
    model, weights = a_convolution((CHANNELS, num_out), kernel, **settings)

    quantise_convolutions(model, weights)

    assert operations(model).count("MatMulInteger") == 1
    assert "Conv" not in operations(model)
    assert "weight" not in weights
    found = outputs(model, weights)
    assert found.shape == wanted.shape
    assert 0 < np.abs(found - wanted).max() / np.abs(wanted).max() < MAX_RELATIVE_ERROR


@pytest.mark.parametrize(
    ("channels", "kernel", "settings"),
    [
        ((4, CHANNELS), (3, 3), {}),
        ((CHANNELS, 3), (3, 3), {}),
        ((CHANNELS, CHANNELS), (4, 4), {}),
        ((CHANNELS, CHANNELS), (3, 3), {"dilations": [2, 2]}),
        ((2 * CHANNELS, 2 * CHANNELS), (3, 3), {"group": 2}),
        ((CHANNELS, CHANNELS), (3, 3), {"auto_pad": "SAME_UPPER"}),
    ],
)
def test_convolution_when_it_has_few_channels_or_another_form_then_it_stays(
    channels: tuple[int, int], kernel: tuple[int, int], settings: dict
) -> None:
    model, weights = a_convolution(channels, kernel, **settings)

    quantise_convolutions(model, weights)

    assert operations(model) == ["Conv"]
    assert set(weights) == {"weight"}


def test_low_decoder_when_its_weights_are_shared_then_it_holds_none_and_runs_what_it_runs_of_stored_integers(
    tmp_path: Path,
) -> None:
    spec, module = low_specs(VARIANTS["demo"])[LOW_DECODER], module_of(LOW_DECODER)(demo_networks())
    stored = to_onnx(module, spec, precision="int8")
    shared = to_onnx(module, spec, shared=SharedWeights(demo_weights()), precision="int8")

    assert len(stored.SerializeToString()) > 700_000
    assert len(shared.SerializeToString()) < 30_000
    folder = demo_weights().parent
    found = [optimised(model, folder, tmp_path / "optimised.onnx") for model in (stored, shared)]
    assert sorted(found[0]) == sorted(found[1])
    # All but the convolutions that see latents or make colours, which have few channels.
    assert [found[0].count(kind) for kind in ("Conv", "MatMulIntegerToFloat")] == [2, 7]
    pictures = [
        GraphSession(model.SerializeToString(), folder, 1, num_threads=1, device="cpu").run(
            {"latents": initial_noise(0)[None]}
        )
        for model in (stored, shared)
    ]
    assert np.array_equal(*pictures)
