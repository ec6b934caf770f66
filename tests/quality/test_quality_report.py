"""The quality report of figures made by hand: complete, and honest in words."""

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from xmdpt.evaluation.generators import Model, Sampling
from xmdpt.evaluation.pictures import Tally
from xmdpt.quality.charts import save_box_plots, save_nearest_truths
from xmdpt.quality.figures import MEANINGS, Figures
from xmdpt.quality.nearest import NearestTruths
from xmdpt.quality.report import GENERATED, KINDS, REBUILT, SOURCE, TRUTH, Run, markdown, notes, report_json

NEAREST = {
    GENERATED: NearestTruths(np.array([[0.1, 0.2], [0.3, 0.4]])),
    SOURCE: NearestTruths(np.array([[0.1, 0.2], [0.4, 0.3]])),
}


def figures() -> dict[str, Figures]:
    found = {
        kind: Figures(**{name: np.array([place + 0.125, place + 0.375]) for name in MEANINGS})
        for place, kind in enumerate(KINDS)
    }
    found[TRUTH].psnr[:] = math.inf
    found[GENERATED].pck[0] = math.nan
    return found


def run(is_trained: bool = True, num_foreign: int = 0) -> Run:
    model = Model("demo", "onnxruntime", "sha256:abc", "trained by us", is_trained)
    return Run(model, Sampling(20, 2.5), 7, "demo", [3, 3], Tally(1, 1, num_foreign), "some weights", 12.3)


def test_report_when_read_by_people_then_every_kind_has_every_figure() -> None:
    page = markdown(run(), figures(), NEAREST, ["sheet.png"])

    for kind in KINDS:
        assert f"| {kind} " in page
    for meaning in MEANINGS.values():
        assert f"{meaning.title} ↑" in page if meaning.is_better_high else f"{meaning.title} ↓" in page
        assert f"* {meaning.title}: {meaning.words}" in page
    assert "ddim, 20 steps, guidance 2.5, seeds 7 to 8" in page
    assert "any of the other 1, of the first 2 pictures: generated 1, source copied 2." in page
    assert "| 1                         | 0             | 2 " in page
    assert "![sheet.png](sheet.png)" in page
    assert "UNTRAINED" not in page


def test_report_when_figures_are_missing_or_infinite_then_signs_stand_for_them() -> None:
    found = figures()
    found[GENERATED].garment_colour_error[:] = math.nan

    page = markdown(run(), found, NEAREST, [])

    of_truth = next(line for line in page.splitlines() if line.startswith("| truth "))
    of_generated = next(line for line in page.splitlines() if line.startswith("| generated "))
    assert of_truth.split("|")[2].strip() == "∞"
    assert of_generated.split("|")[-2].strip() == "-"
    # One of two pictures has no PCK: the mean is the other's.
    assert of_generated.split("|")[6].strip() == "0.3750"


def test_notes_when_there_is_something_to_know_then_it_is_said() -> None:
    found = figures()
    del found[REBUILT]

    words = " ".join(notes(run(is_trained=False, num_foreign=2), found))

    assert "UNTRAINED" in words
    assert "2 pairs of 1 bodies, none of which training sees" in words
    assert "on true pictures silhouettes reach 4.250" in words
    assert "No autoencoder" in words
    assert "2 pictures were already there" in words
    assert "SSIM misleads" in words


def test_report_when_read_by_a_program_then_means_and_every_pair() -> None:
    found = json.loads(report_json(run(), figures(), NEAREST))

    assert found["means"][GENERATED]["psnr"] == 0.25
    assert found["means"][TRUTH]["psnr"] is None
    assert found["per_pair"][GENERATED]["pck"] == [None, 0.375]
    assert found["nearest_truth"][GENERATED]["num_own"] == 1
    assert found["nearest_truth"][GENERATED]["ranks"] == [1, 2]
    assert found["nearest_truth"][SOURCE]["num_own"] == 2
    assert (found["num_pairs"], found["num_bodies"], found["bodies"]) == (2, 1, [3, 3])
    assert found["sampling"] == {"num_steps": 20, "guidance": 2.5, "sampler": "ddim"}


def test_charts_when_figures_are_missing_or_infinite_then_still_drawn(tmp_path: Path) -> None:
    save_box_plots(figures(), GENERATED, tmp_path / "figures.png")
    save_nearest_truths(NEAREST[GENERATED], tmp_path / "nearest.png")

    with Image.open(tmp_path / "figures.png") as chart, Image.open(tmp_path / "nearest.png") as nearest:
        assert chart.size == (1260, 680)
        assert nearest.size == (560, 480)
