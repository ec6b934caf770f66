"""The repository in the project is what the untrained rule and the exporter make today, and it is right."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export.graphs import GRAPHS
from export.manifest import read_manifest
from export.repository import build_repository
from export.verify import BATCH_SIZES, MAX_GREY_LEVELS, MAX_RELATIVE_ERROR, GraphError, example_inputs, graph_errors
from export.weights import read_origin
from xmdpt.nn.loading import WeightPaths
from xmdpt.nn.pipeline import Pipeline
from xmdpt.repository import graph_path
from xmdpt.spec import graph_specs

# Every clone and every image carries it.
MAX_SHIPPED_BYTES = 6_000_000


@pytest.fixture(scope="session")
def errors(shipped: Path, tiny: Pipeline) -> list[GraphError]:
    return list(graph_errors(shipped, tiny.variant, lambda: tiny))


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_shipped_repository_when_read_then_its_manifest_holds(shipped: Path) -> None:
    manifest = read_manifest(shipped)

    assert manifest["variant"] == "tiny"
    assert manifest["latent_scale"] == 0.18215
    assert {entry["precision"] for entry in manifest["graphs"].values()} == {"f32"}


def test_shipped_repository_when_read_then_it_says_that_it_is_untrained(shipped: Path) -> None:
    weights = read_manifest(shipped)["weights"]

    assert weights.pop("origin").startswith("untrained: random numbers by the rule")
    assert weights == {"is_trained": False, "is_rounded": False, "files": {}}


def test_shipped_repository_when_measured_then_small(shipped: Path) -> None:
    assert sum(len(content) for content in files(shipped).values()) <= MAX_SHIPPED_BYTES


def test_shipped_repository_when_listed_then_the_manifests_files_and_no_others(shipped: Path) -> None:
    entries = read_manifest(shipped)["graphs"].values()
    named = {entry[key] for entry in entries for key in ("path", "config_path")}
    assert set(files(shipped)) == named | {"MANIFEST.json"}
    assert {entry["path"]: entry["bytes"] for entry in entries} == {
        path: len(content) for path, content in files(shipped).items() if path.endswith(".onnx")
    }


def test_graphs_when_run_at_every_batch_size_then_each_output_agrees_with_torch(
    errors: list[GraphError], tiny: Pipeline
) -> None:
    wrong = [error for error in errors if not error.is_within_tolerance]
    outputs = {(spec.name, out.name) for spec in graph_specs(tiny.variant).values() for out in spec.outputs}

    assert not wrong
    assert {(e.graph, e.output, e.batch_size) for e in errors} == {(*o, n) for o in outputs for n in (1, 2, 3, 8)}


def test_graphs_when_compared_then_one_skeleton_is_black_and_one_photo_dark(tiny: Pipeline) -> None:
    specs = graph_specs(tiny.variant)
    skeletons, photos = (
        example_inputs(specs[graph], 3)[name]
        for graph, name in (("pose_encoder", "skeleton"), ("source_encoder", "photo"))
    )
    assert [picture.max() for picture in skeletons] == [127, 255, 0]
    assert [picture.max() for picture in photos] == [127, 255, 15]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_source_encoder_when_the_photo_is_of_one_colour_then_close_to_torch(
    shipped: Path, tiny: Pipeline, level: int
) -> None:
    photo = np.full((1, 256, 256, 3), level, np.uint8)
    session = onnxruntime.InferenceSession(shipped / graph_path("source_encoder"), providers=["CPUExecutionProvider"])

    (found,) = session.run(None, {"photo": photo})

    with torch.inference_mode():
        wanted = GRAPHS["source_encoder"](tiny)(torch.from_numpy(photo)).numpy()
    # ONNX Runtime's norms lose digits where a channel is constant.
    assert np.abs(np.asarray(found) - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_graphs_when_compared_then_the_bounds_are_those_agreed(errors: list[GraphError]) -> None:
    assert (BATCH_SIZES, MAX_RELATIVE_ERROR, MAX_GREY_LEVELS) == ((1, 2, 3, 8), 1e-4, 1.0)
    assert {error.tolerance for error in errors if error.graph != "vae_decoder"} == {1e-4}
    assert {error.tolerance for error in errors if error.graph == "vae_decoder"} == {1.0}


def test_repository_when_built_anew_then_the_shipped_bytes(shipped: Path, tiny: Pipeline, tmp_path: Path) -> None:
    lines: list[str] = []

    origin = read_origin(tiny.variant, WeightPaths())
    build_repository(tiny.variant, lambda: tiny, origin, tmp_path, report=lines.append)

    built, expected = files(tmp_path), files(shipped)
    assert set(built) == set(expected)
    assert [path for path in built if built[path] != expected[path]] == [], "run `make export`"
    assert [line.split(":")[0] for line in lines[::2]] == list(graph_specs(tiny.variant))
