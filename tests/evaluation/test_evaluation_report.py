"""The report of an evaluation: honest in words, complete in figures, with its pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.command import pictures, size_of
from xmdpt.evaluation.charts import save_chart
from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.key_points import KeyPoints
from xmdpt.evaluation.metrics import at_protocol_size
from xmdpt.evaluation.pairs import read_pairs
from xmdpt.evaluation.photos import FolderPhotos


@pytest.fixture(scope="module")
def report(evaluated: Path) -> dict:
    return json.loads((evaluated / "report.json").read_text())


def test_report_when_read_by_a_program_then_figures_of_every_pair(report: dict) -> None:
    assert report["num_pairs"] == 3
    assert report["model"]["variant"] == "tiny"
    assert report["sampling"] == {"num_steps": 3, "guidance": 2.0, "sampler": "ddim"}
    per_pair = ("ssim", "psnr", "ssim_window_51", "ssim_256x256", "psnr_256x256")
    for name in per_pair:
        assert report["metrics"][name] == pytest.approx(np.mean([row[name] for row in report["per_pair"]]))
    assert report["metrics"]["extractor_frechet_distance"] > 0
    assert not {"fid", "lpips"} & report["metrics"].keys()


def test_report_when_read_then_it_is_honest(evaluated: Path) -> None:
    page = (evaluated / "report.md").read_text()

    assert page.count("published, not measured here |") == 5
    for words in ("7.42", "6.72", "6.60", "6.3671", "0.1678", "0.7312", "8.0667", "0.1642", "0.7310"):
        assert f"| {words} " in page
    assert "this run: tiny, untrained" in page
    assert "UNTRAINED" in page
    assert "3 pairs; the papers use 8,570" in page
    assert "posterior's mode" in page
    assert "not FID" in page
    assert "No FID: it needs" in page


def test_report_when_written_then_its_pictures_are_there(evaluated: Path) -> None:
    # Four columns of 176 px and three rows of 256 px, with gaps of 4 px, under a head of 20 px.
    assert size_of(evaluated / "sheet_000.png") == (4 * 180 + 4, 3 * 260 + 24)
    assert size_of(evaluated / "metrics.png") == (700, 1100)
    assert not (evaluated / "sheet_001.png").exists()


def test_sheet_when_drawn_then_source_skeleton_target_and_picture_in_a_row(evaluated: Path, folder: Path) -> None:
    pairs = read_pairs(folder / "test_pairs.txt", seed=0)
    dataset = Dataset(folder, pairs, FolderPhotos(folder), KeyPoints(folder / "poses.csv"))
    shown = (dataset.source(pairs[1]), dataset.skeleton(pairs[1]), dataset.target(pairs[1]))
    with Image.open(evaluated / "sheet_000.png") as sheet:
        cells = [np.array(sheet.crop((4 + 180 * i, 24 + 260, 180 + 180 * i, 280 + 260))) for i in range(4)]

    for cell, picture in zip(cells, (*shown, pictures(evaluated)["00001.png"]), strict=True):
        assert np.array_equal(cell, at_protocol_size(picture))


def test_chart_when_there_are_many_pairs_or_infinite_figures_then_still_drawn(tmp_path: Path) -> None:
    save_chart({"ssim": list(np.linspace(0, 1, 100)), "psnr": [float("inf")] * 100}, tmp_path / "chart.png")

    assert size_of(tmp_path / "chart.png") == (700, 440)
