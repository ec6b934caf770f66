"""Low precision reaches the large products and nothing else, leaves pictures as they are, and is refused where not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from export import verify_command
from export.__main__ import main
from export.figures import write_page
from export.graphs import GRAPHS
from export.precision import lowered, parts_to_lower, quantise
from export.storage import store_compactly
from export.verify import MAX_RELATIVE_ERRORS, check_graph, graph_runner
from export.verify_command import REJECTED_NAME
from export.weights import networks_of, own_weights
from export.whole_run import MIN_PSNR_DB, check_runs, psnr
from service.adapters.onnx_backend import sampler_fault
from tests.built_repositories import lowered_repository, tiny_networks
from tests.export.planted_mistakes import changed_input
from xmdpt.graph_session import has_int8_instructions
from xmdpt.nn.pipeline import Networks, Pipeline
from xmdpt.repository import PRECISIONS, Precision, graph_path, load_manifest
from xmdpt.spec import VARIANTS

LOW: tuple[Precision, ...] = ("fp16", "bf16", "int8")
FLOATS = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


def shipped_networks() -> Networks:
    demo = VARIANTS["demo"]
    return networks_of(demo, own_weights(SHIPPED, demo))


NETWORKS: dict[str, Callable[[], Networks]] = {"tiny": tiny_networks, "shipped": shipped_networks}


def lowered_step(precision: Precision) -> onnx.ModelProto:
    return onnx.load(lowered_repository("tiny", precision) / graph_path("tdnet_step"))


def types_of_products(model: onnx.ModelProto, op_type: str) -> list[int]:
    """The type that each product gives, by shape inference."""
    model = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in (*model.graph.value_info, *model.graph.output)}
    return [types[node.output[0]] for node in model.graph.node if node.op_type == op_type]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_step_when_lowered_then_attention_and_mlps_are_low_and_the_control_stays_float32(
    tiny: Pipeline, precision: Precision
) -> None:
    model = lowered_step(precision)

    # In each of the blocks six products of tokens; then the final layer. All Gemm is timestep and modulation.
    assert types_of_products(model, "MatMul") == [FLOATS[precision]] * 6 * tiny.variant.depth + [TensorProto.FLOAT]
    assert set(types_of_products(model, "Gemm")) == {TensorProto.FLOAT}
    assert len(types_of_products(model, "Gemm")) == 2 + tiny.variant.depth + 1
    assert set(types_of_products(model, "LayerNormalization")) == {TensorProto.FLOAT}


def test_step_when_int8_then_four_products_a_block_are_and_each_activation_is_quantised_once(tiny: Pipeline) -> None:
    graph = lowered_step("int8").graph
    depth = tiny.variant.depth

    ops = [node.op_type for node in graph.node]
    assert ops.count("MatMulInteger") == 4 * depth
    assert ops.count("MatMul") == 2 * depth + 1, "scores and mixtures of attention, and the final layer"
    assert ops.count("Gemm") == 2 + depth + 1
    quantised = [node.input[0] for node in graph.node if node.op_type == "DynamicQuantizeLinear"]
    assert len(quantised) == len(set(quantised)) == 4 * depth
    weights = [
        tensor for tensor in graph.initializer if tensor.data_type == TensorProto.INT8 and ".int8" in tensor.name
    ]
    assert len(weights) == 4 * depth


def product(weight: np.ndarray, is_shared: bool) -> onnx.ModelProto:
    """One product of an activation with a weight, in int8; `weight` stays an initializer where it is shared."""
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'mlp']")
    rows, columns = weight.shape
    graph = onnx.helper.make_graph(
        [node],
        "product",
        [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, rows])],
        [onnx.helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, columns])],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    weights = {"w": weight}
    quantise(model, weights, ["mlp"], lambda _values: is_shared)
    return store_compactly(model, weights)


def test_int8_when_made_of_a_shared_weight_then_the_same_bits_and_the_runtime_makes_it_once(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    weight = generator.standard_normal((64, 96), np.float32) * generator.uniform(0.01, 3, 96).astype(np.float32)
    weight[:, 7] = 0
    x = generator.standard_normal((1, 16, 64), np.float32)
    outputs, operations = [], []
    for is_shared in (False, True):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if not has_int8_instructions():
            options.add_session_config_entry("session.x64quantprecision", "1")
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        content = product(weight, is_shared).SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {"x": x})[0])
        operations.append([node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node])

    assert np.array_equal(*outputs)
    assert operations[0] == operations[1]
    assert not {"Round", "Div", "ReduceMax", "Abs"} & set(operations[1]), "it would be quantised at each call"
    assert np.abs(outputs[0] - x @ weight).max() < 0.05 * np.abs(outputs[0]).max()


@pytest.mark.parametrize("arguments", [["--precision", "int8"], ["--precision", "bf16"]])
def test_build_when_a_low_step_is_asked_for_beside_low_graphs_then_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["build", "--low-precision", "int8", *arguments])
    assert end.value.code == 2
    assert "--low-precision goes beside --precision fp32 only" in capsys.readouterr().err


@pytest.mark.parametrize("precision", PRECISIONS)
def test_networks_when_a_graph_is_lowered_then_they_stay_as_they_were(tiny: Pipeline, precision: Precision) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}

    for make in GRAPHS.values():
        lowered(make(tiny), precision)

    assert {name: tensor.dtype for name, tensor in tiny.state_dict().items()} == dict.fromkeys(before, torch.float32)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_parts_when_listed_then_of_each_graph_what_may_be_low(tiny: Pipeline) -> None:
    found = {name: parts_to_lower(make(tiny), "fp16") for name, make in GRAPHS.items()}

    assert found["canet"] == []
    assert found["tdnet_step"] == [f"tdnet.blocks.{n}.{part}" for n in range(4) for part in ("attn", "mlp")]
    assert found["sampler"] == [f"step.{part}" for part in found["tdnet_step"]]
    assert "extractor.patch_embed.proj" in found["source_encoder"]
    assert not any("latent_embedder" in part or "canet" in part for part in found["source_encoder"])
    assert all("conv" in part for part in found["vae_decoder"])
    assert parts_to_lower(GRAPHS["vae_decoder"](tiny), "int8") == []
    assert all(parts_to_lower(make(tiny), "fp32") == [] for make in GRAPHS.values())


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("kind", NETWORKS)
def test_graphs_when_low_then_every_one_agrees_with_torch_within_its_bound(kind: str, precision: Precision) -> None:
    networks, root = NETWORKS[kind](), lowered_repository(kind, precision)
    manifest = load_manifest(root)

    for name in GRAPHS:
        check = check_graph(root, manifest, lambda: networks, name, (2,))
        if name == "sampler" and sampler_fault("cpu", precision):
            continue  # Nobody is served by it on this processor.
        assert [error for error in check.errors if not error.is_within_tolerance] == []
        # It is low where the manifest says so: float32 would be far better.
        worst = max(error.error for error in check.errors)
        assert name == "vae_decoder" or (worst > 1e-5) == (check.precision != "fp32"), (name, worst)


@pytest.mark.parametrize("precision", LOW)
def test_repository_when_int8_then_those_graphs_take_one_row_a_call(precision: Precision) -> None:
    root = lowered_repository("tiny", precision)
    manifest = load_manifest(root)

    low = {name: entry["max_batch_size"] for name, entry in manifest["graphs"].items() if entry["precision"] == "int8"}

    assert set(low.values()) == ({1} if precision == "int8" else set())
    assert {"tdnet_step", "sampler", "source_encoder", "pose_encoder"} == set(low) or precision != "int8"


@pytest.mark.parametrize("precision", LOW)
def test_pictures_of_the_demo_when_made_in_low_precision_then_as_in_float32(precision: Precision) -> None:
    root = lowered_repository("shipped", precision)

    runs = list(check_runs(root, load_manifest(root), shipped_networks, VARIANTS["demo"]))

    assert [run.sampler for run in runs] == ["ddim", "dpmpp_2m"]
    # By the graph sampler, which an int8 repository is not served with on every processor.
    assert sampler_fault("cpu", precision) or [run for run in runs if not run.is_within_tolerance] == []
    assert {run.min_psnr for run in runs} == {MIN_PSNR_DB[precision]}
    assert min(MIN_PSNR_DB.values()) >= 40


def test_build_when_a_graph_is_over_the_bound_then_1_and_nothing_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MAX_RELATIVE_ERRORS, "int8", 1e-6)
    monkeypatch.setattr(verify_command, "has_int8_instructions", lambda: False)
    out = tmp_path / "models"

    status = main(
        ["build", "--variant", "tiny", "--precision", "int8", "--out", str(out), "--batch-sizes", "1", "--quick"]
    )

    assert status == 1
    assert not (out / "MANIFEST.json").exists()
    assert (out / REJECTED_NAME).exists()
    shown = capsys.readouterr()
    assert f"{out}: not published" in shown.err
    assert "FAILED: a graph differs from torch" in shown.out
    assert "no instructions for int8 (VNNI)" in shown.out
    assert main(["verify", "--repository", str(out)]) == 1


def test_verify_when_recorded_then_manifest_and_page_say_what_was_found(tmp_path: Path) -> None:
    out, page = Path(shutil.copytree(lowered_repository("tiny", "fp16"), tmp_path / "models")), tmp_path / "page.md"
    page.write_text(
        "above\n<!-- verified: begin; `python -m export verify --page` -->\n<!-- verified: end -->\nbelow\n"
    )

    assert main(["verify", "--repository", str(out), "--batch-sizes", "1", "--page", str(page)]) == 0
    manifest = json.loads((out / "MANIFEST.json").read_text())
    write_page(page, manifest)

    graphs, runs = manifest["verification"]["graphs"], manifest["verification"]["runs"]
    assert set(graphs) == set(GRAPHS)
    assert 1e-5 < graphs["tdnet_step"]["error"] <= graphs["tdnet_step"]["tolerance"] == 0.005
    assert all(graph["speed"] > 0 for graph in graphs.values())
    assert {run["num_steps"] for run in runs.values()} == {50}
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("above", "below")
    rows = [line for line in lines if line.startswith("| tiny | fp16 |")]
    assert len(rows) == len(GRAPHS) + len(runs), "once, though written twice"


@pytest.mark.parametrize(("content", "words"), [("nothing", "there is no line <!-- verified"), (None, "No such file")])
def test_verify_when_the_page_has_no_place_for_figures_then_2_before_any_work(
    shipped: Path, tmp_path: Path, content: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    if content:
        page.write_text(content)

    assert main(["verify", "--repository", str(shipped), "--page", str(page)]) == 2

    shown = capsys.readouterr()
    assert str(page) in shown.err
    assert words in shown.err
    assert not shown.out


@pytest.mark.parametrize("option", [["--record"], ["--page", "page.md"]])
def test_verify_when_quick_then_nothing_can_be_recorded(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["verify", "--quick", *option])
    assert end.value.code == 2
    assert "--quick leaves out what is to be recorded" in capsys.readouterr().err


def test_graph_in_bfloat16_when_its_file_is_wrong_then_over_the_bound(tiny: Pipeline, tmp_path: Path) -> None:
    root = Path(shutil.copytree(lowered_repository("tiny", "bf16"), tmp_path / "models"))
    path = root / "tdnet_step/1/model.onnx"
    model = onnx.load(path)
    changed_input("timestep", "Add", 1)(model)
    path.write_bytes(model.SerializeToString())

    check = check_graph(root, load_manifest(root), lambda: tiny, "tdnet_step", (2,))

    assert check.runtime.startswith("torch-")
    assert "onnxruntime-" in check.runtime
    assert any(error.error > 1e-4 for error in check.errors)
    right = check_graph(lowered_repository("tiny", "bf16"), load_manifest(root), lambda: tiny, "tdnet_step", (2,))
    assert max(error.error for error in check.errors) > max(error.error for error in right.errors)


def test_psnr_when_pictures_differ_by_one_level_then_48_db_and_infinite_if_not() -> None:
    grey = np.full((1, 8, 8, 3), 100, np.uint8)

    assert psnr(grey, grey + 1) == pytest.approx(48.13, abs=0.01)
    assert psnr(grey, grey) == float("inf")


def test_runner_when_more_rows_come_than_a_call_may_have_then_they_are_as_alone(tiny: Pipeline) -> None:
    root = lowered_repository("tiny", "int8")
    run = graph_runner(root, load_manifest(root), "pose_encoder")
    skeletons = np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), np.uint8)

    (together,) = run({"skeleton": skeletons})

    assert together.shape == (3, tiny.variant.width)
    for row in range(3):
        assert np.array_equal(run({"skeleton": skeletons[row : row + 1]})[0][0], together[row])
