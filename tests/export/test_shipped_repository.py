"""The repository in the project is what the untrained rule and the exporter make today, and it is right."""

from pathlib import Path

import pytest

from export.repository import build_repository
from export.verify import BATCH_SIZES, MAX_GREY_LEVELS, MAX_RELATIVE_ERROR, GraphError, graph_errors, read_manifest
from export.weights import UNTRAINED
from xmdpt.nn.pipeline import Pipeline
from xmdpt.spec import graph_specs

# Every clone and every image carries it.
MAX_SHIPPED_BYTES = 6_000_000


@pytest.fixture(scope="session")
def errors(shipped: Path, tiny: Pipeline) -> list[GraphError]:
    return list(graph_errors(shipped, tiny))


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_shipped_repository_when_read_then_its_manifest_holds(shipped: Path) -> None:
    manifest = read_manifest(shipped)

    assert manifest["variant"] == "tiny"
    assert manifest["latent_scale"] == 0.18215
    assert {entry["precision"] for entry in manifest["graphs"].values()} == {"f32"}


def test_shipped_repository_when_read_then_it_says_that_it_is_untrained(shipped: Path) -> None:
    assert read_manifest(shipped)["weights"] == {"origin": UNTRAINED.origin, "is_trained": False}


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


def test_graphs_when_compared_then_the_bounds_are_those_agreed(errors: list[GraphError]) -> None:
    assert (BATCH_SIZES, MAX_RELATIVE_ERROR, MAX_GREY_LEVELS) == ((1, 2, 3, 8), 1e-4, 1.0)
    assert {error.tolerance for error in errors if error.graph != "vae_decoder"} == {1e-4}
    assert {error.tolerance for error in errors if error.graph == "vae_decoder"} == {1.0}


def test_repository_when_built_anew_then_the_shipped_bytes(shipped: Path, tiny: Pipeline, tmp_path: Path) -> None:
    lines: list[str] = []

    build_repository(tiny, UNTRAINED, tmp_path, report=lines.append)

    built, expected = files(tmp_path), files(shipped)
    assert set(built) == set(expected)
    assert [path for path in built if built[path] != expected[path]] == [], "run `make export`"
    assert [line.split(":")[0] for line in lines[::2]] == list(graph_specs(tiny.variant))
