"""What we ship, in a real Triton: every graph and the ensemble answer over both protocols as they do in process."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from export.verify import example_inputs, graph_runner
from tests.triton.lab_repository import MANIFEST, SHIPPED
from tests.triton.requests import PROTOCOLS, Feeds, infer
from tests.triton.running_triton import RunningTriton
from xmdpt.repository import manifest_specs
from xmdpt.spec import ENSEMBLE, GraphSpec, ensemble_spec

pytestmark = pytest.mark.system

SPECS = manifest_specs(MANIFEST)
ALL_SPECS: dict[str, GraphSpec] = {**SPECS, ENSEMBLE: ensemble_spec()}
WIRE_TYPES = {"f32": "FP32", "u8": "UINT8"}


def run_in_process(name: str, feeds: Feeds) -> Sequence[NDArray[Any]]:
    return graph_runner(SHIPPED, MANIFEST, name)(dict(feeds))


@cache
def answers_in_process(name: str, num_rows: int) -> Sequence[NDArray[Any]]:
    return run_in_process(name, example_inputs(SPECS[name], num_rows))


@cache
def picture_in_process(num_rows: int) -> Sequence[NDArray[Any]]:
    return draw_in_process(example_inputs(ensemble_spec(), num_rows))


def draw_in_process(feeds: Feeds) -> Sequence[NDArray[Any]]:
    """What the ensemble does, one graph after another."""
    source_vector = run_in_process("source_encoder", {"photo": feeds["photo"]})[0]
    pose_vector = run_in_process("pose_encoder", {"skeleton": feeds["skeleton"]})[0]
    condition = run_in_process("canet", {"source_vector": source_vector, "pose_vector": pose_vector})[0]
    plan = {name: feeds[name] for name in ("noise", "timesteps", "guidance", "coefficients")}
    latents = run_in_process("sampler", {"condition": condition, **plan})[0]
    return run_in_process("vae_decoder", {"latents": latents})


def test_repository_when_served_then_it_is_live_and_all_of_its_models_are_ready(triton: RunningTriton) -> None:
    assert set(MANIFEST["graphs"]) == set(SPECS)
    for client in (triton.http, triton.grpc):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert all(client.is_model_ready(name, "1") for name in ALL_SPECS)
    assert triton.line.rstrip().endswith(f"models: {', '.join(sorted(ALL_SPECS))}")


@pytest.mark.parametrize("name", ALL_SPECS)
def test_model_when_asked_then_its_arrays_are_those_of_the_contract(triton: RunningTriton, name: str) -> None:
    spec, said = ALL_SPECS[name], triton.http.get_model_metadata(name)

    for tensors, found in ((spec.inputs, said["inputs"]), (spec.outputs, said["outputs"])):
        assert [(tensor["name"], tensor["datatype"]) for tensor in found] == [
            (tensor.name, WIRE_TYPES[tensor.dtype]) for tensor in tensors
        ]
        assert [tensor["shape"] for tensor in found] == [
            [-1, *(-1 if isinstance(size, str) else size for size in tensor.shape)] for tensor in tensors
        ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("num_rows", [1, 3])
@pytest.mark.parametrize("name", SPECS)
def test_graph_when_called_then_it_answers_as_in_process(
    triton: RunningTriton, name: str, num_rows: int, protocol: str
) -> None:
    num_rows = min(num_rows, MANIFEST["graphs"][name]["max_batch_size"])
    feeds = example_inputs(SPECS[name], num_rows)

    answers = infer(triton, protocol, name, feeds, [tensor.name for tensor in SPECS[name].outputs])

    assert_same(answers, answers_in_process(name, num_rows))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ensemble_when_called_then_the_picture_is_that_of_its_graphs_in_process(
    triton: RunningTriton, protocol: str
) -> None:
    feeds = example_inputs(ensemble_spec(), 2)

    answers = infer(triton, protocol, ENSEMBLE, feeds, ["image"])

    assert_same(answers, picture_in_process(2))


def assert_same(answers: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> None:
    """Bit by bit: it is the same runtime."""
    assert len(answers) == len(wanted)
    for answer, array in zip(answers, wanted, strict=True):
        assert answer.dtype == array.dtype
        np.testing.assert_array_equal(answer, array)


def test_metrics_when_a_model_answers_then_its_requests_rows_and_calls_are_counted(triton: RunningTriton) -> None:
    before = triton.counts("tdnet_step")

    infer(triton, "grpc", "tdnet_step", example_inputs(SPECS["tdnet_step"], 3), [])

    counted = triton.counted_since(before, "tdnet_step", 1)
    assert counted.pop("seconds") > 0
    assert counted == {"succeeded": 1, "cancelled": 0, "failed": 0, "rows": 3, "calls": 1}


def test_encoder_when_it_has_seen_the_photo_then_the_server_knows_the_answer(triton: RunningTriton) -> None:
    feeds = {"photo": np.full((1, 256, 256, 3), 77, np.uint8)}
    first = infer(triton, "grpc", "source_encoder", feeds, ["source_vector"])
    before = triton.counts("source_encoder")

    again = infer(triton, "http", "source_encoder", feeds, ["source_vector"])

    assert_same(again, first)
    counted = triton.counted_since(before, "source_encoder", 1)
    assert (counted["succeeded"], counted["calls"]) == (1, 0)


# What a caller may get wrong, and what the answer must name.
Mistake = Callable[[Feeds], dict[str, NDArray[Any]]]
MISTAKES: dict[str, tuple[Mistake, str]] = {
    "name": (
        lambda feeds: {("photo" if name == "noise" else name): array for name, array in feeds.items()},
        "unexpected inference input 'photo' for model 'sampler'",
    ),
    "missing": (
        lambda feeds: {name: array for name, array in feeds.items() if name != "noise"},
        "missing required input(s) ['noise']",
    ),
    "shape": (
        lambda feeds: {**feeds, "noise": np.zeros((1, 4, 32, 31), np.float32)},
        "unexpected shape for input 'noise' for model 'sampler'. Expected [-1,4,32,32], got [1,4,32,31]",
    ),
    "dtype": (
        lambda feeds: {**feeds, "noise": np.zeros((1, 4, 32, 32), np.uint8)},
        "inference input 'noise' data-type is 'UINT8', but model 'sampler' expects 'FP32'",
    ),
    "unequal rows": (
        lambda feeds: {**feeds, "noise": np.zeros((2, 4, 32, 32), np.float32)},
        "input 'noise' batch size does not match other inputs for 'sampler'",
    ),
    "too many rows": (
        lambda feeds: {name: np.repeat(array, 33, axis=0) for name, array in feeds.items()},
        "batch-size must be <= 32 for 'sampler'",
    ),
    # What only the runtime sees.
    "unequal steps": (
        lambda feeds: {**feeds, "coefficients": feeds["coefficients"][:, :1]},
        "ONNX Runtime could not run it: ",
    ),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_sampler_when_called_wrongly_then_the_answer_says_why_and_the_next_call_is_well(
    triton: RunningTriton, mistake: str, protocol: str
) -> None:
    feeds = example_inputs(SPECS["sampler"], 1)
    change, reason = MISTAKES[mistake]

    with pytest.raises(InferenceServerException, match=re.escape(reason)):
        infer(triton, protocol, "sampler", change(feeds), ["latents"])

    assert infer(triton, protocol, "sampler", feeds, ["latents"])[0].shape == (1, 4, 32, 32)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_server_when_asked_for_a_model_that_is_not_there_then_it_is_named(triton: RunningTriton, protocol: str) -> None:
    with pytest.raises(InferenceServerException, match="unknown model: 'vae_encoder'"):
        infer(triton, protocol, "vae_encoder", example_inputs(SPECS["vae_decoder"], 1), ["latents"])
