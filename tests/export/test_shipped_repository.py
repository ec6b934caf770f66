"""The repository in the project is what the exporter makes today of the weights that it says, and it is right."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from export.__main__ import main
from export.graphs import GRAPHS
from export.manifest import read_manifest
from export.verify import (
    BATCH_SIZES,
    MAX_GREY_LEVELS,
    MAX_RELATIVE_ERRORS,
    GraphError,
    example_inputs,
    graph_runner,
)
from export.weights import networks_of, own_weights
from tests.export.checks import graph_errors
from xmdpt.nn.loading import LoadedNetworks, WeightPaths
from xmdpt.repository import MANIFEST_NAME, file_digest, load_manifest, manifest_specs
from xmdpt.sampler import SAMPLERS
from xmdpt.spec import LOW_DECODER, LOW_GRAPHS, LOW_STEP, VARIANTS, Variant, graph_specs

# Every clone and every image carries it.
MAX_SHIPPED_BYTES = 22_500_000


@pytest.fixture(scope="session")
def variant(shipped: Path) -> Variant:
    return VARIANTS[load_manifest(shipped)["variant"]]


@pytest.fixture(scope="session")
def paths(shipped: Path, variant: Variant) -> WeightPaths:
    """The weights that the repository holds for all of its graphs, or none where they follow a rule."""
    return own_weights(shipped, variant)


@pytest.fixture(scope="session")
def networks(variant: Variant, paths: WeightPaths) -> LoadedNetworks:
    return networks_of(variant, paths)


@pytest.fixture(scope="session")
def errors(shipped: Path, networks: LoadedNetworks) -> list[GraphError]:
    graphs = tuple(load_manifest(shipped)["graphs"])
    return graph_errors(shipped, lambda: networks, graphs=graphs)


def files(root: Path) -> dict[str, bytes]:
    """All but the links that somebody may have made."""
    links = set(root.glob("*/1/*.safetensors"))
    found = [path for path in root.rglob("*") if path.is_file() and path not in links]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_shipped_repository_when_read_then_its_manifest_holds(shipped: Path, variant: Variant) -> None:
    manifest = read_manifest(shipped)

    assert variant.name in {"tiny", "demo"}
    assert (manifest["latent_scale"], manifest["prediction"]) == (variant.latent_scale, variant.prediction)
    graphs = dict(manifest["graphs"])
    low = {name: graphs.pop(name) for name in LOW_GRAPHS}
    assert {entry["precision"] for entry in graphs.values()} == {"fp32"}
    assert {(entry["precision"], entry["max_batch_size"]) for entry in low.values()} == {("int8", 1)}
    # Their weights are those of all others, from which they make integers when they are loaded.
    assert all(entry["external"] == graphs["tdnet_step"]["external"] for entry in low.values())
    assert low[LOW_STEP]["bytes"] < 300_000
    assert low[LOW_DECODER]["bytes"] < 30_000


def test_shipped_repository_when_read_then_it_says_what_its_weights_are(shipped: Path, paths: WeightPaths) -> None:
    weights = read_manifest(shipped)["weights"]

    origin, found = weights.pop("origin"), {name: file["sha256"] for name, file in weights.pop("files").items()}
    assert weights == {"is_trained": paths.weights is not None, "is_rounded": False}
    assert origin.startswith("bundle " if paths.weights else "untrained: random numbers by the rule")
    assert found == ({"bundle": file_digest(paths.weights)} if paths.weights else {})


def test_shipped_repository_when_read_then_its_manifest_holds_a_passed_verification(shipped: Path) -> None:
    manifest = read_manifest(shipped)
    found = manifest["verification"]

    assert set(found["graphs"]) == set(manifest["graphs"])
    assert all(graph["error"] <= graph["tolerance"] for graph in found["graphs"].values())
    runs = [*SAMPLERS, *(f"{name} of tdnet_step_low" for name in SAMPLERS)]
    assert {name: run["num_steps"] for name, run in found["runs"].items()} == dict.fromkeys(runs, 50)
    assert all(run["psnr_db"] >= run["min_psnr_db"] for run in found["runs"].values())
    presets = found["presets"]
    assert list(presets) == ["draft", "fast"]
    assert presets["fast"]["psnr_db"] > presets["draft"]["psnr_db"] > presets["draft"]["least_psnr_db"] >= 40
    assert all(quality["ssim"] > 0.99 for quality in presets.values())


def test_shipped_repository_when_measured_then_small(shipped: Path) -> None:
    assert sum(len(content) for content in files(shipped).values()) <= MAX_SHIPPED_BYTES


def test_shipped_repository_when_listed_then_the_manifests_files_and_no_others(shipped: Path) -> None:
    manifest = read_manifest(shipped)
    entries = manifest["graphs"].values()
    stated = {file["path"]: file["bytes"] for entry in entries for file in (entry, *entry["external"])}
    configs = {file["path"] for entry in (*entries, manifest["ensemble"]) for file in entry["configs"]}

    found = files(shipped)

    # Triton wants a folder for the ensemble's version, and git keeps no empty ones.
    assert set(found) == {*stated, *configs, "xmdpt/1/.gitkeep", "MANIFEST.json"}
    assert {path: len(found[path]) for path in stated} == stated


def test_graphs_when_run_at_every_batch_size_then_each_output_agrees_with_torch(
    shipped: Path, errors: list[GraphError]
) -> None:
    specs = manifest_specs(load_manifest(shipped)).values()
    wrong = [error for error in errors if not error.is_within_tolerance]
    outputs = {(spec.name, out.name) for spec in specs for out in spec.outputs}

    assert not wrong
    assert {(e.graph, e.output, e.batch_size) for e in errors} == {(*o, n) for o in outputs for n in (1, 2, 3, 8)}


def test_graphs_when_compared_then_one_skeleton_is_black_and_one_photo_dark(variant: Variant) -> None:
    specs = graph_specs(variant)
    skeletons, photos = (
        example_inputs(specs[graph], 3)[name]
        for graph, name in (("pose_encoder", "skeleton"), ("source_encoder", "photo"))
    )
    assert [picture.max() for picture in skeletons] == [127, 255, 0]
    assert [picture.max() for picture in photos] == [127, 255, 15]


@pytest.mark.parametrize("level", [0, 128, 255])
def test_source_encoder_when_the_photo_is_of_one_colour_then_close_to_torch(
    shipped: Path, networks: LoadedNetworks, level: int
) -> None:
    photo = np.full((1, 256, 256, 3), level, np.uint8)

    (found,) = graph_runner(shipped, read_manifest(shipped), "source_encoder")({"photo": photo})

    with torch.inference_mode():
        wanted = GRAPHS["source_encoder"](networks)(torch.from_numpy(photo)).numpy()
    # ONNX Runtime's norms lose digits where a channel is constant.
    assert np.abs(np.asarray(found) - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_graphs_when_compared_then_the_bounds_are_those_agreed(errors: list[GraphError]) -> None:
    assert (BATCH_SIZES, MAX_RELATIVE_ERRORS["fp32"], MAX_GREY_LEVELS["fp32"]) == ((1, 2, 3, 8), 1e-4, 1.0)
    assert {error.tolerance for error in errors if error.graph not in ("vae_decoder", *LOW_GRAPHS)} == {1e-4}
    assert {error.tolerance for error in errors if error.graph == LOW_STEP} == {1e-1}
    assert {error.tolerance for error in errors if error.graph == "vae_decoder"} == {1.0}
    assert {error.tolerance for error in errors if error.graph == LOW_DECODER} == {64.0}


def test_repository_when_built_anew_then_the_shipped_bytes(
    shipped: Path, variant: Variant, paths: WeightPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Where the command finds the weights it needs no names of theirs.
    if paths.weights:
        shutil.copy(paths.weights, tmp_path)
    build = ["build", "--variant", variant.name, "--low-precision", "int8", "--out", str(tmp_path), "--no-verify"]

    assert main(build) == 0

    built, expected = files(tmp_path), files(shipped)
    assert set(built) == set(expected)
    # What a verification found, seconds among it, is no part of what was built.
    for content in (built, expected):
        content[MANIFEST_NAME] = {**json.loads(content[MANIFEST_NAME]), "verification": {}}
    assert [path for path in built if built[path] != expected[path]] == [], "run `make export`"
    lines = capsys.readouterr().out.splitlines()
    traced = [line.split(":")[0] for line in lines if line.endswith(": loading its networks and tracing")]
    assert traced == list(manifest_specs(load_manifest(shipped)))
