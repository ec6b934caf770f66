"""`python -m export build` of official files: one command to a verified repository, or one line that says why not."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from export.__main__ import main
from export.graphs import GRAPHS
from tests.parity.damaged_files import Command
from tests.parity.official_files import write_files
from xmdpt.sampler import SAMPLERS
from xmdpt.spec import VARIANTS

Files = dict[str, Path]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Files of tiny in the official layouts."""
    return write_files(VARIANTS["tiny"], tmp_path_factory.mktemp("official"))


@pytest.fixture
def files(given: Files, tmp_path: Path) -> Files:
    """A copy, to be damaged."""
    shutil.copytree(given["weights"].parent, tmp_path / "official")
    return {option: tmp_path / "official" / path.name for option, path in given.items()}


def arguments(files: Files) -> list[str]:
    return [word for option, path in files.items() for word in (f"--{option}", str(path))]


def test_build_when_of_official_files_then_a_verified_repository_that_names_them(
    given: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "models", tmp_path / "page.md"
    page.write_text("<!-- verified: begin; `python -m export verify --page` -->\n<!-- verified: end -->\n")
    build = ["build", "--variant", "tiny", *arguments(given), "--out", str(out), "--half-weights"]

    status = main([*build, "--batch-sizes", "1", "2", "--preset-pictures", "1", "--page", str(page)])

    printed = capsys.readouterr().out
    manifest = json.loads((out / "MANIFEST.json").read_text())
    weights, found = manifest["weights"], manifest["verification"]
    assert status == 0
    assert (set(found["graphs"]), set(found["runs"])) == (set(GRAPHS), set(SAMPLERS))
    assert page.read_text().count("| tiny | fp32 |") == len(GRAPHS) + len(SAMPLERS)
    assert (weights["is_trained"], weights["is_rounded"]) == (True, True)
    assert list(weights["files"]) == sorted(["xmdpt", "pose_extractor", "photo_extractor", "vae"])
    assert all(file["sha256"] in printed for file in weights["files"].values())
    assert "weights are rounded to float16" in printed
    assert len(re.findall(r"^\w+: [\d,]+ bytes, sha256 \w{12}, \d+\.\d s$", printed, flags=re.MULTILINE)) == 6
    assert len(re.findall(r"^\w+ +fp32 +[12] .* ok$", printed, flags=re.MULTILINE)) == 14
    assert printed.endswith("every graph agrees with torch\n")


def cut_short(files: Files) -> Path:
    path = files["dino"] / "dinov2_vitg14_pretrain.pth"
    path.write_bytes(path.read_bytes()[:-1000])
    return path


def missing(files: Files) -> Path:
    path = files["dino"] / "dinov2_vitb14_pretrain.pth"
    path.unlink()
    return path


def swapped(files: Files) -> Path:
    first, second = (files["dino"] / f"dinov2_vit{size}14_pretrain.pth" for size in "bg")
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return first


def hostile(files: Files) -> Path:
    torch.save({"pos_embed": Command(files["weights"].with_name("touched"))}, files["weights"])
    return files["weights"]


def of_another_size(files: Files) -> Path:
    state = torch.load(files["weights"], weights_only=True)
    torch.save(
        {name: torch.zeros(1, 256, 384) if name == "pos_embed" else t for name, t in state.items()}, files["weights"]
    )
    return files["weights"]


def without_config(files: Files) -> Path:
    (files["vae"] / "config.json").unlink()
    return files["vae"] / "config.json"


def without_weights(files: Files) -> Path:
    (files["vae"] / "diffusion_pytorch_model.safetensors").unlink()
    return files["vae"]


@pytest.mark.parametrize(
    "damage", [cut_short, missing, swapped, hostile, of_another_size, without_config, without_weights]
)
def test_build_when_a_file_is_wrong_then_2_and_one_line_with_its_name(
    files: Files, tmp_path: Path, damage: Callable[[Files], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = damage(files), tmp_path / "models"

    assert main(["build", "--variant", "tiny", *arguments(files), "--out", str(out)]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m export: ")
    assert str(path) in line
    assert not out.exists()
    assert not files["weights"].with_name("touched").exists()
