"""Weights too many for one file lie beside the graph; manifest, verification and service take both files or neither."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export.graphs import GRAPHS
from export.manifest import read_manifest
from export.repository import build_repository
from export.to_onnx import to_onnx
from export.weights import read_origin
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.domain.errors import ModelRepositoryError
from tests.export.checks import graph_errors
from tests.export.repository_edits import edit_manifest
from tests.export.test_to_onnx import SPEC, Doubling
from xmdpt.nn.loading import WeightPaths
from xmdpt.nn.pipeline import Pipeline
from xmdpt.repository import RepositoryError, repository_digest
from xmdpt.spec import graph_specs

# Between the float32 weights of the smallest graph of tiny and those of the others.
LIMIT = 100_000
DATA = "vae_decoder/1/model.onnx.data"


@pytest.fixture(scope="module")
def split(tiny: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny's repository, all graphs but `canet` in two files; about 15 s."""
    out = tmp_path_factory.mktemp("split")
    origin = read_origin(tiny.variant, WeightPaths())
    build_repository(tiny.variant, lambda: tiny, origin, out, report=lambda _line: None, max_inline_bytes=LIMIT)
    return out


@pytest.fixture
def damaged(split: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(split, tmp_path / "models"))


def test_repository_when_graphs_are_large_then_two_files_each_with_their_digests(split: Path) -> None:
    graphs = read_manifest(split)["graphs"]

    assert [name for name, entry in graphs.items() if not entry["external"]] == ["canet"]
    assert (split / DATA).stat().st_size == graphs["vae_decoder"]["external"][0]["bytes"]
    assert (split / "vae_decoder/1/model.onnx").stat().st_size < 200_000


def test_graphs_when_in_two_files_then_they_agree_with_torch(split: Path, tiny: Pipeline) -> None:
    rows = graph_errors(split, lambda: tiny, batch_sizes=(2,))

    assert len(rows) == 7
    assert all(row.is_within_tolerance for row in rows)


def test_service_when_the_graph_is_in_two_files_then_the_same_picture(split: Path, tiny_built: Path) -> None:
    latents = np.random.default_rng(1).standard_normal((1, 4, 32, 32), np.float32)

    split_picture, picture = (OnnxBackend(open_model_repository(root)).decode(latents) for root in (split, tiny_built))

    assert (split_picture == picture).all()


def test_digest_when_only_the_weights_differ_then_another(split: Path) -> None:
    graphs = json.loads((split / "MANIFEST.json").read_text())["graphs"]
    before = repository_digest(graphs)

    graphs["vae_decoder"]["external"][0]["sha256"] = "0" * 64

    assert repository_digest(graphs) != before


def flip_a_byte(root: Path) -> None:
    content = bytearray((root / DATA).read_bytes())
    content[len(content) // 2] ^= 1
    (root / DATA).write_bytes(content)


def point_to(path: str) -> Callable[[Path], None]:
    return lambda root: edit_manifest(root, lambda m: m["graphs"]["vae_decoder"]["external"][0].update(path=path))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "byte flipped": flip_a_byte,
    "cut short": lambda root: (root / DATA).write_bytes((root / DATA).read_bytes()[:-4096]),
    "gone": lambda root: (root / DATA).unlink(),
    "elsewhere": point_to("../model.onnx.data"),
    "absolute": point_to("/etc/passwd"),
    "of another graph": point_to("canet/1/model.onnx.data"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_repository_when_the_second_file_is_wrong_then_verification_and_service_refuse(
    damaged: Path, damage: Callable[[Path], object]
) -> None:
    damage(damaged)

    with pytest.raises(RepositoryError) as refused:
        read_manifest(damaged)
    with pytest.raises(ModelRepositoryError) as refused_to_serve:
        open_model_repository(damaged)

    for message in (str(refused.value), refused_to_serve.value.detail):
        assert "vae_decoder" in message
        assert "\n" not in message


def test_verification_when_the_manifest_does_not_name_the_second_file_then_refused(damaged: Path) -> None:
    def forget(manifest: dict) -> None:
        manifest["graphs"]["vae_decoder"]["external"] = []
        manifest["model_digest"] = repository_digest(manifest["graphs"])

    edit_manifest(damaged, forget)

    with pytest.raises(RepositoryError, match=r"takes weights from .*model\.onnx\.data"):
        read_manifest(damaged)


def test_runtime_when_a_graph_names_a_file_outside_then_it_refuses(split: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(100_000_000))
    (tmp_path / "graph").mkdir()
    model = onnx.load(split / "vae_decoder/1/model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../secret" if entry.key == "location" else entry.value
    (tmp_path / "graph" / "model.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(Exception, match="External data path"):
        onnxruntime.InferenceSession(tmp_path / "graph" / "model.onnx", providers=["CPUExecutionProvider"])


def test_export_when_a_graph_is_large_and_there_is_no_second_file_then_refused(tiny: Pipeline) -> None:
    with pytest.raises(ValueError, match="too large for one file"):
        to_onnx(GRAPHS["pose_encoder"](tiny), graph_specs(tiny.variant)["pose_encoder"], max_inline_bytes=LIMIT)


def test_export_when_a_graph_is_small_then_no_second_file(tmp_path: Path) -> None:
    to_onnx(Doubling(), SPEC, tmp_path / "model.onnx.data")
    assert not list(tmp_path.iterdir())
