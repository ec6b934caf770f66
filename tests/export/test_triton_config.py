"""What Triton is told of each graph and of the ensemble: the contract, and how requests queue, batch and warm up."""

from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.triton_config import config_texts, ensemble_texts, max_batch_size
from export.triton_policy import profile_sizes
from xmdpt.repository import ONNX, TENSORRT
from xmdpt.spec import VARIANTS, TensorSpec, ensemble_spec, graph_specs

# Generated names, which have no types.
_pb: Any = model_config_pb2

SPECS = graph_specs(VARIANTS["s"])
TYPES = {"TYPE_UINT8": "u8", "TYPE_FP32": "f32"}


def parsed(text: str) -> Any:
    return text_format.Parse(text, _pb.ModelConfig())


def configs(name: str, platform: str = ONNX, max_rows: int = 8) -> dict[str, Any]:
    """The messages of a graph's files, by the files' names."""
    texts = config_texts(SPECS[name], max_rows, "0123", platform)
    return {path.removeprefix(f"{name}/"): parsed(text) for path, text in texts.items()}


def gpu_config(name: str, platform: str = ONNX, max_rows: int = 8) -> Any:
    return configs(name, platform, max_rows)["config.pbtxt"]


def cpu_config(name: str, max_rows: int = 8) -> Any:
    return configs(name, max_rows=max_rows)["configs/cpu.pbtxt"]


def tensors(declared: Any) -> tuple[TensorSpec, ...]:
    """What a configuration declares, in the contract's words."""
    names = _pb.DataType
    return tuple(
        TensorSpec(
            tensor.name,
            TYPES[names.Name(tensor.data_type)],
            tuple("steps" if size == -1 else size for size in tensor.dims),
        )
        for tensor in declared
    )


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("platform", [ONNX, TENSORRT])
def test_config_when_of_a_graph_then_the_contracts_tensors_and_the_files_digest(name: str, platform: str) -> None:
    for config in configs(name, platform).values():
        assert (config.name, config.platform, config.max_batch_size) == (name, platform, 8)
        assert (tensors(config.input), tensors(config.output)) == (SPECS[name].inputs, SPECS[name].outputs)
        assert config.parameters["sha256"].string_value == "0123"


@pytest.mark.parametrize("name", SPECS)
def test_config_when_for_a_cpu_then_it_differs_only_where_it_must(name: str) -> None:
    gpu, cpu = gpu_config(name), cpu_config(name)

    assert [group.kind for group in gpu.instance_group] == [gpu.instance_group[0].KIND_GPU]
    assert [group.kind for group in cpu.instance_group] == [cpu.instance_group[0].KIND_CPU]
    assert list(cpu.dynamic_batching.preferred_batch_size) == [1]
    assert cpu.parameters["intra_op_thread_count"].string_value == ("1" if name == "canet" else "0")

    del cpu.parameters["intra_op_thread_count"]
    cpu.dynamic_batching.ClearField("preferred_batch_size")
    for config in (gpu, cpu):
        config.ClearField("instance_group")
        config.ClearField("model_warmup")
    assert gpu == cpu


@pytest.mark.parametrize("name", SPECS)
def test_config_when_requests_wait_then_bounded_by_priority_and_by_their_own_timeouts(name: str) -> None:
    for config in configs(name).values():
        batching = config.dynamic_batching
        assert (batching.priority_levels, batching.default_priority_level) == (2, 1)
        assert batching.max_queue_delay_microseconds == 0
        interactive, batch = batching.default_queue_policy, batching.priority_queue_policy[2]
        assert list(batching.priority_queue_policy) == [2]
        for policy in (interactive, batch):
            assert policy.timeout_action == policy.REJECT
            assert policy.allow_timeout_override
            assert policy.max_queue_size > 0
        assert 0 < interactive.default_timeout_microseconds < batch.default_timeout_microseconds


@pytest.mark.parametrize("name", SPECS)
def test_config_when_warmed_up_then_with_complete_batches_of_zeros(name: str) -> None:
    gpu, cpu = gpu_config(name), cpu_config(name)

    assert [warmup.batch_size for warmup in gpu.model_warmup] == [1, 8]
    assert [warmup.batch_size for warmup in cpu.model_warmup] == [1]
    for warmup in (*gpu.model_warmup, *cpu.model_warmup):
        assert {name: tuple(given.dims) for name, given in warmup.inputs.items()} == {
            tensor.name: tensor.sizes(1, num_steps=2)[1:] for tensor in SPECS[name].inputs
        }
        assert all(given.zero_data for given in warmup.inputs.values())


