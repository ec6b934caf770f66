"""`python -m xmdpt.training evaluate` draws and scores; it goes on where it stopped."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.built_repositories import tiny_networks
from tests.evaluation.command import arguments, pictures
from tests.parity.official_files import write_files
from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.frechet import frechet_distance
from xmdpt.evaluation.inception import InceptionFeatures
from xmdpt.evaluation.key_points import KeyPoints
from xmdpt.evaluation.metrics import at_protocol_size
from xmdpt.evaluation.pairs import read_pairs
from xmdpt.evaluation.photos import FolderPhotos
from xmdpt.evaluation.reference_photos import kept_statistics
from xmdpt.nn.reference import reference_picture
from xmdpt.spec import VARIANTS
from xmdpt.training.__main__ import main


def test_evaluate_when_the_data_is_a_folder_or_an_lmdb_then_the_pictures_are_identical(
    evaluated: Path, pidm: Path, tmp_path: Path
) -> None:
    assert main(arguments(pidm, tmp_path)) == 0

    ours, theirs = pictures(evaluated), pictures(tmp_path)
    assert list(ours) == list(theirs) == ["00000.png", "00001.png", "00002.png"]
    for name, picture in ours.items():
        assert picture.shape == (256, 256, 3)
        assert np.array_equal(picture, theirs[name])


def test_evaluate_when_in_torch_then_the_pictures_are_the_graphs(
    evaluated: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key_points = str(folder / "poses.jsonl")
    assert main(arguments(folder, tmp_path, "--key-points", key_points, "--engine", "torch", "--limit", "1")) == 0

    drawn = pictures(tmp_path)["00000.png"].astype(int)
    assert np.abs(drawn - pictures(evaluated)["00000.png"]).max() <= 1
    assert "UNTRAINED" in capsys.readouterr().out


def test_evaluate_when_in_torch_with_official_files_then_theirs_are_the_weights(
    evaluated: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_files(VARIANTS["tiny"], tmp_path / "files")
    named = [word for option, path in files.items() for word in (f"--{option}", str(path))]
    options = ("--key-points", str(folder / "poses.jsonl"), "--engine", "torch", "--limit", "1", *named)

    assert main(arguments(folder, tmp_path / "out", *options)) == 0

    assert "UNTRAINED" not in capsys.readouterr().out
    assert f"xmdpt {files['weights'].name}" in (tmp_path / "out" / "report.md").read_text()
    drawn = pictures(tmp_path / "out")["00000.png"].astype(int)
    assert np.abs(drawn - pictures(evaluated)["00000.png"]).mean() > 1


def test_evaluate_when_drawn_in_a_batch_then_each_picture_is_the_references_with_its_own_seed(
    folder: Path, tmp_path: Path
) -> None:
    options = ("--key-points", str(folder / "poses.csv"), "--limit", "2", "--seed", "5", "--sampler", "dpmpp_2m")
    assert main(arguments(folder, tmp_path, *options)) == 0

    pairs = read_pairs(folder / "test_pairs.txt", seed=5)[:2]
    dataset = Dataset(folder, pairs, FolderPhotos(folder), KeyPoints(folder / "poses.csv"))
    for pair, picture in zip(pairs, pictures(tmp_path).values(), strict=True):
        shown = (dataset.source(pair), dataset.skeleton(pair))
        expected = reference_picture(tiny_networks(), *shown, 5 + pair.index, 3, 2.0, "dpmpp_2m")
        assert np.abs(picture.astype(int) - expected).max() <= 1


def test_evaluate_when_run_again_then_nothing_is_drawn_again(
    evaluated: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = arguments(folder, tmp_path, "--key-points", str(folder / "poses.csv"))
    assert main([*call, "--limit", "2"]) == 0
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "pictures").iterdir()}
    capsys.readouterr()

    assert main(call) == 0

    assert "1 pictures drawn, 2 kept" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in first} == first
    # A pair's seed is its own, not its place in a batch: drawn in two runs, the pictures are those of one.
    for name, picture in pictures(evaluated).items():
        assert np.abs(picture.astype(int) - pictures(tmp_path)[name]).max() <= 1


def test_evaluate_when_a_picture_comes_from_elsewhere_then_it_is_scored_and_the_report_says_so(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (256, 256), "white").save(tmp_path / "pictures" / "00000.png")

    assert main(arguments(folder, tmp_path, "--key-points", str(folder / "poses.csv"), "--limit", "1")) == 0

    found = json.loads((tmp_path / "report.json").read_text())
    assert found["pictures"] == {"num_made": 0, "num_kept": 1, "num_foreign": 1}
    assert any("not drawn by this program" in note for note in found["notes"])
    assert found["metrics"]["ssim"] > 0.5


def test_evaluate_when_weights_are_brought_then_fid_and_lpips(
    folder: Path,
    inception_file: Path,
    lpips_files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [line.split(",")[0] for line in (folder / "test_pairs.txt").read_text().split()]
    (tmp_path / "train.lst").write_text("\n".join(names) + "\n")
    brought = ["--inception", str(inception_file), "--lpips", *map(str, lpips_files)]
    call = arguments(folder, tmp_path / "out", "--key-points", str(folder / "poses.csv"), "--limit", "2", *brought)

    assert main([*call, "--fid-against", str(tmp_path / "train.lst")]) == 0

    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["num_fid_reference"] == 3
    features = InceptionFeatures(inception_file)
    kept = kept_statistics(tmp_path / "out" / "fid_statistics.npz", features)
    drawn = features(np.stack([at_protocol_size(picture) for picture in pictures(tmp_path / "out").values()]))
    fid = frechet_distance(drawn.mean(axis=0), np.cov(drawn, rowvar=False), kept.mean, kept.covariance)
    assert found["metrics"]["fid"] == pytest.approx(fid, rel=1e-3)
    assert found["metrics"]["lpips"] == pytest.approx(np.mean([row["lpips"] for row in found["per_pair"]]))
    assert "FID compares with 3 photos; the papers with the 48,674 of train.lst" in capsys.readouterr().out
