"""Three forms of key points say the same, and a malformed line is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.small_data import NAMES, poses
from xmdpt.evaluation.key_points import Frame, KeyPoints
from xmdpt.evaluation.mistakes import InputError
from xmdpt.skeleton import to_frame

POINTS = [[1, 2]] * 18


def test_key_points_when_the_same_in_three_forms_then_equal(folder: Path, pidm: Path) -> None:
    for name, pose in zip(NAMES, poses(), strict=True):
        expected = to_frame(pose, size=(176, 256), origin=(40, 0))
        for path in (folder / "poses.csv", folder / "poses.jsonl", pidm / "pose"):
            key_points = KeyPoints(path)
            assert key_points.has(f"{name}.png")
            assert np.array_equal(key_points.of(f"{name}.png"), expected), path
        assert expected[17].tolist() == [-1, -1]


def test_key_points_when_csv_is_in_deepfashions_frame_then_its_corners_are_the_squares(tmp_path: Path) -> None:
    xs, ys = [40, 216] + [-1] * 16, [0, 256] + [-1] * 16
    (tmp_path / "poses.csv").write_text(f"name: keypoints_y: keypoints_x\na.jpg: {ys}: {xs}\n")

    found = KeyPoints(tmp_path / "poses.csv").of("a.png")

    assert found[:2].tolist() == [[0, 0], [256, 256]]
    assert (found[2:] == -1).all()


def test_key_points_when_a_frame_is_given_then_it_holds_for_csv(tmp_path: Path) -> None:
    (tmp_path / "poses.csv").write_text(f"name:keypoints_y:keypoints_x\na:{[128] * 18}:{[88] * 18}\n")

    found = KeyPoints(tmp_path / "poses.csv", Frame(width=176, height=256, x=0, y=0)).of("a")

    assert found.tolist() == [[128, 128]] * 18


def test_key_points_when_one_coordinate_is_missing_then_the_point_is(tmp_path: Path) -> None:
    (tmp_path / "poses.csv").write_text(f"name:keypoints_y:keypoints_x\na:{[-1] + [50] * 17}:{[60] * 18}\n")

    assert KeyPoints(tmp_path / "poses.csv").of("a")[0].tolist() == [-1, -1]


@pytest.mark.parametrize("form", ["poses.csv", "poses.jsonl"])
def test_key_points_when_of_an_unknown_photo_then_there_are_none(folder: Path, form: str) -> None:
    assert not KeyPoints(folder / form).has("other.jpg")


def _json(**changes: object) -> str:
    row = {"name": "a", "keypoints": POINTS, "size": [256, 256]} | changes
    return json.dumps({name: value for name, value in row.items() if value != "absent"})


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("a.csv", "", ":1: the head line must be name:keypoints_y:keypoints_x"),
        ("a.csv", "name,y,x\n", ":1: the head line must be"),
        ("a.csv", "name:keypoints_y:keypoints_x\na:[1]:[2]\n", ":2: not 18 key points"),
        ("a.csv", f"name:keypoints_y:keypoints_x\n\na:{[1] * 18}\n", ":3: not name:[18 y]:[18 x]"),
        ("a.csv", f"name:keypoints_y:keypoints_x\na:{[1] * 18}:{[1] * 17}\n", ":2: not name:[18 y]:[18 x]"),
        ("a.csv", f"name:keypoints_y:keypoints_x\na:{[1] * 18}:7\n", ":2: not name:[18 y]:[18 x]"),
        ("a.csv", f"name:keypoints_y:keypoints_x\na:{[1] * 18}:{[1] * 18}\na:{[1] * 18}:{[2] * 18}\n", ":3: other"),
        ("a.jsonl", "{\n", ':1: not {"name"'),
        ("a.jsonl", "[]\n", ':1: not {"name"'),
        ("a.jsonl", _json(size="absent"), ':1: not {"name"'),
        ("a.jsonl", _json(size=[256]), ':1: not {"name"'),
        ("a.jsonl", _json(size=[0, 256]), ":1: the name must be text, width and height above 0"),
        ("a.jsonl", _json(name=5), ":1: the name must be text"),
        ("a.jsonl", _json(keypoints=POINTS[1:]), ":1: not 18 key points"),
        ("a.jsonl", _json(keypoints=[*POINTS[1:], [1]]), ":1: not 18 key points"),
        ("a.jsonl", _json(keypoints=[*POINTS[1:], "ab"]), ":1: not 18 key points"),
        ("a.jsonl", _json(keypoints=7), ":1: not 18 key points"),
        ("a.jsonl", _json(keypoints=[*POINTS[1:], [1, float("nan")]]), ":1: a coordinate is not a number within"),
        ("a.jsonl", _json(keypoints=[*POINTS[1:], [1, 1e9]]), ":1: a coordinate is not a number within"),
    ],
)
def test_key_points_when_a_line_is_malformed_then_its_number(tmp_path: Path, file: str, text: str, words: str) -> None:
    (tmp_path / file).write_text(text)

    with pytest.raises(InputError) as refused:
        KeyPoints(tmp_path / file)

    assert str(refused.value).startswith(f"{tmp_path / file}{words}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "1 2\n" * 17, "1 2 3\n" * 18, "a b\n" * 18])
def test_key_points_when_a_text_file_is_malformed_then_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)

    with pytest.raises(InputError, match=r"a\.txt: not 18"):
        KeyPoints(tmp_path).of("img/a.jpg")


def test_key_points_when_there_is_no_file_then_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory; give key points with --key-points"):
        KeyPoints(tmp_path / "none.csv")
