"""Engines of every graph, really built: TensorRT for RTX needs no GPU for that. Running them does."""

import platform
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from tritonclient.grpc import model_config_pb2

from export.__main__ import main
from export.manifest import read_manifest
from export.storage import store_compactly, widen_integers
from export.tensorrt_package import Toolkit, open_toolkit
from export.tensorrt_repository import EngineSizes, build_engines, read_source
from export.to_tensorrt import ReadGraph, profiles
from export.verify import example_inputs
from service.adapters.model_repository import open_model_repository
from service.domain.errors import ModelRepositoryError
from tests.built_repositories import lowered_repository, tiny_repository
from tests.export.repository_edits import edit_manifest
from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.evaluation.mistakes import InputError
from xmdpt.repository import load_manifest, weights_folder
from xmdpt.spec import VARIANTS, graph_specs

# Generated names, which have no types.
_pb: Any = model_config_pb2

pytestmark = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="the dev extra brings TensorRT for RTX for linux x86_64 alone",
)

GRAPHS = tuple(graph_specs(VARIANTS["tiny"]))
# All that low precision changes much, the encoders left out for their time.
LOWERED_GRAPHS = ("tdnet_step", "sampler", "vae_decoder")
SIZES = EngineSizes([1, 4], 1000)


@pytest.fixture(scope="module")
def toolkit() -> Toolkit:
    return open_toolkit("tensorrt_rtx", ["sm80"], None)


@pytest.fixture(scope="module")
def tiny_engines(toolkit: Toolkit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    return built(tiny_repository(), tmp_path_factory.mktemp("engines") / "tiny", toolkit)


@pytest.fixture
def engines(tiny_engines: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(tiny_engines, tmp_path / "engines"))


def built(source: Path, out: Path, toolkit: Toolkit, sizes: EngineSizes = SIZES) -> Path:
    build_engines(source, read_source(source, out), out, toolkit, sizes, lambda _line: None)
    return out


def rebuilt(source: Path, out: Path, toolkit: Toolkit, sizes: EngineSizes = SIZES) -> list[str]:
    """The graphs whose engines were built."""
    lines: list[str] = []
    build_engines(source, read_source(source, out), out, toolkit, sizes, lines.append)
    return [line.split(":")[0] for line in lines if ": building" in line]


def read(root: Path, name: str, toolkit: Toolkit) -> ReadGraph:
    manifest = load_manifest(root)
    path, spec = root / manifest["graphs"][name]["path"], graph_specs(VARIANTS[manifest["variant"]])[name]
    return ReadGraph(toolkit, path, weights_folder(root, manifest, name), spec)


def is_malformed(plan: bytes, api: Any) -> bool:
    """What TensorRT finds of an engine without a GPU, on which it would have to run."""

    class Quiet(api.ILogger):
        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, severity: object, message: str) -> None:
            pass

    runtime = api.Runtime(Quiet())
    _, found = runtime.get_engine_validity(plan[: runtime.engine_header_size])
    return bool(int(found) & int(api.EngineInvalidityDiagnostics.MALFORMED_ENGINE))


def computed_in(graph: ReadGraph, api: Any) -> dict[str, set[str]]:
    """Types of number of the layers that do the work."""
    layers = [graph.network.get_layer(index) for index in range(graph.network.num_layers)]
    kinds = (api.LayerType.MATRIX_MULTIPLY, api.LayerType.CONVOLUTION)
    return {kind.name: {layer.get_output(0).dtype.name for layer in layers if layer.type == kind} for kind in kinds}


def test_engines_of_tiny_when_built_then_manifest_configurations_and_files_agree(
    tiny_engines: Path, toolkit: Toolkit
) -> None:
    source, manifest = load_manifest(tiny_repository()), read_manifest(tiny_engines)

    assert manifest["platform"] == "tensorrt_plan"
    assert manifest["precision"] == "fp32"
    assert manifest["source_digest"] == source["model_digest"] != manifest["model_digest"]
    assert manifest["weights"] == source["weights"]
    for name, entry in manifest["graphs"].items():
        plan = (tiny_engines / name / "1" / "model.plan").read_bytes()
        assert len(plan) == entry["bytes"]
        assert not is_malformed(plan, toolkit.api)
        assert entry["external"] == []
        assert entry["max_batch_size"] == 4
        assert entry["engine"] | {"source": None} == {
            "package": "tensorrt_rtx",
            "version": toolkit.api.__version__,
            "container": "",
            "target": "sm80",
            "batch_sizes": [1, 4],
            "max_steps": 1000,
            "source": None,
        }
    assert sorted(path.name for path in tiny_engines.iterdir()) == sorted([*GRAPHS, "xmdpt", "MANIFEST.json"])


