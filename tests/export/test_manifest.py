"""A repository whose files are not what they should be is refused, and the line names the file."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest

from export.manifest import read_manifest
from service.adapters.model_repository import open_model_repository
from service.domain.errors import ModelRepositoryError
from tests.export.repository_edits import edit_graph, edit_manifest, replace_text, sign
from xmdpt.repository import RepositoryError, config_paths, graph_path
from xmdpt.spec import VARIANTS, graph_specs

Damage = Callable[[Path], object]


def flip_one_byte(path: str, root: Path) -> None:
    content = bytearray((root / path).read_bytes())
    content[len(content) // 2] ^= 1
    (root / path).write_bytes(content)


def signed(damage: Damage) -> Damage:
    def change(root: Path) -> None:
        damage(root)
        sign(root)

    return change


def write(path: str, content: bytes) -> Damage:
    return lambda root: (root / path).write_bytes(content)


def state(**values: object) -> Damage:
    return lambda root: edit_manifest(root, lambda manifest: manifest.update(values))


def low_graphs(**precisions: str) -> Damage:
    """Graphs beside the others, in the places where they belong."""

    def change(manifest: dict) -> None:
        for name, precision in precisions.items():
            configs = [{"path": path, "sha256": ""} for path in config_paths(name)]
            files = {"path": graph_path(name), "configs": configs, "precision": precision}
            manifest["graphs"][name] = manifest["graphs"]["canet"] | files

    return lambda root: edit_manifest(root, change)


def low_step_elsewhere(manifest: dict) -> None:
    """Its files are another graph's."""
    manifest["graphs"]["tdnet_step_low"] = {**manifest["graphs"]["tdnet_step"], "precision": "int8"}


def rename_an_input(model: onnx.ModelProto) -> None:
    for names in [node.input for node in model.graph.node]:
        names[:] = ["pose" if name == "pose_vector" else name for name in names]
    model.graph.input[1].name = "pose"


def fix_the_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def use_an_unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NoSuchOperator"


def leave_out_a_node(model: onnx.ModelProto) -> None:
    del model.graph.node[0]


def take_weights_from(location: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)

    return change


def keep_a_copy_elsewhere(root: Path) -> None:
    (root / "good.onnx").write_bytes((root / "canet/1/model.onnx").read_bytes())
    write("canet/1/model.onnx", b"something else")(root)
    edit_manifest(root, lambda manifest: manifest["graphs"]["canet"].update(path="good.onnx"))


def exchange(path: str, other: str, root: Path) -> None:
    kept = (root / path).read_bytes()
    (root / path).write_bytes((root / other).read_bytes())
    (root / other).write_bytes(kept)


def remove(path: str) -> Damage:
    return lambda root: (root / path).unlink()


def edit_entry(change: Callable[[dict], object]) -> Damage:
    return lambda root: edit_manifest(root, lambda manifest: change(manifest["graphs"]["canet"]))


