"""The model against numbers of the official classes, by the code that `make parity` runs."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from xmdpt.__main__ import main
from xmdpt.parity import parity
from xmdpt.parity.golden import Check, Outcome, Skipped

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return list(parity(GOLDEN, ("S",)))


def test_parity_when_compared_with_the_cut_then_everything_is_within_its_tolerance(outcomes: list[Outcome]) -> None:
    checks = [outcome for outcome in outcomes if isinstance(outcome, Check)]

    assert [check for check in checks if not check.is_within_tolerance] == []
    assert {check.tolerance for check in checks if "forward" in check.name} == {1e-5}


@pytest.mark.parametrize(
    "name",
    [
        "forward_S/cond.out",
        "forward_S/cfg_2.0_0.01.out",
        "forward_S_strong/cond.out",
        "forward_S_strong/masked.out",
        "sampling_S/ddim_eta0.samples",
        "sampling_S/rows.samples",
        "sampling_S/ddpm.samples",
        "schedule/full.alphas_cumprod",
        "schedule/50.timestep_map",
        "pose_render/pose_0",
        "train_S/masked.vb",
        "train_S/total_loss",
        "train_grads_S/norms of 193",
    ],
)
def test_parity_when_the_cut_is_read_then_this_is_compared(outcomes: list[Outcome], name: str) -> None:
    assert [type(outcome) for outcome in outcomes if outcome.name.split(",")[0] == name] == [Check]


def test_parity_when_the_cut_is_read_then_no_array_is_left_out(outcomes: list[Outcome]) -> None:
    skipped = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]

    assert {outcome.reason for outcome in skipped} == {"not in this folder"}
    assert "inputs" in {outcome.name for outcome in skipped}


def test_parity_when_another_size_is_asked_for_then_it_is_recomputed_and_the_rest_skipped(tmp_path: Path) -> None:
    np.savez(tmp_path / "forward_B.npz", **{"cond.y_final": np.ones((2, 768), np.float32), "other": np.ones(1)})

    check, *rest = [o for o in parity(tmp_path, ("B",)) if o.name.startswith("forward_B/")]

    assert isinstance(check, Check)
    assert np.isfinite(check.error)
    assert rest == [Skipped("forward_B/other", "not recomputed here")]


@pytest.mark.parametrize("shape", [(999,), (1001,), (1, 1000)])
def test_parity_when_a_shape_differs_then_it_fails(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "schedule.npz", **{"full.betas": np.ones(shape)})

    (check,) = [outcome for outcome in parity(tmp_path) if isinstance(outcome, Check)]

    assert not check.is_within_tolerance


def test_command_when_all_agrees_then_status_0_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("schedule", "pose_render"):
        shutil.copy(GOLDEN / f"{name}.npz", tmp_path)

    assert main(["parity", "--golden", str(tmp_path), "--variant", "s"]) == 0

    printed = capsys.readouterr().out
    assert re.search(r"^schedule/50\.betas +0\.0e\+00 +0e\+00 ok$", printed, re.MULTILINE)
    assert re.search(r"^forward_S +skipped: not in this folder$", printed, re.MULTILINE)
    assert re.search(r"^\d+ compared, 0 over tolerance$", printed, re.MULTILINE)


def test_command_when_one_number_is_wrong_then_status_1_and_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(GOLDEN / "schedule.npz") as golden:
        arrays = dict(golden)
    arrays["50.timestep_map"] = arrays["50.timestep_map"] + (np.arange(50) == 20)
    np.savez(tmp_path / "schedule.npz", **arrays)

    assert main(["parity", "--golden", str(tmp_path)]) == 1
    failed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.endswith("FAILED")]
    assert failed == ["schedule/50.timestep_map"]


@pytest.mark.parametrize("folder", ["absent", "."])
def test_command_when_there_is_nothing_to_compare_then_status_2(tmp_path: Path, folder: str) -> None:
    assert main(["parity", "--golden", str(tmp_path / folder)]) == 2