def test_engines_of_the_shipped_graphs_when_built_then_their_shared_weights_are_inside(
    shipped: Path, toolkit: Toolkit, tmp_path: Path
) -> None:
    out = built(shipped, tmp_path / "engines", toolkit, EngineSizes([1, 2], 100))

    manifest = read_manifest(out)
    weights = manifest["weights"]["files"]["bundle"]["bytes"]
    # The bundle has 2 bytes for each number, an engine 4; the bundle's largest network is the denoiser.
    assert min(manifest["graphs"][name]["bytes"] for name in ("tdnet_step", "sampler")) > weights / 2
    assert list(manifest["graphs"]) == sorted(GRAPHS)
    assert not list(out.rglob("*.safetensors"))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_engines_of_low_precision_when_built_then_products_are_computed_in_it(toolkit: Toolkit, precision: str) -> None:
    root, wanted = lowered_repository("tiny", precision), {"fp16": "HALF", "bf16": "BF16"}[precision]

    for name in LOWERED_GRAPHS:
        graph = read(root, name, toolkit)
        types = computed_in(graph, toolkit.api)
        # Modulations stay as they are, and so does the decoder's one attention of few products.
        assert types["MATRIX_MULTIPLY"] == ({"FLOAT"} if name == "vae_decoder" else {"FLOAT", wanted})
        assert types["CONVOLUTION"] == ({wanted} if name == "vae_decoder" else {"FLOAT"})
        spec = graph_specs(VARIANTS["tiny"])[name]
        assert not is_malformed(bytes(graph.build(profiles(spec, [2], 50))), toolkit.api)


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_when_read_then_it_is_the_contract_s_in_the_numbers_that_it_names(name: str, toolkit: Toolkit) -> None:
    api, spec = toolkit.api, graph_specs(VARIANTS["tiny"])[name]
    graph = read(tiny_repository(), name, toolkit)
    network = graph.network

    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    tensors += [network.get_output(index) for index in range(network.num_outputs)]
    assert [(tensor.name, tensor.dtype, tuple(tensor.shape)) for tensor in tensors] == [
        (
            tensor.name,
            {"f32": api.float32, "u8": api.uint8}[tensor.dtype],
            (-1, *(-1 if isinstance(size, str) else size for size in tensor.shape)),
        )
        for tensor in (*spec.inputs, *spec.outputs)
    ]
    assert network.get_flag(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert computed_in(graph, api)["MATRIX_MULTIPLY"] == {"FLOAT"}


def test_graph_when_built_for_several_kinds_then_each_is_named_and_float32_stays_whole(tmp_path: Path) -> None:
    toolkit, spec = open_toolkit("tensorrt_rtx", ["sm80", "SM89", "sm80"], None), graph_specs(VARIANTS["tiny"])["canet"]
    graph, sizes = read(tiny_repository(), "canet", toolkit), profiles(spec, [1, 8], 1000)

    config = graph.configuration(sizes)
    assert toolkit.target == "sm80 sm89"
    assert [config.get_compute_capability(index).name for index in range(config.num_compute_capabilities)] == [
        "SM80",
        "SM89",
    ]
    assert config.num_optimization_profiles == 2
    assert not config.get_flag(toolkit.api.BuilderFlag.TF32)
    assert not is_malformed(bytes(graph.build(sizes)), toolkit.api)


def test_loop_when_read_then_tensorrt_has_a_loop_too(toolkit: Toolkit) -> None:
    network = read(tiny_repository(), "sampler", toolkit).network
    kinds = Counter(network.get_layer(index).type.name for index in range(network.num_layers))

    assert kinds["TRIP_LIMIT"] >= 1
    assert kinds["LOOP_OUTPUT"] == 2


def test_validity_when_an_engine_is_damaged_then_it_is_seen(tiny_engines: Path, toolkit: Toolkit) -> None:
    plan = (tiny_engines / "canet/1/model.plan").read_bytes()

    assert is_malformed(b"\0" * 16 + plan[16:], toolkit.api)


def test_configurations_when_an_engine_is_tuned_for_sizes_then_each_has_its_profile(tiny_engines: Path) -> None:
    for name in GRAPHS:
        text = (tiny_engines / name / "config.pbtxt").read_text()
        config = text_format.Parse(text, _pb.ModelConfig())
        assert text.startswith("# Written by `python -m export tensorrt`")
        assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 4)
        assert list(config.instance_group[0].profile) == ["0", "1"]
        assert list(config.dynamic_batching.preferred_batch_size) == [1, 4]
        assert not (tiny_engines / name / "configs").exists()
    ensemble = text_format.Parse((tiny_engines / "xmdpt/config.pbtxt").read_text(), _pb.ModelConfig())
    assert (ensemble.platform, ensemble.max_batch_size) == ("ensemble", 4)
    assert (tiny_engines / "xmdpt/1").is_dir()