MODEL, CONFIG, CPU_CONFIG, MANIFEST = (
    "canet/1/model.onnx",
    "canet/config.pbtxt",
    "canet/configs/cpu.pbtxt",
    "MANIFEST.json",
)
OTHER_MODEL = "pose_encoder/1/model.onnx"
CASES: dict[str, tuple[Damage, str, str]] = {
    "a byte of a graph": (partial(flip_one_byte, MODEL), MODEL, "SHA-256"),
    "a byte of the largest graph": (partial(flip_one_byte, "source_encoder/1/model.onnx"), "source_encoder", "SHA-256"),
    "graph gone": (remove(MODEL), MODEL, "No such file"),
    "graph is no model": (signed(write(MODEL, b"no model at all")), MODEL, "not a valid ONNX model"),
    "graph is empty": (signed(write(MODEL, b"")), MODEL, "not a valid ONNX model"),
    "graph takes other inputs": (lambda root: edit_graph(root, "canet", rename_an_input), MODEL, "the contract says"),
    "graph fixes its batch": (lambda root: edit_graph(root, "canet", fix_the_batch), MODEL, "the contract says"),
    "graph of unknown operators": (
        lambda root: edit_graph(root, "canet", use_an_unknown_operator),
        MODEL,
        "not a valid ONNX model",
    ),
    "graph with a gap": (lambda root: edit_graph(root, "canet", leave_out_a_node), MODEL, "not a valid ONNX model"),
    "two graphs exchanged": (partial(exchange, MODEL, OTHER_MODEL), "model.onnx", "SHA-256"),
    "two graphs exchanged and signed": (signed(partial(exchange, MODEL, OTHER_MODEL)), "model.onnx", "the contract"),
    "config edited": (partial(replace_text, CONFIG, "dims: [64]", "dims: [65]"), CONFIG, "SHA-256"),
    "config of other sizes": (signed(partial(replace_text, CONFIG, "dims: [64]", "dims: [65]")), CONFIG, "`input`"),
    "config for CPUs edited": (partial(replace_text, CPU_CONFIG, '"1"', '"4"'), CPU_CONFIG, "SHA-256"),
    "config for CPUs of other sizes": (
        signed(partial(replace_text, CPU_CONFIG, "dims: [64]", "dims: [65]")),
        CPU_CONFIG,
        "`input`",
    ),
    "config of another graph": (signed(write(CONFIG, b'name: "vae_decoder"')), CONFIG, "`name`"),
    "config of another file": (
        signed(partial(replace_text, CONFIG, 'string_value: "', 'string_value: "0')),
        CONFIG,
        "`parameters.sha256`",
    ),
    "config is no config": (signed(write(CONFIG, b"{{{")), CONFIG, "Expected identifier"),
    "config is no text": (signed(write(CONFIG, b"\xff\xfe")), CONFIG, "Expected identifier"),
    "config gone": (remove(CONFIG), CONFIG, "No such file"),
    "config for CPUs gone": (remove(CPU_CONFIG), CPU_CONFIG, "No such file"),
    "ensemble's config gone": (remove("xmdpt/config.pbtxt"), "xmdpt/config.pbtxt", "No such file"),
    "ensemble of a graph that is not there": (
        signed(partial(replace_text, "xmdpt/config.pbtxt", '"canet"', '"canet2"')),
        "xmdpt/config.pbtxt",
        "'canet2', which is not in the repository",
    ),
    "manifest gone": (remove(MANIFEST), MANIFEST, "No such file"),
    "manifest is no JSON": (write(MANIFEST, b"{"), MANIFEST, "Expecting"),
    "manifest is no text": (write(MANIFEST, b"\xff"), MANIFEST, "can't decode"),
    "manifest is a list": (write(MANIFEST, b"[]"), MANIFEST, "not of the form"),
    "unknown variant": (state(variant="huge"), MANIFEST, "huge"),
    "variant of other shapes": (state(variant="s"), MODEL, "the contract says"),
    "other digest": (state(model_digest="sha256:" + "0" * 64), MANIFEST, "model_digest"),
    "other format": (state(format=1), MANIFEST, "format is 1"),
    "other platform": (state(platform="pytorch"), MANIFEST, "platform is not one of"),
    "platform of other files": (state(platform="tensorrt_plan"), MANIFEST, "is not source_encoder/1/model.plan"),
    "unknown precision": (state(precision="fp8"), MANIFEST, "precision is not one of fp32"),
    "graph in another precision": (
        lambda root: edit_manifest(root, lambda manifest: manifest["graphs"]["canet"].update(precision="bf16")),
        MANIFEST,
        "canet must be in fp32",
    ),
    "low step in float32": (
        low_graphs(tdnet_step_low="fp32"),
        MANIFEST,
        "tdnet_step_low must be in fp16 or bf16 or int8",
    ),
    "low step of another place": (
        lambda root: edit_manifest(root, low_step_elsewhere),
        MANIFEST,
        "the file of tdnet_step_low is not tdnet_step_low/1/",
    ),
    "low decoder without a low step": (low_graphs(vae_decoder_low="int8"), MANIFEST, "'tdnet_step_low' is missing"),
    "low graphs in two precisions": (
        low_graphs(tdnet_step_low="int8", vae_decoder_low="fp16"),
        MANIFEST,
        "vae_decoder_low must be in fp16 or bf16 or int8, as tdnet_step_low is",
    ),
    "other latent scale": (state(latent_scale=0.5), MANIFEST, "latent_scale is 0.5"),
    "other prediction": (state(prediction="v"), MANIFEST, "prediction is 'v'"),
    "no word on the weights": (state(weights={}), MANIFEST, "'is_trained'"),
    "weights of an odd kind": (
        state(weights={"origin": None, "is_trained": 1, "is_rounded": False, "files": {}}),
        MANIFEST,
        "must state an origin",
    ),
    "weights without a digest": (
        state(weights={"origin": "", "is_trained": True, "is_rounded": False, "files": {"vae": {"sha256": 1}}}),
        MANIFEST,
        "digest of each file",
    ),
    "graphs are a list": (state(graphs=list(graph_specs(VARIANTS["tiny"]))), MANIFEST, "not of the form"),
    "graphs of other names": (state(graphs={}), MANIFEST, "the graphs are not"),
    "entry missing": (
        lambda root: edit_manifest(root, lambda manifest: manifest["graphs"].pop("canet")),
        MANIFEST,
        "the graphs are not",
    ),
    "digest missing": (
        edit_entry(lambda entry: entry.pop("sha256")),
        MANIFEST,
        "'sha256'",
    ),
    "weights elsewhere": (
        edit_entry(lambda entry: entry["external"].append({"path": "../secret"})),
        MANIFEST,
        "further weights of canet can only be in canet/1/model.onnx.data",
    ),
    "graph takes weights from another file": (
        lambda root: edit_graph(root, "canet", take_weights_from("../../secret")),
        MODEL,
        "takes weights from",
    ),
    "file elsewhere": (keep_a_copy_elsewhere, MANIFEST, "the file of canet is not"),
    "config elsewhere": (
        edit_entry(lambda entry: entry["configs"][0].update(path="good.pbtxt")),
        MANIFEST,
        "the configurations of canet are not canet/config.pbtxt and canet/configs/cpu.pbtxt",
    ),
    "config left out": (edit_entry(lambda entry: entry["configs"].pop()), MANIFEST, "the configurations of canet are"),
    "config without a digest": (
        edit_entry(lambda entry: entry["configs"][1].update(sha256=None)),
        MANIFEST,
        "digest of each configuration",
    ),
    "no ensemble": (lambda root: edit_manifest(root, lambda m: m.pop("ensemble")), MANIFEST, "'ensemble'"),
    "no rows": (edit_entry(lambda entry: entry.update(max_batch_size=0)), MANIFEST, "must be an integer from 1"),
    "rows that are no number": (edit_entry(lambda entry: entry.update(max_batch_size=True)), MANIFEST, "an integer"),
}


@pytest.mark.parametrize(("damage", "file", "words"), CASES.values(), ids=CASES)
def test_manifest_when_a_file_is_wrong_then_refused_in_one_line_with_its_name(
    repository: Path, damage: Damage, file: str, words: str
) -> None:
    damage(repository)

    with pytest.raises(RepositoryError) as error:
        read_manifest(repository)

    assert file in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "case",
    [
        "a byte of a graph",
        "graph gone",
        "two graphs exchanged",
        "config edited",
        "config for CPUs edited",
        "config gone",
        "config for CPUs gone",
        "ensemble's config gone",
        "manifest gone",
        "other digest",
        "config left out",
    ],
)
def test_service_when_a_file_is_wrong_then_it_does_not_start_either(repository: Path, case: str) -> None:
    damage, file, words = CASES[case]
    damage(repository)

    with pytest.raises(ModelRepositoryError) as error:
        open_model_repository(repository)

    assert "XMDPT_MODEL_REPOSITORY: " in str(error.value)
    assert file in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_manifest_when_signed_without_damage_then_accepted(repository: Path) -> None:
    before = json.loads((repository / MANIFEST).read_text())

    sign(repository)

    assert read_manifest(repository) == before
