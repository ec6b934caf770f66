"""`python -m xmdpt.training render` fills a folder, goes on where it stopped, and refuses what does not fit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from xmdpt.evaluation.mistakes import InputError
from xmdpt.persons.domain import DEMO
from xmdpt.persons.layers import Material
from xmdpt.persons.render import render_pair
from xmdpt.training.__main__ import main
from xmdpt.training.pairs import PairsOnTheFly, RenderedPairs
from xmdpt.training.rendered_folder import read_png

SEED = 5


def render(out: Path, pairs: int, *more: str) -> int:
    settings = ["--domain", "demo", "--seed", str(SEED), "--jobs", "2"]
    return main(["render", "--out", str(out), "--pairs", str(pairs), *settings, *more])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs; not to be changed."""
    folder = tmp_path_factory.mktemp("rendered")
    assert render(folder, 3) == 0
    return folder


@pytest.fixture
def copied(rendered: Path, tmp_path: Path) -> Path:
    for name, data in contents(rendered).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_render_when_done_then_files_and_lines_are_those_of_the_renderer(rendered: Path) -> None:
    lines = [json.loads(line) for line in (rendered / "pairs.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [SEED, SEED + 1, SEED + 2]
    pair = render_pair(SEED + 1, DEMO)
    line = lines[1]
    assert (line["identity"], line["domain"], line["split"]) == (pair.person.identity, "demo", "train")
    for which, view in zip(("source", "target"), pair.views, strict=True):
        np.testing.assert_array_equal(read_png(rendered / line[which]), view.picture)
        np.testing.assert_array_equal(read_png(rendered / line[f"{which}_materials"]), view.materials)
        np.testing.assert_allclose(line[f"{which}_key_points"], view.key_points, atol=0.006)
        assert line[f"{which}_visible"] == view.visible.tolist()
    assert len(contents(rendered)) == 1 + 3 * 4


def test_render_when_stopped_in_the_middle_then_goes_on_to_the_same_folder(
    rendered: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (copied / "pairs.jsonl").read_bytes().splitlines(keepends=True)
    # Killed while it wrote the third line; somebody deleted a picture of the first pair.
    (copied / "pairs.jsonl").write_bytes(lines[0] + lines[1] + lines[2][:50])
    (copied / "pictures" / "000000_1.png").unlink()
    untouched = copied / "pictures" / "000001_0.png"
    before = untouched.stat().st_mtime_ns
    assert render(copied, 3) == 0
    assert contents(copied) == contents(rendered)
    assert untouched.stat().st_mtime_ns == before
    assert "2 pairs rendered, 1 kept" in capsys.readouterr().out


def test_render_when_all_is_there_then_nothing_is_done(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(copied)
    assert render(copied, 2) == 0
    assert contents(copied) == before
    assert "0 pairs rendered, 2 kept" in capsys.readouterr().out


def test_render_when_the_folder_is_of_another_run_then_refused_in_one_line(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert render(copied, 3, "--split", "held_out") == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert "--split train" in errors[0]


def test_render_when_a_line_is_damaged_then_told_which(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "pairs.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"index": 1', b'"index": 7'))
    assert render(copied, 3) == 2
    assert "pairs.jsonl:2: not pair 1" in capsys.readouterr().err


def test_render_when_the_folder_cannot_be_made_then_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert render(tmp_path / "file", 1) == 1
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--pairs", "0"), ("--pairs", "many"), ("--seed", "-1"), ("--domain", "real"), ("--split", "all"),
        ("--jobs", "0"),
    ],
)  # fmt: skip
def test_render_when_an_argument_is_bad_then_status_2_and_nothing_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    with pytest.raises(SystemExit) as left:
        render(tmp_path / "out", 1, option, value)
    assert left.value.code == 2
    assert option in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_render_when_run_as_a_program_then_needs_no_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from xmdpt.training.__main__ import main; import xmdpt.training.render; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_data_set_when_of_a_folder_or_on_the_fly_then_the_same_items(rendered: Path) -> None:
    from_folder, on_the_fly = RenderedPairs(rendered), PairsOnTheFly(3, DEMO, seed=SEED)
    assert len(from_folder) == len(on_the_fly) == 3
    for index in range(3):
        for name, ours, theirs in zip(from_folder[index]._fields, from_folder[index], on_the_fly[index], strict=True):
            assert ours.dtype == theirs.dtype
            # The folder's key points are rounded, which may move a limb's edge by a pixel.
            if name == "skeleton":
                assert (ours != theirs).float().mean() < 0.01
            else:
                np.testing.assert_allclose(ours, theirs, atol=0.006)
    with pytest.raises(IndexError):
        on_the_fly[3]


def test_data_set_when_loaded_in_batches_then_stacked(rendered: Path) -> None:
    batch = next(iter(DataLoader(RenderedPairs(rendered), batch_size=2)))
    assert batch.source.shape == batch.skeleton.shape == (2, 256, 256, 3)
    assert batch.target_key_points.shape == (2, 18, 2)
    assert (batch.target_materials != Material.BACKGROUND).any()


def test_data_set_when_there_is_no_folder_or_a_file_is_missing_then_told(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(InputError, match="training render"):
        RenderedPairs(tmp_path / "nowhere")
    (copied / "materials" / "000002_1.png").unlink()
    with pytest.raises(InputError, match="000002_1"):
        RenderedPairs(copied)[2]