def test_engines_when_they_are_there_then_they_are_kept(engines: Path, toolkit: Toolkit) -> None:
    before = {path: path.stat().st_mtime_ns for path in engines.rglob("*.plan")}

    assert rebuilt(tiny_repository(), engines, toolkit) == []
    assert {path: path.stat().st_mtime_ns for path in engines.rglob("*.plan")} == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("package", "tensorrt"),
        ("version", "1.0.0"),
        ("container", "26.08"),
        ("target", "sm86"),
        ("batch_sizes", [1, 2, 4]),
        ("max_steps", 50),
        ("source", "sha256:0"),
    ],
)
def test_engines_when_one_was_built_of_or_for_something_else_then_it_is_built_again(
    engines: Path, toolkit: Toolkit, key: str, value: object
) -> None:
    edit_manifest(engines, lambda manifest: manifest["graphs"]["canet"]["engine"].update({key: value}))

    assert rebuilt(tiny_repository(), engines, toolkit) == ["canet"]
    assert read_manifest(engines)["graphs"]["canet"]["engine"][key] != value


def test_engines_when_one_is_damaged_or_gone_then_it_is_built_again(engines: Path, toolkit: Toolkit) -> None:
    plan = engines / "canet/1/model.plan"
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-1])

    assert rebuilt(tiny_repository(), engines, toolkit) == ["canet"]
    plan.unlink()
    assert rebuilt(tiny_repository(), engines, toolkit) == ["canet"]
    assert len(plan.read_bytes()) == len(whole)


def test_widened_integers_when_computed_with_then_they_are_what_was_stored(tmp_path: Path) -> None:
    path = tiny_repository() / "canet/1/model.onnx"
    model = onnx.load(path)
    stored = [tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8]
    widened = widen_integers(model, tmp_path)
    for tensor in model.graph.initializer:
        if tensor.name in widened:
            tensor.CopyFrom(numpy_helper.from_array(widened[tensor.name], tensor.name))
    onnx.checker.check_model(model, full_check=True)

    inputs = example_inputs(graph_specs(VARIANTS["tiny"])["canet"], 3)
    (before,), (after,) = (
        onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"]).run(None, dict(inputs))
        for source in (path.read_bytes(), model.SerializeToString())
    )
    assert stored
    assert not [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8]
    assert np.array_equal(before, after)


def test_widened_integers_when_they_lie_in_a_second_file_then_they_are_read_there(tmp_path: Path) -> None:
    values = np.arange(-300, 300, dtype=np.float32).reshape(20, 30) / 4
    values[0, 0] = 0.5
    integers = np.clip(values * 4, -127, 127) / 4
    weights = numpy_helper.from_array(integers.astype(np.float32), "weights")
    node = helper.make_node("Identity", ["weights"], ["same"])
    model = helper.make_model(helper.make_graph([node], "graph", [], [], [weights]))
    store_compactly(model, data=tmp_path / "model.onnx.data")
    assert any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer)

    assert np.array_equal(widen_integers(model, tmp_path)["weights"], integers)
    assert [node.op_type for node in model.graph.node] == ["Identity"]


def test_command_when_it_builds_then_it_says_what_and_the_other_commands_take_it(
    tmp_path: Path, engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["tensorrt", "--repository", str(tiny_repository()), "--out", str(engines), "--package", "tensorrt_rtx"]

    assert main([*call, "--target", "sm80", "--batch-sizes", "4", "1"]) == 0
    said = capsys.readouterr().out
    assert "tiny in fp32, tensorrt_rtx" in said
    assert said.count("kept, it was built of the same for the same") == len(GRAPHS)
    assert "Triton runs engines of the package tensorrt" in said

    assert main(["seal", "--repository", str(engines)]) == 0
    assert main(["link", "--repository", str(engines)]) == 0
    assert main(["tensorrt", "--repository", str(engines), "--out", str(tmp_path / "more"), "--target", "sm80"]) == 1
    assert "holds TensorRT engines; a Triton server runs them; here name" in capsys.readouterr().err


def test_engines_when_built_then_torch_is_not_needed() -> None:
    script = "import sys, export.tensorrt_repository, export.__main__; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_engines_when_a_runtime_for_graphs_is_given_them_then_one_line_says_what_they_are(
    tiny_engines: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelRepositoryError, match="holds TensorRT engines; a Triton server runs them"):
        open_model_repository(tiny_engines)
    with pytest.raises(InputError, match="holds TensorRT engines"):
        GraphGenerator(tiny_engines)
    assert main(["verify", "--repository", str(tiny_engines)]) == 1
    assert "holds TensorRT engines" in capsys.readouterr().err
    assert open_model_repository(tiny_engines, has_files=False).variant.name == "tiny", "a worker of a Triton takes it"
