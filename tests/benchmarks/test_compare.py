"""`python -m benchmarks.compare`: two trees take turns, and what changed is told from what did not."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.compare.__main__ import COMPARISON, TABLE, main
from benchmarks.compare.change import Change, changes_of, table_of
from benchmarks.figures import Figure
from tests.benchmarks.test_report import a_result

ROOT = Path(__file__).resolve().parents[2]


def git(*words: str, **environment: str) -> str:
    ended = subprocess.run(
        ["git", *words], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.strip()


@pytest.fixture(autouse=True)
def own_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test writes stays out of the checkout's own objects, which it reads."""
    kept = ROOT / git("rev-parse", "--git-path", "objects")
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(kept))
    own = tmp_path / "objects"
    own.mkdir()
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(own))


@pytest.fixture
def this_tree(tmp_path: Path) -> str:
    """A commit of the files as they are here, which no branch holds."""
    index = {"GIT_INDEX_FILE": str(tmp_path / "index")}
    git("add", "--all", **index)
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return git(*author, "commit-tree", "-m", "this tree", git("write-tree", **index))


def a_change(base: list[float], now: list[float]) -> Change:
    """Of one value a round."""
    return Change("B1", [Figure("a step", [each], "ms") for each in base], [Figure("a step", [each]) for each in now])


def test_compare_when_both_trees_are_the_same_then_a_row_for_each_figure_and_nothing_stays(
    tmp_path: Path, this_tree: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main([this_tree, "--only", "B21", "--quick", "--rounds", "1", "--out", str(out)]) == 0

    found = json.loads((out / COMPARISON).read_text())
    sizes = [change for change in found["changes"] if change["name"].startswith("bytes")]
    assert (found["base"], found["unpaired"]) == (this_tree, [])
    assert [change["ratio"] for change in sizes] == [1.0, 1.0, 1.0]
    assert {change["key"] for change in found["changes"]} == {"B21"}
    assert found["occasions"]["base"]["commit"] == this_tree[:10]
    report = (out / TABLE).read_text()
    assert "| B21 | writing png |" in report
    assert "its figures mean nothing" in report
    assert "round 1 of 1, now" in capsys.readouterr().out
    assert not (out / "base").exists()
    assert str(out) not in git("worktree", "list")


def test_compare_when_there_is_no_such_commit_then_2_and_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["no-such-branch", "--out", str(tmp_path)]) == 2

    assert "no-such-branch: no commit of this checkout" in capsys.readouterr().err


def test_compare_when_the_base_has_no_benchmarks_then_1_and_nothing_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit-tree", "-m", "", EMPTY_TREE)

    assert main([empty, "--quick", "--out", str(tmp_path)]) == 1

    assert "base: has no benchmarks" in capsys.readouterr().err
    assert not (tmp_path / "base").exists()


EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_change_when_every_round_is_beyond_all_of_the_base_then_it_is_marked() -> None:
    assert a_change([8, 9, 8.5], [5, 6, 7]).side == "lower"
    assert a_change([8, 9, 8.5], [9.1, 12, 10]).side == "higher"
    assert a_change([8, 9, 8.5], [5, 6, 8.1]).side == ""


def test_change_when_there_are_too_few_rounds_then_it_is_not_marked() -> None:
    assert a_change([8, 9], [1, 2]).side == ""


def test_change_when_ratios_are_taken_then_within_a_round_and_the_middle_one_counts() -> None:
    change = a_change([2, 4, 10], [4, 4, 5])

    assert change.ratios == [2.0, 1.0, 0.5]
    assert change.ratio == 1.0


def test_change_when_the_base_is_0_then_1_for_the_same_and_no_number_for_more() -> None:
    change = a_change([0, 0], [0, 3])

    assert change.ratios == [1.0, float("inf")]
    assert change.to_json()["ratios"] == [1.0, None]
    json.dumps(change.to_json(), allow_nan=False)


def test_changes_when_a_figure_is_in_one_tree_only_then_it_is_named_apart() -> None:
    changes, unpaired = changes_of([[a_result("B1")]], [[a_result("B1"), a_result("B5", (3.0,))]])

    assert [(change.key, change.now[0].name) for change in changes] == [("B1", "ratio"), ("B1", "a step")]
    assert sorted(unpaired) == ["B5 a step", "B5 ratio"]


def test_table_when_written_then_values_of_all_rounds_and_the_ratios_between_them() -> None:
    lines = table_of([a_change([8, 10, 9], [4, 5, 4.5])])

    assert (
        lines[-1] == "| B1 | a step | 9 ms | 8.5 to 9.5 | 4.5 ms | 4.25 to 4.75 | **0.500** | 0.500 to 0.500 | lower |"
    )
