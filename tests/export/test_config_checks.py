"""A configuration that Triton would not take, or that is not its graph's, is refused with its file and field named."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.config_checks import check_configs
from export.triton_config import config_texts, ensemble_texts
from export.triton_policy import profile_sizes
from xmdpt.repository import ONNX, TENSORRT, RepositoryError
from xmdpt.spec import VARIANTS, graph_specs

# Generated names, which have no types.
_pb: Any = model_config_pb2

SPECS = graph_specs(VARIANTS["s"])
MAX_ROWS = dict.fromkeys(SPECS, 8) | {"sampler": 32, "tdnet_step": 32}
GPU, CPU = "config.pbtxt", "configs/cpu.pbtxt"
PLAN = ("timesteps", "guidance", "coefficients")
Change = Callable[[Any], object]


def write_configs(root: Path, platform: str = ONNX) -> dict:
    """The configurations of a repository whose graphs nobody built; returns what a check needs of its manifest."""
    texts = ensemble_texts(SPECS, MAX_ROWS, platform)
    for name, spec in SPECS.items():
        texts |= config_texts(spec, MAX_ROWS[name], f"digest of {name}", platform)
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    entries = {
        name: {
            "path": f"{name}/1/model.onnx",
            "sha256": f"digest of {name}",
            "max_batch_size": MAX_ROWS[name],
            "engine": {"batch_sizes": list(profile_sizes(MAX_ROWS[name]))},
        }
        for name in SPECS
    }
    return {"variant": "s", "platform": platform, "graphs": entries}


def edit(path: Path, change: Change) -> None:
    config = text_format.Parse(path.read_text(), _pb.ModelConfig())
    change(config)
    path.write_text(text_format.MessageToString(config))


def field(name: str, value: object) -> Change:
    """Set a field of a configuration; dots and numbers lead into it."""
    *way, last = name.split(".")

    def change(config: Any) -> None:
        for step in way:
            config = config[int(step)] if step.isdigit() else getattr(config, step)
        if isinstance(value, list):
            getattr(config, last)[:] = value
        else:
            setattr(config, last, value)

    return change


def remove(name: str) -> Change:
    return lambda config: config.ClearField(name)


def warmup(change: Change) -> Change:
    return lambda config: change(config.model_warmup[0])


def drop_digest(config: Any) -> None:
    del config.parameters["sha256"]


def drop_input(given: Any) -> None:
    del given.inputs["guidance"]


def with_sequences(config: Any) -> None:
    config.sequence_batching.max_sequence_idle_microseconds = 0
    config.sequence_batching.SetInParent()


def priority_3(config: Any) -> None:
    config.dynamic_batching.priority_queue_policy[3].max_queue_size = 1


def data_file(given: Any) -> None:
    given.inputs["noise"].input_data_file = "noise.bin"


GRAPH_CASES: dict[str, tuple[str, Change, str]] = {
    "name": (GPU, field("name", "sampler2"), "`name` is 'sampler2', it must be 'sampler'"),
    "no name": (GPU, remove("name"), "`name` is missing"),
    "platform": (GPU, field("platform", "tensorrt_plan"), "`platform` is 'tensorrt_plan'"),
    "backend": (GPU, field("backend", "python"), "`backend` must be left out"),
    "file": (GPU, field("default_model_filename", "other.onnx"), "`default_model_filename` must be left out"),
    "versions": (GPU, lambda config: config.version_policy.all.SetInParent(), "`version_policy` must be left out"),
    "agents": (GPU, lambda config: config.model_repository_agents.agents.add(name="a"), "`model_repository_agents`"),
    "sequences": (GPU, with_sequences, "`sequence_batching` must be left out"),
    "no inputs": (GPU, remove("input"), "`input` is missing"),
    "input's name": (GPU, field("input.0.name", "latents"), "`input` is latents TYPE_FP32 [4, 32, 32], condition"),
    "input's type": (CPU, field("input.0.data_type", _pb.TYPE_FP16), "noise TYPE_FP16 [4, 32, 32]"),
    "input's sizes": (GPU, field("input.0.dims", [4, 64, 64]), "noise TYPE_FP32 [4, 64, 64]"),
    "steps fixed": (GPU, field("input.2.dims", [50]), "timesteps TYPE_FP32 [50]"),
    "input optional": (GPU, field("input.0.optional", True), "`input` must have no other fields"),
    "ragged": (GPU, field("input.2.allow_ragged_batch", True), "`input` must have no other fields"),
    "output's sizes": (CPU, field("output.0.dims", [4, 32]), "`output` is latents TYPE_FP32 [4, 32], the graph's is"),
    "no batch axis": (GPU, field("max_batch_size", 0), "`max_batch_size` is 0, the graph takes 1 to 32 rows"),
    "too large a batch": (GPU, field("max_batch_size", 33), "`max_batch_size` is 33, the graph takes 1 to 32 rows"),
    "no digest": (GPU, drop_digest, "`parameters.sha256` is missing"),
    "digest": (
        CPU,
        lambda config: setattr(config.parameters["sha256"], "string_value", "digest of canet"),
        "`parameters.sha256` is digest of ca, MANIFEST.json says digest of sa of sampler/1/model.onnx",
    ),
    "no instances": (GPU, remove("instance_group"), "`instance_group` is missing"),
    "kind without a GPU": (GPU, field("instance_group.0.kind", 2), "is KIND_CPU, in this file it must be KIND_GPU"),
    "kind with a GPU": (CPU, field("instance_group.0.kind", 1), "is KIND_GPU, in this file it must be KIND_CPU"),
    "kind left to Triton": (CPU, field("instance_group.0.kind", 0), "is KIND_AUTO, in this file it must be KIND_CPU"),
    "count": (GPU, field("instance_group.0.count", 0), "`instance_group.count` is 0"),
    "GPUs": (CPU, field("instance_group.0.gpus", [0]), "`instance_group.gpus` must be left out"),
    "profile": (GPU, field("instance_group.0.profile", ["0"]), "`instance_group.profile` is for TensorRT only"),
    "preferred size": (
        GPU,
        field("dynamic_batching.preferred_batch_size", [8, 64]),
        "`dynamic_batching.preferred_batch_size` 64 is not within 1 to max_batch_size, 32",
    ),
    "priority": (GPU, field("dynamic_batching.default_priority_level", 3), "default_priority_level` 3 is not within"),
    "policy of no priority": (GPU, priority_3, "`dynamic_batching.priority_queue_policy` is of priority 3"),
    "order": (GPU, field("dynamic_batching.preserve_ordering", True), "`dynamic_batching.preserve_ordering`"),
    "warm-up's batch": (CPU, warmup(field("batch_size", 33)), "'batch of 1': batch_size 33 is not within 1 to"),
    "warm-up of nothing": (CPU, warmup(field("batch_size", 0)), "batch_size 0 is not within 1 to max_batch_size, 32"),
    "warm-up lacks an input": (GPU, warmup(drop_input), "'batch of 1': input guidance is missing"),
    "warm-up of another input": (
        GPU,
        warmup(lambda given: setattr(given.inputs["photo"], "zero_data", True)),
        "input photo is not one of the graph",
    ),
    "warm-up's sizes": (
        GPU,
        warmup(lambda given: given.inputs["noise"].dims.append(1)),
        "input noise is TYPE_FP32 [4, 32, 32, 1], the graph's is TYPE_FP32 [4, 32, 32]",
    ),
    "warm-up's type": (
        GPU,
        warmup(lambda given: setattr(given.inputs["noise"], "data_type", _pb.TYPE_FP16)),
        "input noise is TYPE_FP16 [4, 32, 32], the graph's is TYPE_FP32",
    ),
    "warm-up of open sizes": (
        GPU,
        warmup(lambda given: given.inputs["timesteps"].dims.__setitem__(0, -1)),
        "input timesteps is TYPE_FP32 [-1]",
    ),
    "warm-up of two step counts": (
        GPU,
        warmup(lambda given: given.inputs["timesteps"].dims.__setitem__(0, 5)),
        "its inputs have different numbers of steps, [2, 5]",
    ),
    "warm-up from a file": (GPU, warmup(data_file), "input noise must be zero_data or random_data"),
}


def step(name: str, change: Change) -> Change:
    return lambda config: change(next(step for step in config.ensemble_scheduling.step if step.model_name == name))


def takes(name: str, tensor: str, source: str) -> Change:
    return step(name, lambda found: found.input_map.update({tensor: source}))


def gives(name: str, tensor: str, made: str) -> Change:
    return step(name, lambda found: found.output_map.update({tensor: made}))


def drop_canet(config: Any) -> None:
    del config.ensemble_scheduling.step[2]


def drop_mapping(kind: str, tensor: str) -> Change:
    return step("canet", lambda found: getattr(found, kind).pop(tensor))


ENSEMBLE_CASES: dict[str, tuple[Change, str]] = {
    "name": (field("name", "pipeline"), "`name` is 'pipeline', it must be 'xmdpt'"),
    "platform": (field("platform", "onnxruntime_onnx"), "`platform` is 'onnxruntime_onnx', it must be 'ensemble'"),
    "backend": (field("backend", "python"), "`backend` must be left out"),
    "instances": (lambda config: config.instance_group.add(count=1), "`instance_group` must be left out"),
    "inputs": (field("input.0.name", "source"), "`input` is source TYPE_UINT8 [256, 256, 3], skeleton"),
    "outputs": (remove("output"), "`output` is missing"),
    "batch": (field("max_batch_size", 16), "`max_batch_size` is 16, its steps take 1 to 8 rows"),
    "no batch axis": (field("max_batch_size", 0), "`max_batch_size` is 0, its steps take 1 to 8 rows"),
    "no steps": (remove("ensemble_scheduling"), "`ensemble_scheduling` has no steps"),
    "unknown model": (
        step("canet", field("model_name", "canet2")),
        "`ensemble_scheduling` names the model 'canet2', which is not in the repository",
    ),
    "version": (step("canet", field("model_version", 2)), "canet: model_version must be -1"),
    "namespace": (step("canet", field("model_namespace", "a")), "model_namespace left out"),
    "input not mapped": (drop_mapping("input_map", "pose_vector"), "canet: input pose_vector is not mapped"),
    "output not mapped": (drop_mapping("output_map", "condition"), "canet: output condition is not mapped"),
    "unknown input": (takes("canet", "photo", "photo"), "canet: input photo is not one of the graph"),
    "unknown output": (gives("canet", "image", "picture"), "canet: output image is not one of the graph"),
    "made by nothing": (takes("canet", "pose_vector", "pose"), "canet: input pose_vector is pose, which nothing makes"),
    "step left out": (drop_canet, "sampler: input condition is condition, which nothing makes"),
    "no output": (gives("vae_decoder", "image", "picture"), "the output image is image, which nothing makes"),
    "made twice": (
        gives("pose_encoder", "pose_vector", "photo"),
        "output pose_vector is photo, which there is already",
    ),
    "taken by nothing": (takes("pose_encoder", "skeleton", "photo"), "nothing takes skeleton"),
    "cycle": (
        lambda config: (
            takes("canet", "pose_vector", "condition")(config),
            takes("sampler", "condition", "pose_vector")(config),
        ),
        "canet can never begin",
    ),
    "type": (
        lambda config: (
            takes("pose_encoder", "skeleton", "noise")(config),
            takes("sampler", "noise", "skeleton")(config),
        ),
        "pose_encoder: input skeleton is noise, f32 [4, 32, 32] in the place of u8 [256, 256, 3]",
    ),
    "sizes": (
        lambda config: (
            takes("sampler", "timesteps", "coefficients")(config),
            takes("sampler", "coefficients", "timesteps")(config),
        ),
        "sampler: input timesteps is coefficients, f32 ['steps', 5] in the place of f32 ['steps']",
    ),
    "exchanged vectors": (
        lambda config: (
            takes("canet", "pose_vector", "source_vector")(config),
            takes("canet", "source_vector", "pose_vector")(config),
        ),
        "canet: input source_vector is pose_vector, which is made as pose_vector",
    ),
    "exchanged pictures": (
        lambda config: (
            takes("source_encoder", "photo", "skeleton")(config),
            takes("pose_encoder", "skeleton", "photo")(config),
        ),
        "source_encoder: input photo is skeleton, which is made as skeleton",
    ),
}


def refusal(root: Path, manifest: dict) -> str:
    with pytest.raises(RepositoryError) as error:
        check_configs(root, manifest)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("platform", [ONNX, TENSORRT])
def test_configs_when_as_written_then_accepted(tmp_path: Path, platform: str) -> None:
    check_configs(tmp_path, write_configs(tmp_path, platform))


@pytest.mark.parametrize(("name", "change", "words"), GRAPH_CASES.values(), ids=GRAPH_CASES)
def test_config_of_a_graph_when_mistaken_then_refused_with_its_file_and_field(
    tmp_path: Path, name: str, change: Change, words: str
) -> None:
    manifest = write_configs(tmp_path)
    path = tmp_path / "sampler" / name

    edit(path, change)

    message = refusal(tmp_path, manifest)
    assert message.startswith(f"{path}: ")
    assert words in message


@pytest.mark.parametrize(("change", "words"), ENSEMBLE_CASES.values(), ids=ENSEMBLE_CASES)
@pytest.mark.parametrize("name", [GPU, CPU])
def test_config_of_the_ensemble_when_mistaken_then_refused_with_its_file_and_field(
    tmp_path: Path, name: str, change: Change, words: str
) -> None:
    manifest = write_configs(tmp_path)
    path = tmp_path / "xmdpt" / name

    edit(path, change)

    message = refusal(tmp_path, manifest)
    assert message.startswith(f"{path}: ")
    assert words in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: 'canet' batch: 3", 'has no field named "batch"'),
        ("instance_group { kind: KIND_TPU }", "has no value named KIND_TPU"),
        ("max_batch_size: many", "many"),
        ("max_batch_size: 1 max_batch_size: 2", "max_batch_size"),
        ("dynamic_batching {} sequence_batching {}", "another member of oneof"),
        ("name: 'canet", "name"),
        ("", "`name` is missing"),
    ],
)
def test_config_when_not_tritons_then_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    manifest = write_configs(tmp_path)
    (tmp_path / "canet" / CPU).write_text(text)

    message = refusal(tmp_path, manifest)

    assert message.startswith(f"{tmp_path / 'canet' / CPU}: ")
    assert words in message


@pytest.mark.parametrize(
    "change",
    [
        field("max_batch_size", 4),
        remove("dynamic_batching"),
        remove("model_warmup"),
        field("instance_group.0.count", 4),
        field("dynamic_batching.max_queue_delay_microseconds", 500),
        field("dynamic_batching.default_queue_policy.max_queue_size", 1),
        field("dynamic_batching.default_queue_policy.default_timeout_microseconds", 1),
        field("dynamic_batching.default_queue_policy.timeout_action", 1),
        lambda config: config.dynamic_batching.priority_queue_policy.clear(),
        field("response_cache.enable", True),
        field("optimization.cuda.graphs", True),
        lambda config: setattr(config.parameters["execution_mode"], "string_value", "1"),
        warmup(lambda given: [given.inputs[name].dims.__setitem__(0, 50) for name in PLAN]),
        warmup(field("count", 3)),
    ],
)
@pytest.mark.parametrize("name", [GPU, CPU])
def test_config_when_tuned_then_accepted(tmp_path: Path, name: str, change: Change) -> None:
    manifest = write_configs(tmp_path)
    edit(tmp_path / "xmdpt" / name, field("max_batch_size", 4))
    edit(tmp_path / "sampler" / name, lambda config: config.model_warmup.__delitem__(slice(1, None)))

    edit(tmp_path / "sampler" / name, change)

    check_configs(tmp_path, manifest)


def test_ensemble_when_a_step_was_tuned_to_fewer_rows_then_it_must_follow(tmp_path: Path) -> None:
    manifest = write_configs(tmp_path)
    edit(tmp_path / "canet" / GPU, field("max_batch_size", 4))
    edit(tmp_path / "canet" / GPU, lambda config: config.model_warmup.__delitem__(1))

    assert "xmdpt/config.pbtxt: `max_batch_size` is 8, its steps take 1 to 4 rows" in refusal(tmp_path, manifest)
    edit(tmp_path / "xmdpt" / GPU, field("max_batch_size", 4))

    check_configs(tmp_path, manifest)


def test_ensemble_when_its_inner_tensors_have_other_names_then_accepted(tmp_path: Path) -> None:
    manifest = write_configs(tmp_path)
    renamed = (gives("canet", "condition", "what to draw"), takes("sampler", "condition", "what to draw"))

    for change in renamed:
        edit(tmp_path / "xmdpt" / GPU, change)

    check_configs(tmp_path, manifest)


def test_config_when_for_tensorrt_then_checked_as_such(tmp_path: Path) -> None:
    manifest = write_configs(tmp_path, TENSORRT)
    change = partial(edit, tmp_path / "canet" / GPU)

    change(field("default_model_filename", "model.onnx"))

    assert "`default_model_filename` is 'model.onnx', it must be 'model.plan'" in refusal(tmp_path, manifest)


def test_config_when_it_names_a_profile_that_the_engine_does_not_have_then_refused(tmp_path: Path) -> None:
    manifest = write_configs(tmp_path, TENSORRT)

    edit(tmp_path / "canet" / GPU, lambda config: config.instance_group[0].profile.append("6"))

    assert "`instance_group.profile` '6' is not within 0 to 3, the engine's" in refusal(tmp_path, manifest)


def test_config_when_a_cuda_graph_has_more_rows_than_there_may_be_then_refused(tmp_path: Path) -> None:
    manifest = write_configs(tmp_path, TENSORRT)

    edit(tmp_path / "canet" / GPU, lambda config: setattr(config.optimization.cuda.graph_spec[-1], "batch_size", 64))

    assert "`optimization.cuda.graph_spec` is of 64 rows, max_batch_size 8" in refusal(tmp_path, manifest)


def test_config_when_gone_then_refused(tmp_path: Path) -> None:
    manifest = write_configs(tmp_path)

    (tmp_path / "canet" / CPU).unlink()

    assert refusal(tmp_path, manifest).startswith(f"{tmp_path / 'canet' / CPU}: No such file")
