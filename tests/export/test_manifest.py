"""A repository whose files are not what they should be is refused, and the line names the file."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest

from export.manifest import read_manifest
from tests.export.repository_edits import edit_graph, edit_manifest, sign
from xmdpt.repository import RepositoryError
from xmdpt.spec import VARIANTS, graph_specs

Damage = Callable[[Path], object]


def flip_one_byte(path: str, root: Path) -> None:
    content = bytearray((root / path).read_bytes())
    content[len(content) // 2] ^= 1
    (root / path).write_bytes(content)


def replace_text(path: str, old: str, new: str, root: Path) -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


def signed(damage: Damage) -> Damage:
    def change(root: Path) -> None:
        damage(root)
        sign(root)

    return change


def write(path: str, content: bytes) -> Damage:
    return lambda root: (root / path).write_bytes(content)


def state(**values: object) -> Damage:
    return lambda root: edit_manifest(root, lambda manifest: manifest.update(values))


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


MODEL, CONFIG, MANIFEST = "canet/1/model.onnx", "canet/config.pbtxt", "MANIFEST.json"
CASES: dict[str, tuple[Damage, str, str]] = {
    "a byte of a graph": (partial(flip_one_byte, MODEL), MODEL, "SHA-256"),
    "a byte of the largest graph": (partial(flip_one_byte, "source_encoder/1/model.onnx"), "source_encoder", "SHA-256"),
    "graph gone": (lambda root: (root / MODEL).unlink(), MODEL, "No such file"),
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
    "config edited": (partial(replace_text, CONFIG, "dims: 64", "dims: 65"), CONFIG, "SHA-256"),
    "config of other sizes": (signed(partial(replace_text, CONFIG, "dims: 64", "dims: 65")), CONFIG, "`input`"),
    "config of another type": (signed(partial(replace_text, CONFIG, "TYPE_FP32", "TYPE_FP16")), CONFIG, "`input`"),
    "config of another name": (signed(partial(replace_text, CONFIG, '"canet"', '"canet2"')), CONFIG, "`name`"),
    "config is no config": (signed(write(CONFIG, b"{{{")), CONFIG, "Expected identifier"),
    "config is no text": (signed(write(CONFIG, b"\xff\xfe")), CONFIG, "Expected identifier"),
    "config gone": (lambda root: (root / CONFIG).unlink(), CONFIG, "No such file"),
    "manifest gone": (lambda root: (root / MANIFEST).unlink(), MANIFEST, "No such file"),
    "manifest is no JSON": (write(MANIFEST, b"{"), MANIFEST, "Expecting"),
    "manifest is no text": (write(MANIFEST, b"\xff"), MANIFEST, "can't decode"),
    "manifest is a list": (write(MANIFEST, b"[]"), MANIFEST, "not of the form"),
    "unknown variant": (state(variant="huge"), MANIFEST, "huge"),
    "variant of other shapes": (state(variant="s"), MODEL, "the contract says"),
    "other digest": (state(model_digest="sha256:" + "0" * 64), MANIFEST, "model_digest"),
    "other format": (state(format=2), MANIFEST, "format is 2"),
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
        lambda root: edit_manifest(root, lambda manifest: manifest["graphs"]["canet"].pop("sha256")),
        MANIFEST,
        "'sha256'",
    ),
    "weights elsewhere": (
        lambda root: edit_manifest(root, lambda m: m["graphs"]["canet"]["external"].append({"path": "../secret"})),
        MANIFEST,
        "further weights of canet can only be in canet/1/model.onnx.data",
    ),
    "graph takes weights from another file": (
        lambda root: edit_graph(root, "canet", take_weights_from("../../secret")),
        MODEL,
        "takes weights from",
    ),
    "file elsewhere": (keep_a_copy_elsewhere, MANIFEST, "the files of canet are not"),
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


def test_manifest_when_signed_without_damage_then_accepted(repository: Path) -> None:
    before = json.loads((repository / MANIFEST).read_text())

    sign(repository)

    assert read_manifest(repository) == before


def test_manifest_when_an_operator_tunes_the_batching_then_accepted(repository: Path) -> None:
    signed(partial(replace_text, CONFIG, "max_batch_size: 32", "max_batch_size: 16"))(repository)
    assert read_manifest(repository)["variant"] == "tiny"