def test_config_when_the_graph_takes_one_row_then_nothing_asks_for_more() -> None:
    rows = max_batch_size("tdnet_step", "int8")
    config = gpu_config("tdnet_step", max_rows=rows)

    assert (rows, max_batch_size("tdnet_step", "fp32")) == (1, 32)
    assert config.max_batch_size == 1
    assert [warmup.batch_size for warmup in config.model_warmup] == [1]
    assert list(cpu_config("tdnet_step", max_rows=rows).dynamic_batching.preferred_batch_size) == [1]


def test_configs_when_of_encoders_then_alone_cached() -> None:
    assert [name for name in SPECS if gpu_config(name).response_cache.enable] == ["source_encoder", "pose_encoder"]


@pytest.mark.parametrize(
    ("max_rows", "sizes"),
    [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8]), (32, [1, 2, 4, 8, 16, 32])],
)
def test_profile_sizes_when_listed_then_powers_of_two_and_the_largest(max_rows: int, sizes: list[int]) -> None:
    assert profile_sizes(max_rows) == sizes


def test_config_when_for_tensorrt_then_batches_are_its_profiles() -> None:
    assert list(configs("tdnet_step", TENSORRT)) == ["config.pbtxt"]
    config = gpu_config("tdnet_step", TENSORRT, max_rows=32)

    assert config.default_model_filename == "model.plan"
    assert list(config.dynamic_batching.preferred_batch_size) == [1, 2, 4, 8, 16, 32]
    (group,) = config.instance_group
    assert (group.kind, list(group.profile)) == (group.KIND_GPU, ["0", "1", "2", "3", "4", "5"])
    assert not gpu_config("sampler", TENSORRT).HasField("optimization"), "a loop cannot be captured"
    assert not gpu_config("tdnet_step").HasField("optimization")


def test_config_when_for_tensorrt_then_a_cuda_graph_runs_every_batch_size() -> None:
    cuda = gpu_config("tdnet_step", TENSORRT, max_rows=8).optimization.cuda
    bounds = [(graph.graph_lower_bound.batch_size, graph.batch_size) for graph in cuda.graph_spec]

    assert cuda.graphs
    assert bounds == [(1, 1), (2, 2), (3, 4), (5, 8)]
    for graph in cuda.graph_spec:
        for inputs in (graph.input, graph.graph_lower_bound.input):
            assert {name: tuple(shape.dim) for name, shape in inputs.items()} == {
                tensor.name: tensor.shape for tensor in SPECS["tdnet_step"].inputs
            }


def test_config_when_an_engine_is_tuned_for_other_batch_sizes_then_these() -> None:
    (text,) = config_texts(SPECS["canet"], 6, "0123", TENSORRT, [1, 6]).values()
    config = parsed(text)

    assert list(config.dynamic_batching.preferred_batch_size) == [1, 6]
    assert list(config.instance_group[0].profile) == ["0", "1"]
    assert [graph.batch_size for graph in config.optimization.cuda.graph_spec] == [1, 6]


@pytest.mark.parametrize("platform", [ONNX, TENSORRT])
def test_ensemble_when_made_then_every_graph_but_the_single_step_in_a_row(platform: str) -> None:
    texts = ensemble_texts(SPECS, dict.fromkeys(SPECS, 32) | {"vae_decoder": 6, "tdnet_step": 1}, platform)
    config = parsed(texts["xmdpt/config.pbtxt"])

    assert len(set(texts.values())) == 1
    assert (config.name, config.platform, config.max_batch_size) == ("xmdpt", "ensemble", 6)
    assert (tensors(config.input), tensors(config.output)) == (ensemble_spec().inputs, ensemble_spec().outputs)
    assert {
        step.model_name: (dict(step.input_map), dict(step.output_map)) for step in config.ensemble_scheduling.step
    } == {
        name: tuple({tensor.name: tensor.name for tensor in side} for side in (SPECS[name].inputs, SPECS[name].outputs))
        for name in ("source_encoder", "pose_encoder", "canet", "sampler", "vae_decoder")
    }


@pytest.mark.parametrize("text", [text for name in SPECS for text in config_texts(SPECS[name], 8, "0123").values()])
def test_text_when_read_by_an_engineer_then_it_says_what_to_do_after_a_change(text: str) -> None:
    assert text.startswith("# ")
    assert "python -m export seal" in text
