"""What no engines are made of, and where they cannot be made: one line each."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from export.__main__ import main
from export.gpu import describe_gpu
from export.tensorrt_package import TensorrtError, open_toolkit
from export.tensorrt_repository import EngineSizes, read_source
from export.to_tensorrt import ReadGraph, profiles
from tests.export.repository_edits import edit_manifest
from xmdpt.repository import RepositoryError, load_manifest, repository_digest
from xmdpt.spec import VARIANTS, GraphSpec, TensorSpec, graph_specs

SPECS = graph_specs(VARIANTS["tiny"])
GPU = "sm90 NVIDIA H200"
# One row in, one row out.
SPEC = GraphSpec("graph", (TensorSpec("x", "f32", (4,)),), (TensorSpec("y", "f32", (4,)),))


def as_engines(manifest: dict) -> None:
    """Claim that a repository of graphs holds engines."""
    manifest["platform"] = "tensorrt_plan"
    for name, entry in manifest["graphs"].items():
        entry["path"] = f"{name}/1/model.plan"
        del entry["configs"][1]
    del manifest["ensemble"]["configs"][1]


def graph_file(tmp_path: Path, *nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], initializers)
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString())
    return path


def refusal(path: Path, spec: GraphSpec = SPEC) -> str:
    toolkit = open_toolkit("tensorrt_rtx", ["sm80"], None)
    with pytest.raises(TensorrtError) as caught:
        ReadGraph(toolkit, path, path.parent, spec).build(profiles(spec, [1], 50))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_profiles_when_sizes_are_named_then_each_batch_has_exactly_one() -> None:
    found = profiles(SPECS["canet"], [1, 2, 4, 8], 1000)

    ranges = [profile["pose_vector"] for profile in found]
    assert [[sizes[0] for sizes in three] for three in ranges] == [[1, 1, 1], [2, 2, 2], [3, 4, 4], [5, 8, 8]]
    assert all(set(profile) == {"source_vector", "pose_vector"} for profile in found)


def test_profiles_when_the_graph_has_steps_then_any_number_up_to_the_largest_fits() -> None:
    (profile,) = profiles(SPECS["sampler"], [2], 1000)
    (short,) = profiles(SPECS["sampler"], [2], 20)

    assert profile["coefficients"] == ((1, 1, 5), (2, 50, 5), (2, 1000, 5))
    assert profile["noise"] == ((1, 4, 32, 32), (2, 4, 32, 32), (2, 4, 32, 32))
    assert short["timesteps"] == ((1, 1), (2, 20), (2, 20))


def test_sizes_when_a_graph_takes_fewer_rows_then_they_end_there() -> None:
    sizes = EngineSizes([32, 1, 2, 4, 16, 8], 1000)

    assert sizes.of_graph(32) == [1, 2, 4, 8, 16, 32]
    assert sizes.of_graph(8) == [1, 2, 4, 8]
    assert sizes.of_graph(6) == [1, 2, 4, 6]
    assert EngineSizes([16], 1000).of_graph(8) == [8]


def test_package_when_the_data_centre_s_is_installed_then_it_goes_first_and_asks_the_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="11.0.0"))
    monkeypatch.setenv("NVIDIA_TRITON_SERVER_VERSION", "26.08")

    toolkit = open_toolkit(None, [], GPU)

    assert (toolkit.package, toolkit.version, toolkit.container) == ("tensorrt", "11.0.0", "26.08")
    assert toolkit.target == GPU
    assert toolkit.capabilities == []
    with pytest.raises(TensorrtError, match=r"tensorrt finds no GPU .*; use --package tensorrt_rtx"):
        open_toolkit(None, [], None)
    with pytest.raises(TensorrtError, match="builds for the GPU at hand: leave --target out"):
        open_toolkit("tensorrt", ["sm80"], GPU)


def test_package_when_only_its_bindings_are_installed_then_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_bindings", SimpleNamespace(__version__="11.4.0.106"))

    assert open_toolkit("tensorrt", ["current"], GPU).version == "11.4.0.106"


def test_package_when_missing_then_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tensorrt", "tensorrt_bindings", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(TensorrtError, match=r"^tensorrt is not installed: .*Dockerfile$"):
        open_toolkit("tensorrt", [], GPU)
    with pytest.raises(TensorrtError, match=r"tensorrt is .*; tensorrt_rtx is .*: pip install tensorrt-rtx-cu12=="):
        open_toolkit(None, [], GPU)


def test_package_when_its_libraries_do_not_load_then_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.11: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(TensorrtError, match=r"tensorrt is installed but does not load: libnvinfer\.so\.11: cannot"):
        open_toolkit("tensorrt", [], GPU)


def test_target_when_rtx_has_no_such_kind_or_there_is_no_gpu_then_the_kinds_are_named() -> None:
    with pytest.raises(TensorrtError, match=r"has no target sm90, it has sm75, sm80.* and current"):
        open_toolkit("tensorrt_rtx", ["sm90"], None)
    with pytest.raises(TensorrtError, match=r"finds no GPU .*; name kinds with --target: sm75"):
        open_toolkit("tensorrt_rtx", [], None)
    assert open_toolkit("tensorrt_rtx", [], GPU).target == GPU


def test_gpu_when_the_driver_tells_then_kind_and_name_are_told() -> None:
    class Driver:
        def cuInit(self, _flags: int) -> int:
            return 0

        def cuDeviceGet(self, _device: object, _index: int) -> int:
            return 0

        def cuDeviceGetAttribute(self, number: Any, attribute: int, _device: object) -> int:
            number._obj.value = {75: 9, 76: 0}[attribute]
            return 0

        def cuDeviceGetName(self, name: Any, _length: int, _device: object) -> int:
            name.value = b"NVIDIA H200"
            return 0

    class NoDevice(Driver):
        def cuInit(self, _flags: int) -> int:
            return 100

    assert describe_gpu(Driver()) == GPU
    assert describe_gpu(NoDevice()) is None


def test_source_when_it_is_int8_then_it_is_for_cpus(repository: Path, tmp_path: Path) -> None:
    edit_manifest(repository, lambda manifest: manifest.update(precision="int8"))

    with pytest.raises(TensorrtError, match=r"int8 .* only CPUs run; build it with --precision bf16 or fp16"):
        read_source(repository, tmp_path / "engines")


def test_source_when_it_is_damaged_then_the_file_is_named(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "canet/1/model.onnx").write_bytes(b"")

    assert main(["tensorrt", "--repository", str(repository), "--out", str(tmp_path / "e"), "--target", "sm80"]) == 1
    assert "canet/1/model.onnx: its SHA-256 is" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()


def test_out_when_it_holds_graphs_then_they_stay(
    repository: Path, tiny_built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (repository, tiny_built):
        assert main(["tensorrt", "--repository", str(repository), "--out", str(out), "--target", "sm80"]) == 2
        said = capsys.readouterr().err
        assert "holds a repository for onnxruntime_onnx; engines need a folder of their own" in said


def test_manifest_when_an_engine_has_further_weights_then_it_is_refused(repository: Path) -> None:
    def change(manifest: dict) -> None:
        as_engines(manifest)
        file = {"path": "canet/1/model.onnx.data", "sha256": "0", "bytes": 1}
        manifest["graphs"]["canet"]["external"] = [file]
        manifest["model_digest"] = repository_digest(manifest["graphs"])

    edit_manifest(repository, change)

    with pytest.raises(RepositoryError, match=r"further weights of canet .* those of an engine nowhere"):
        load_manifest(repository)


def test_graph_when_tensorrt_does_not_know_a_node_then_it_is_named(tmp_path: Path) -> None:
    quantise = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], "quantise x")
    cast = helper.make_node("Cast", ["q"], ["y"], "widen", to=TensorProto.FLOAT)

    said = refusal(graph_file(tmp_path, quantise, cast))
    assert "model.onnx: tensorrt_rtx" in said
    assert "does not take it: node quantise x (DynamicQuantizeLinear): " in said
    assert said.endswith("(unsupported_node)")


def test_graph_when_tensorrt_makes_no_engine_of_it_then_its_reason_is_told(tmp_path: Path) -> None:
    integers = helper.make_tensor("w", TensorProto.INT8, [4, 4], [1] * 16)
    cast = helper.make_node("Cast", ["w"], ["floats"], "widen w", to=TensorProto.FLOAT)
    product = helper.make_node("MatMul", ["x", "floats"], ["y"], "product")

    said = refusal(graph_file(tmp_path, cast, product, initializers=(integers,)))
    assert "makes no engine of it: IBuilder::buildSerializedNetwork" in said
    assert "Quantized constant" in said
    assert "/_src/" not in said


def test_graph_when_its_engine_would_break_the_contract_then_both_are_told(tmp_path: Path) -> None:
    path = graph_file(tmp_path, helper.make_node("Relu", ["x"], ["y"], "relu"))

    assert "the contract says [('x'" in refusal(path, GraphSpec("other", SPEC.inputs, (TensorSpec("z", "f32", (4,)),)))


def test_command_when_no_package_fits_then_the_exit_status_is_that_of_a_mistake(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["tensorrt", "--repository", str(shipped), "--out", str(tmp_path / "engines")]

    assert main([*call, "--package", "tensorrt_rtx", "--target", "sm12"]) == 2
    assert capsys.readouterr().err.startswith("python -m export: tensorrt_rtx")
    with pytest.raises(SystemExit):
        main([*call, "--batch-sizes", "0"])
    assert "must be a whole number from 1 to 1024, not 0" in capsys.readouterr().err
