"""`python -m xmdpt.pose_estimation evaluate`: its figures, its report, and the joints that it reads from skeletons."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xmdpt.persons.domain import DEMO, VARIED
from xmdpt.persons.render import render_pair
from xmdpt.pose_estimation.__main__ import main
from xmdpt.pose_estimation.accuracy.cases import Case, rendered_persons
from xmdpt.pose_estimation.accuracy.measure import Result, figures_of, joint_shares
from xmdpt.pose_estimation.accuracy.report import write_report
from xmdpt.pose_estimation.accuracy.skeletons import key_points_in
from xmdpt.skeleton import MISSING, draw_skeleton

ROOT = Path(__file__).resolve().parents[2]
TRUE = np.stack([np.arange(18.0) * 10 + 20] * 2, axis=1)


def a_result(found: np.ndarray, true: np.ndarray = TRUE, milliseconds: float = 30) -> Result:
    return Result(Case("a", np.zeros((256, 256, 3), np.uint8), 176 / 256, true), found, milliseconds)


def test_skeleton_when_read_back_then_the_joints_that_were_drawn() -> None:
    distances, num_seen, num_read = [], 0, 0
    for seed in range(15):
        (view,) = render_pair(seed, VARIED, "held_out", num_views=1).views
        points = key_points_in(draw_skeleton(view.key_points))

        is_read = (points != MISSING).any(axis=1)
        assert not (is_read & ~view.visible).any()
        distances.extend(np.linalg.norm(points - view.key_points, axis=1)[is_read])
        num_seen, num_read = num_seen + view.visible.sum(), num_read + is_read.sum()

    assert np.median(distances) < 1
    assert max(distances) < 3.5
    assert num_read >= 0.98 * num_seen


def test_skeleton_when_nothing_is_drawn_then_all_missing() -> None:
    assert (key_points_in(np.zeros((256, 256, 3), np.uint8)) == MISSING).all()


def test_figures_when_points_are_off_missed_and_invented_then_each_counts_where_it_belongs() -> None:
    found, true = TRUE.copy(), TRUE.copy()
    found[0] += [3, 4]
    found[1] += [30, 40]
    found[2] = MISSING
    true[3] = MISSING

    figures = figures_of([a_result(found, true), a_result(np.full((18, 2), MISSING), true, milliseconds=50)])

    assert (figures.num_photos, figures.num_found) == (2, 1)
    assert figures.pck == pytest.approx(15 / 34)
    assert figures.median_error == 0
    assert figures.mean_error == pytest.approx((5 + 50) / 16)
    assert figures.missed_share == pytest.approx(18 / 34)
    assert figures.invented_share == pytest.approx(1 / 17)
    assert (figures.median_ms, figures.mean_ms) == (40, 40)


def test_joints_when_one_is_off_then_its_share_alone_is_lower() -> None:
    found, true = TRUE.copy(), TRUE.copy()
    found[4] += 100
    true[7] = MISSING

    shares = joint_shares([a_result(found, true), a_result(true, true)])

    assert shares[4] == 0.5
    assert np.isnan(shares[7])
    assert np.nansum(shares) == 16.5


def test_persons_when_rendered_again_then_the_same_and_of_their_domain() -> None:
    first, again = (list(rendered_persons(2, DEMO)) for _ in range(2))

    assert [case.name for case in first] == ["demo 0", "demo 1"]
    assert all((one.photo == other.photo).all() for one, other in zip(first, again, strict=True))
    assert not (first[0].photo == first[1].photo).all()


def test_report_when_a_demand_is_missed_then_it_says_so(tmp_path: Path) -> None:
    text, is_met = write_report({"demo": [a_result(TRUE + 100)]}, tmp_path)

    assert not is_met
    assert "PCK@0.05 0.000, at least 0.93: MISSED" in text


def test_command_when_run_on_persons_then_a_report_with_its_pictures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xmdpt.pose_estimation", "evaluate", "--persons", "24", "--out", str(tmp_path)]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert "| demo | 24 | 24 | " in run.stdout
    assert "24/24" in run.stderr
    report = (tmp_path / "report.md").read_text()
    assert report in run.stdout
    assert ": met" in report
    for name in ("errors.png", "worst_demo.png"):
        assert f"({name})" in report
        Image.open(tmp_path / name).verify()


def test_command_when_run_on_samples_then_their_skeletons_are_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in rendered_persons(3, DEMO):
        folder = tmp_path / "samples" / case.name
        folder.mkdir(parents=True)
        Image.fromarray(case.photo).save(folder / "target.png")
        Image.fromarray(draw_skeleton(case.key_points)).save(folder / "pose.png")

    status = main(["evaluate", "--samples", str(tmp_path / "samples"), "--out", str(tmp_path / "out")])

    assert status == 0
    shown = capsys.readouterr().out
    assert "| samples | 3 | 3 | " in shown
    assert "median error" in shown
    assert "demo" not in shown


def test_command_when_there_are_no_samples_then_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--samples", str(tmp_path), "--out", str(tmp_path / "out")]) == 2

    error = capsys.readouterr().err
    assert "holds no folder with target.png and pose.png" in error
    assert error.count("\n") == 1


def test_command_when_a_sample_is_damaged_then_one_line_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for name in ("target.png", "pose.png"):
        (folder / name).write_bytes(b"no picture")

    assert main(["evaluate", "--samples", str(tmp_path), "--out", str(tmp_path / "out")]) == 2

    assert str(folder) in capsys.readouterr().err


def test_command_when_nothing_can_be_written_then_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("a file")

    assert main(["evaluate", "--persons", "1", "--out", str(tmp_path / "out")]) == 1

    assert str(tmp_path / "out") in capsys.readouterr().err
