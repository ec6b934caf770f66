"""A repository that is not what its manifest says is refused at the start, in one readable line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.bootstrap.backend import served_model
from service.domain.errors import ModelRepositoryError
from service.settings import Settings
from xmdpt.presets import Preset
from xmdpt.repository import repository_digest

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models"))


def flip_one_byte(root: Path) -> None:
    path = root / "canet" / "1" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap_two_graphs(root: Path) -> None:
    first, second = root / "canet/1/model.onnx", root / "pose_encoder/1/model.onnx"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def edit_manifest(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / "MANIFEST.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return edit


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_one_byte, "SHA-256"),
        (swap_two_graphs, "SHA-256"),
        (lambda root: (root / "tdnet_step/config.pbtxt").write_text("name: 'other'"), "config.pbtxt"),
        (lambda root: (root / "vae_decoder/1/model.onnx").unlink(), "vae_decoder"),
        (lambda root: (root / "MANIFEST.json").unlink(), "XMDPT_MODEL_REPOSITORY"),
        (lambda root: (root / "MANIFEST.json").write_text("{"), "not JSON"),
        (lambda root: (root / "MANIFEST.json").write_bytes(b" " * 1_000_001), "larger than"),
        (lambda root: (root / "MANIFEST.json").write_text("[" * 100_000), "not JSON"),
        (lambda root: (root / "MANIFEST.json").write_text("[]"), "not of the form"),
        (edit_manifest(lambda m: m["graphs"].pop("canet")), "canet"),
        (edit_manifest(lambda m: m["graphs"]["canet"].update(sha256=1)), "canet must state the digest"),
        (edit_manifest(lambda m: m["graphs"]["canet"].update(path="../model.onnx")), "the file of canet is not"),
        (edit_manifest(lambda m: m["graphs"]["canet"].update(max_batch_size=0)), "max_batch_size of canet"),
        (edit_manifest(lambda m: m["graphs"]["canet"].pop("max_batch_size")), "MANIFEST.json"),
        (edit_manifest(lambda m: m.update(variant="huge")), "huge"),
        (edit_manifest(lambda m: m.update(format=1)), "format is 1"),
        (edit_manifest(lambda m: m.update(prediction="v\n")), "prediction is 'v"),
        (edit_manifest(lambda m: m.update(model_digest="sha256:0")), "model_digest"),
        (edit_manifest(lambda m: m["weights"].update(is_trained=1)), "weights must state"),
    ],
    ids=[
        "flipped byte",
        "swapped graphs",
        "config",
        "graph gone",
        "no manifest",
        "not JSON",
        "too long",
        "too deep",
        "a list",
        "no entry",
        "no digest",
        "file elsewhere",
        "no rows",
        "rows unsaid",
        "unknown variant",
        "other format",
        "other prediction",
        "other model digest",
        "odd weights",
    ],
)
def test_repository_when_damaged_then_refused_in_one_line(
    copy: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(copy)

    with pytest.raises(ModelRepositoryError) as error:
        open_model_repository(copy)

    assert error.value.detail.startswith(f"XMDPT_MODEL_REPOSITORY: {copy}/")
    assert words in error.value.detail
    assert "\n" not in error.value.detail


def test_backend_when_a_graph_has_other_inputs_than_the_contract_then_refused(copy: Path) -> None:
    import hashlib

    swap_two_graphs(copy)

    def accept_the_swap(manifest: dict) -> None:
        for name in ("canet", "pose_encoder"):
            content = (copy / name / "1" / "model.onnx").read_bytes()
            manifest["graphs"][name]["sha256"] = hashlib.sha256(content).hexdigest()
        manifest["model_digest"] = repository_digest(manifest["graphs"])

    edit_manifest(accept_the_swap)(copy)

    with pytest.raises(ModelRepositoryError, match="contract"):
        OnnxBackend(open_model_repository(copy))


def test_repository_when_shipped_then_it_opens_and_says_what_its_manifest_says() -> None:
    manifest = json.loads((SHIPPED / "MANIFEST.json").read_text())

    repository = open_model_repository(SHIPPED)

    assert (repository.variant.name, repository.model_digest) == (manifest["variant"], manifest["model_digest"])
    assert repository.is_trained == manifest["weights"]["is_trained"]
    assert repository.weights_origin == manifest["weights"]["origin"]
    assert repository.max_batch_sizes == {name: entry["max_batch_size"] for name, entry in manifest["graphs"].items()}


def test_repository_when_its_graphs_run_elsewhere_then_its_manifest_is_enough(tmp_path: Path) -> None:
    shutil.copy(SHIPPED / "MANIFEST.json", tmp_path)
    shipped = open_model_repository(SHIPPED)

    repository = open_model_repository(tmp_path, has_files=False)

    assert (repository.model_digest, repository.graph_digests) == (shipped.model_digest, shipped.graph_digests)
    assert repository.graph_digests.keys() == repository.specs.keys()
    with pytest.raises(ModelRepositoryError, match="No such file"):
        open_model_repository(tmp_path)


def with_presets(root: Path, presets: object) -> Settings:
    shutil.copy(SHIPPED / "MANIFEST.json", root)
    edit_manifest(lambda manifest: manifest["verification"].update(presets=presets))(root)
    return Settings(model_repository=root)


FIGURES = {"psnr_db": 52.5, "least_psnr_db": 50, "ssim": 0.9982, "num_pictures": 32}


def test_model_when_a_newer_version_recorded_more_then_the_presets_and_figures_that_are_known(tmp_path: Path) -> None:
    equal = {**FIGURES, "psnr_db": None, "least_psnr_db": None}

    model = served_model(with_presets(tmp_path, {"sketch": {}, "fast": {**FIGURES, "lpips": 0.01}, "draft": equal}))

    assert {preset: vars(quality) for preset, quality in model.quality.items()} == {
        Preset.FAST: FIGURES,
        Preset.DRAFT: equal,
    }


@pytest.mark.parametrize(
    ("presets", "place"),
    [
        ([], "presets"),
        ({"fast": None}, "presets.fast.psnr_db"),
        ({"fast": {**FIGURES, "psnr_db": "52.5"}}, "presets.fast.psnr_db"),
        ({"fast": {**FIGURES, "ssim": None}}, "presets.fast.ssim"),
        ({"fast": {**FIGURES, "ssim": float("nan")}}, "presets.fast.ssim"),
        ({"fast": {**FIGURES, "num_pictures": True}}, "presets.fast.num_pictures"),
        ({"fast": {"psnr_db": 52.5}}, "presets.fast.least_psnr_db"),
    ],
    ids=["a list", "nothing", "text", "null", "no number", "true", "missing"],
)
def test_model_when_figures_of_presets_are_none_then_refused_by_name(
    tmp_path: Path, presets: object, place: str
) -> None:
    with pytest.raises(ModelRepositoryError, match=f"verification.{place} is missing or not what"):
        served_model(with_presets(tmp_path, presets))
