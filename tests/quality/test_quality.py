"""`python -m xmdpt.training quality` at a toy size, on graphs of weights that nobody trained."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.built_repositories import demo_repository
from xmdpt.quality.figures import MEANINGS
from xmdpt.quality.held_out import HeldOutPairs
from xmdpt.quality.report import KINDS
from xmdpt.quality.scoring import Judges, score_pictures
from xmdpt.training.__main__ import main


def arguments(out: Path, *more: str) -> list[str]:
    repository = str(demo_repository())
    return [
        "quality",
        "--repository",
        repository,
        "--out",
        str(out),
        "--steps",
        "2",
        "--jobs",
        "2",
        "--batch",
        "2",
        *more,
    ]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run over two pairs, then over three; not to be changed."""
    out = tmp_path_factory.mktemp("out")
    for pairs in ("2", "3"):
        assert main(arguments(out, "--pairs", pairs, "--sheet", str(out / "images" / "sheet.png"))) == 0
    return out


@pytest.fixture(scope="module")
def report(measured: Path) -> dict:
    return json.loads((measured / "report.json").read_text())


def drawn(out: Path) -> np.ndarray:
    return np.stack([np.array(Image.open(path)) for path in sorted(out.glob("pictures/*/*.png"))])


def test_quality_when_run_then_every_kind_has_every_figure_of_every_pair(report: dict) -> None:
    assert report["num_pairs"] == 3
    assert list(report["means"]) == list(KINDS)
    for kind, figures in report["per_pair"].items():
        assert list(figures) == list(MEANINGS)
        for name, values in figures.items():
            assert len(values) == 3
            if not (kind == "truth" and name == "psnr"):
                assert report["means"][kind][name] == pytest.approx(np.mean(values), abs=1e-5)


def test_quality_when_run_then_floors_and_ceiling_stand_where_they_must(report: dict) -> None:
    means = report["means"]

    assert means["truth"]["ssim"] == pytest.approx(1)
    assert means["truth"]["silhouette_iou"] > 0.95
    assert means["truth"]["pck"] > 0.85
    # Noise of an untrained model is worse than either floor.
    for floor in ("source copied", "mean picture"):
        assert means["generated"]["psnr"] < means[floor]["psnr"]
        assert means["generated"]["feature_distance"] > means[floor]["feature_distance"]


def test_quality_when_training_scores_the_same_pictures_then_the_same_figures(
    measured: Path, report: dict, pairs: HeldOutPairs, judges: Judges
) -> None:
    figures = score_pictures(drawn(measured), pairs.truths, judges)

    for name, values in figures.columns().items():
        assert report["per_pair"]["generated"][name] == pytest.approx(values.tolist(), abs=1e-4)


def test_quality_when_run_with_more_pairs_then_only_those_are_drawn(measured: Path, report: dict) -> None:
    assert report["pictures"] == {"num_made": 1, "num_kept": 2, "num_foreign": 0}
    assert len(drawn(measured)) == 3


def test_quality_when_done_then_its_pictures_are_there(measured: Path) -> None:
    assert (measured / "images" / "sheet.png").read_bytes() == (measured / "demo_sheet.png").read_bytes()
    for name in ("figures.png", "nearest_truth.png"):
        assert f"![{name}]({name})" in (measured / "report.md").read_text()
        assert (measured / name).stat().st_size > 0


def test_quality_when_there_is_no_repository_then_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "--repository", str(tmp_path), "--out", str(tmp_path / "out")]) == 2

    assert "MANIFEST.json" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--pairs", "0"), ("--steps", "1"), ("--jobs", "two"), ("--seed", "-1")])
def test_quality_when_an_option_is_out_of_range_then_it_is_refused(
    option: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments(tmp_path, *option))

    assert stopped.value.code == 2
    assert option[0] in capsys.readouterr().err
