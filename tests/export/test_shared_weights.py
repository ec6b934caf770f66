"""The demo's weights lie in its repository once: graphs point into the file, and all who load one find it there."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo
from safetensors import safe_open
from safetensors.numpy import save_file

from export.__main__ import main
from export.manifest import read_manifest
from export.repository import build_repository
from export.shared_weights import SharedWeights
from export.storage import store_compactly
from export.verify import graph_runner
from export.weights import networks_of, read_origin
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.domain.errors import ModelRepositoryError
from tests.built_repositories import demo_weights
from tests.export.checks import graph_errors
from tests.export.repository_edits import edit_manifest, sign
from tests.export.test_storage import a_model, assert_same_bits
from xmdpt.nn.loading import WeightPaths
from xmdpt.nn.pipeline import Pipeline
from xmdpt.repository import (
    WEIGHTS_FOLDER_OPTION,
    RepositoryError,
    file_digest,
    graph_path,
    load_manifest,
    repository_digest,
    weights_folder,
)
from xmdpt.spec import VARIANTS, graph_specs

DEMO = VARIANTS["demo"]
WEIGHTS = "demo.safetensors"
GRAPHS = list(graph_specs(DEMO))
STEP = graph_path("tdnet_step")
# Every clone and every image carries it.
MAX_BYTES = 22_500_000


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def model_of(root: Path, name: str) -> onnx.ModelProto:
    return onnx.load(root / graph_path(name), load_external_data=False)


def rebuild(weights: Path, out: Path) -> None:
    paths = WeightPaths(weights)
    origin = read_origin(DEMO, paths)
    build_repository(DEMO, lambda: networks_of(DEMO, paths), origin, out, lambda _line: None, bundle=weights)


def test_repository_when_built_then_every_graph_names_the_one_file(demo_built: Path) -> None:
    manifest = read_manifest(demo_built)
    file = {
        "path": WEIGHTS,
        "sha256": file_digest(demo_weights()),
        "bytes": demo_weights().stat().st_size,
    }

    assert [manifest["graphs"][name]["external"] for name in GRAPHS] == [[file]] * len(GRAPHS)
    assert manifest["weights"] == {
        "origin": f"bundle {WEIGHTS}; made by rule for tests",
        "is_trained": True,
        "is_rounded": False,
        "files": {"bundle": {"name": WEIGHTS, "bytes": file["bytes"], "sha256": file["sha256"]}},
    }
    assert (manifest["variant"], manifest["prediction"], manifest["latent_scale"]) == ("demo", "v", 1.0)
    assert {weights_folder(demo_built, manifest, name) for name in GRAPHS} == {demo_built}


def test_repository_when_measured_then_the_graphs_add_next_to_nothing(demo_built: Path) -> None:
    sizes = {path: len(content) for path, content in contents(demo_built).items()}

    assert sum(sizes.values()) <= MAX_BYTES
    assert sum(sizes.values()) - sizes[WEIGHTS] < 700_000
    assert contents(demo_built)[WEIGHTS] == demo_weights().read_bytes()


def test_graphs_when_read_then_they_hold_no_weights_but_what_is_folded_or_cut(demo_built: Path) -> None:
    held = {
        (tensor.name.removesuffix(".stored"), *tensor.dims)
        for name in GRAPHS
        for tensor in model_of(demo_built, name).graph.initializer
        if tensor.data_location != TensorProto.EXTERNAL and np.prod(tensor.dims) >= 256
    }

    biases = {(f"tdnet.blocks.{index}.attn.bias.value", 4, 64, 64) for index in range(DEMO.depth)}
    assert biases < held
    # The final layer without its variance, to 16 cells of 4 channels; ones for norms that have no weights.
    assert {tuple(shape) for _, *shape in held - biases} == {(256, 64), (256,)}


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_when_it_points_to_a_tensor_then_it_is_the_one_of_that_name(demo_built: Path, name: str) -> None:
    content = (demo_built / WEIGHTS).read_bytes()
    pointers = [
        tensor
        for tensor in model_of(demo_built, name).graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    ]

    assert pointers
    with safe_open(demo_built / WEIGHTS, "np") as file:
        for tensor in pointers:
            place, expected = ExternalDataInfo(tensor), file.get_tensor(tensor.name.removesuffix(".stored"))
            assert (place.location, place.length) == (WEIGHTS, expected.nbytes)
            assert tuple(tensor.dims) == expected.shape
            assert content[place.offset :][: place.length] == expected.tobytes()


def test_graphs_when_run_then_they_agree_with_torch(demo_built: Path, demo: Pipeline) -> None:
    rows = graph_errors(demo_built, lambda: demo, batch_sizes=(1, 3))

    assert len(rows) == 14
    assert [row for row in rows if not row.is_within_tolerance] == []


def test_verify_when_other_weights_are_named_then_2(
    sharing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from xmdpt.nn.bundle import load_bundle, save_bundle

    pipeline = load_bundle(DEMO, demo_weights())
    pipeline.vae.get_buffer("latent_mean").add_(1)
    save_bundle(pipeline, tmp_path / "other.safetensors")

    assert main(["verify", "--repository", str(sharing), "--weights", str(tmp_path / "other.safetensors")]) == 2

    assert "the repository was built of other weights" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--vae", "--dino"])
def test_build_when_the_demo_gets_other_files_then_2_in_one_line(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"

    assert main(["build", "--variant", "demo", option, str(tmp_path), "--out", str(out)]) == 2

    message = "the variant demo takes --weights alone: one file holds all of its networks"
    assert capsys.readouterr().err == f"python -m export: {message}\n"
    assert not out.exists()


def test_build_when_the_weights_are_of_another_variant_then_2_and_both_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file
    from safetensors.torch import save_file as save_torch_file

    path = tmp_path / "some.safetensors"
    save_torch_file(load_file(demo_weights()), path, {"variant": "tiny", "prediction": "epsilon"})

    assert main(["build", "--variant", "demo", "--weights", str(path), "--out", str(tmp_path / "models")]) == 2

    assert capsys.readouterr().err == f"python -m export: {path}: these are weights of the variant tiny, not of demo\n"


def test_service_when_opened_then_every_graph_runs_and_nothing_is_written(sharing: Path) -> None:
    before = contents(sharing)

    backend = OnnxBackend(open_model_repository(sharing))

    condition = backend.condition(*np.ones((2, 1, DEMO.width), np.float32))
    assert np.isfinite(condition).all()
    assert backend.decode(np.zeros((1, 4, 32, 32), np.float32)).shape == (1, 256, 256, 3)
    assert contents(sharing) == before


def test_service_when_the_repository_is_named_by_a_relative_path_then_it_opens(
    demo_built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo_built.parent)

    backend = OnnxBackend(open_model_repository(Path(demo_built.name)))

    assert backend.variant == "demo"


def test_digest_when_only_the_shared_weights_differ_then_another(demo_built: Path) -> None:
    graphs = load_manifest(demo_built)["graphs"]
    before = repository_digest(graphs)

    for entry in graphs.values():
        entry["external"] = [entry["external"][0] | {"sha256": "0" * 64}]

    assert repository_digest(graphs) != before


def flip_a_byte(root: Path) -> None:
    content = bytearray((root / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (root / WEIGHTS).write_bytes(content)


def let_one_graph_state(digest: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        def state(manifest: dict) -> None:
            manifest["graphs"]["canet"]["external"][0]["sha256"] = digest
            manifest["model_digest"] = repository_digest(manifest["graphs"])

        edit_manifest(root, state)

    return change


def point_to(path: str) -> Callable[[Path], None]:
    return lambda root: edit_manifest(root, lambda m: m["graphs"]["canet"]["external"][0].update(path=path))


DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "byte flipped": (flip_a_byte, WEIGHTS, "restore the file"),
    "cut short": (lambda root: (root / WEIGHTS).write_bytes(b"short"), WEIGHTS, "restore the file"),
    "gone": (lambda root: (root / WEIGHTS).unlink(), WEIGHTS, "No such file or directory, though MANIFEST.json names"),
    "two digests of one file": (let_one_graph_state("0" * 64), WEIGHTS, "MANIFEST.json says 000000000000"),
    "elsewhere": (point_to(f"../{WEIGHTS}"), "MANIFEST.json", f"canet/1/model.onnx.data or {WEIGHTS}"),
    "of another variant": (point_to("tiny.safetensors"), "MANIFEST.json", f"canet/1/model.onnx.data or {WEIGHTS}"),
    "in the graph's folder": (point_to(f"canet/1/{WEIGHTS}"), "MANIFEST.json", "further weights of canet can only be"),
}


@pytest.mark.parametrize(("damage", "file", "words"), DAMAGE.values(), ids=DAMAGE)
def test_repository_when_the_shared_file_is_wrong_then_verification_and_service_say_which_and_what_to_do(
    sharing: Path, damage: Callable[[Path], object], file: str, words: str
) -> None:
    damage(sharing)

    with pytest.raises(RepositoryError) as refused:
        read_manifest(sharing)
    with pytest.raises(ModelRepositoryError) as refused_to_serve:
        open_model_repository(sharing)

    for message in (str(refused.value), refused_to_serve.value.detail):
        assert f"{sharing}/{file}: " in message
        assert words in message
        assert "\n" not in message


def forget(manifest: dict) -> None:
    manifest["graphs"]["tdnet_step"]["external"] = []


def ask_for(change: Callable[[dict[str, str]], object]) -> Callable[[onnx.ModelProto], None]:
    """Change where the first tensor of a graph says that it lies."""

    def edit(model: onnx.ModelProto) -> None:
        tensor = next(t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL)
        place = {entry.key: entry.value for entry in tensor.external_data}
        change(place)
        del tensor.external_data[:]
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)

    return edit


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: place.update(offset="21243700"), "behind the end"),
        (lambda place: place.update(length="0"), "behind the end"),
        (lambda place: place.update(length="2"), "not a valid ONNX model"),
        (lambda place: place.update(offset="-8"), "not a valid ONNX model"),
        (lambda place: place.update(offset="here"), "not a valid ONNX model"),
        (lambda place: place.update(location="../secret"), "takes weights from"),
    ],
)
def test_verification_when_a_graph_asks_for_bytes_that_are_not_its_own_then_refused(
    sharing: Path, change: Callable[[dict[str, str]], object], words: str
) -> None:
    model = model_of(sharing, "tdnet_step")
    ask_for(change)(model)
    (sharing / STEP).write_bytes(model.SerializeToString(deterministic=True))
    sign(sharing)

    with pytest.raises(RepositoryError, match=words) as refused:
        read_manifest(sharing)

    assert str(refused.value).startswith(f"{sharing}/{STEP}: ")


def test_verification_when_the_manifest_does_not_name_the_shared_file_then_refused(sharing: Path) -> None:
    edit_manifest(sharing, forget)
    sign(sharing)

    with pytest.raises(RepositoryError, match=rf"takes weights from .*{WEIGHTS}"):
        read_manifest(sharing)


def test_link_when_made_then_servers_that_look_beside_a_graph_alone_find_the_same_file(
    sharing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, latents = sharing / graph_path("vae_decoder"), np.ones((1, 4, 32, 32), np.float32)
    with pytest.raises(Exception, match="does not exist"):
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    assert main(["link", "--repository", str(sharing)]) == 0

    links = [sharing / name / "1" / WEIGHTS for name in GRAPHS]
    assert set(capsys.readouterr().out.split()) == {str(link) for link in links}
    assert all(link.samefile(sharing / WEIGHTS) for link in links)
    (beside,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"latents": latents})
    (told,) = graph_runner(sharing, load_manifest(sharing), "vae_decoder")({"latents": latents})
    assert np.array_equal(beside, told)


def test_link_when_there_are_links_then_verification_and_service_do_not_mind(sharing: Path) -> None:
    assert main(["link", "--repository", str(sharing)]) == 0

    assert main(["verify", "--repository", str(sharing), "--batch-sizes", "1", "--quick"]) == 0

    assert OnnxBackend(open_model_repository(sharing)).variant == "demo"


def test_link_when_repeated_or_stale_then_what_lies_there_is_this_file(sharing: Path) -> None:
    links = [sharing / name / "1" / WEIGHTS for name in GRAPHS]
    links[0].write_bytes(b"of an earlier build")
    links[1].symlink_to("../../nowhere")

    for _ in range(2):
        assert main(["link", "--repository", str(sharing)]) == 0

    assert all(link.samefile(sharing / WEIGHTS) and not link.is_symlink() for link in links)
    assert [path.name for path in sharing.rglob(".*")] == [".gitkeep"]


def test_link_when_the_file_system_has_none_then_a_copy(sharing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)

    assert main(["link", "--repository", str(sharing)]) == 0

    copy = sharing / "canet/1" / WEIGHTS
    assert not copy.samefile(sharing / WEIGHTS)
    assert copy.read_bytes() == (sharing / WEIGHTS).read_bytes()


def test_link_when_the_repository_is_damaged_then_1_and_no_link(
    sharing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_a_byte(sharing)

    assert main(["link", "--repository", str(sharing)]) == 1

    assert f"FAILED {sharing}/{WEIGHTS}: its SHA-256 is" in capsys.readouterr().err
    assert not list(sharing.glob(f"*/1/{WEIGHTS}"))


def test_link_when_graphs_hold_their_weights_then_nothing_to_do(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(repository)

    assert main(["link", "--repository", str(repository)]) == 0

    assert "there is nothing to link" in capsys.readouterr().out
    assert contents(repository) == before


def test_repository_when_built_over_linked_weights_then_the_links_are_gone_and_the_old_file_was_left_whole(
    sharing: Path, tmp_path: Path
) -> None:
    assert main(["link", "--repository", str(sharing)]) == 0
    os.link(sharing / WEIGHTS, tmp_path / "kept")
    other = tmp_path / "other.safetensors"
    other.write_bytes(demo_weights().read_bytes())

    rebuild(other, sharing)

    assert not list(sharing.glob(f"*/1/{WEIGHTS}"))
    assert (tmp_path / "kept").read_bytes() == demo_weights().read_bytes()
    assert not (tmp_path / "kept").samefile(sharing / WEIGHTS)
    read_manifest(sharing)


def shared(tmp_path: Path, **tensors: np.ndarray) -> SharedWeights:
    save_file(tensors, tmp_path / "some.safetensors", {"variant": "demo"})
    return SharedWeights(tmp_path / "some.safetensors")


HALVES = np.resize(np.arange(-700, 700, 3) / 7, (30, 20)).astype(np.float16)


def test_shared_weights_when_values_are_stored_then_found_as_they_are_or_transposed(tmp_path: Path) -> None:
    weights = shared(tmp_path, b=HALVES, c=HALVES + np.float16(1), a=HALVES)
    values = HALVES.astype(np.float32)

    found, turned = weights.find(values), weights.find(np.ascontiguousarray(values.T))

    # Of equal tensors the first, so that the same graph comes out each time.
    assert found
    assert turned
    assert (found.name, found.shape, found.length, found.is_transposed) == ("a", (30, 20), HALVES.nbytes, False)
    assert (turned.name, turned.shape, turned.offset, turned.is_transposed) == ("a", (30, 20), found.offset, True)


@pytest.mark.parametrize(
    "values",
    [
        HALVES.astype(np.float32) + 1,
        HALVES.astype(np.float32) * np.float32(1 + 2**-20),
        HALVES.astype(np.float32).reshape(20, 30),
        HALVES.astype(np.float32)[:, :, None],
        np.full((30, 20), np.nan, np.float32),
        np.full((30, 20), 1e9, np.float32),
    ],
    ids=["others", "finer than float16", "of another shape", "of another rank", "not numbers", "too large"],
)
def test_shared_weights_when_values_are_not_stored_then_not_found(tmp_path: Path, values: np.ndarray) -> None:
    assert shared(tmp_path, a=HALVES, b=HALVES.astype(np.float32)).find(values) is None


@pytest.mark.parametrize("is_transposed", [False, True])
def test_storage_when_the_file_holds_a_weight_then_the_runtime_loads_the_same_bits_from_there(
    tmp_path: Path, is_transposed: bool
) -> None:
    values = (HALVES.T if is_transposed else HALVES).astype(np.float32).copy()
    model = store_compactly(a_model(values), shared=shared(tmp_path, a=HALVES))

    (tensor,) = model.graph.initializer
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(tmp_path))
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    assert (tensor.name, tensor.data_location, tensor.raw_data) == ("a.stored", TensorProto.EXTERNAL, b"")
    assert_same_bits(np.asarray(session.run(None, {})[0]), values)


def test_storage_when_two_weights_are_equal_then_one_pointer(tmp_path: Path) -> None:
    model = a_model(HALVES.astype(np.float32))
    model.graph.initializer.append(numpy_helper.from_array(HALVES.astype(np.float32), "other"))
    model.graph.node.append(helper.make_node("Identity", ["other"], ["unused"]))

    store_compactly(model, shared=shared(tmp_path, a=HALVES))

    assert [tensor.name for tensor in model.graph.initializer] == ["a.stored"]
    assert [list(node.output) for node in model.graph.node if node.op_type == "Cast"] == [["weight"], ["other"]]


def test_manifest_when_read_by_people_then_json_with_one_digest_for_the_weights(demo_built: Path) -> None:
    text = (demo_built / "MANIFEST.json").read_text()

    # One for each graph and one among the files that the weights came from.
    assert text.count(file_digest(demo_weights())) == len(GRAPHS) + 1
    assert json.loads(text)["graphs"].keys() == set(GRAPHS)


def test_repository_when_copied_without_its_links_then_whole(sharing: Path, tmp_path: Path) -> None:
    """As git, an image or a mount have it."""
    assert main(["link", "--repository", str(sharing)]) == 0
    copy = shutil.copytree(sharing, tmp_path / "copy", ignore=lambda folder, names: [
        name for name in names if name == WEIGHTS and Path(folder) != sharing
    ])  # fmt: skip

    assert open_model_repository(Path(copy)).model_digest == load_manifest(sharing)["model_digest"]
