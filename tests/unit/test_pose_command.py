"""`python -m xmdpt pose`: the pose in a photo as the service takes it, or one clear line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from service.domain.pose import parse_key_points
from tests.unit.photos_of_persons import PERSON, photo_of
from xmdpt.__main__ import main
from xmdpt.skeleton import draw_skeleton, to_frame

ROOT = PERSON.parents[1]


def pose_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["pose", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_pose_command_when_a_person_is_found_then_json_that_the_service_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = pose_of(capsys, PERSON)

    height, width = photo_of(PERSON).shape[:2]
    assert document["size"] == [width, height]
    points = parse_key_points(document["keypoints"], tuple(document["size"])).points
    assert sum(point is not None for point in points) >= 13
    for entry in filter(None, document["keypoints"]):
        assert 0 <= entry[0] < width
        assert 0 <= entry[1] < height
        assert 0 < entry[2] <= 1


def test_pose_command_when_files_are_asked_for_then_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = pose_of(capsys, PERSON)
    out, overlay = tmp_path / "pose.json", tmp_path / "overlay.png"

    assert main(["pose", str(PERSON), "--out", str(out), "--overlay", str(overlay)]) == 0

    shown = capsys.readouterr()
    assert not shown.out
    assert "key points, score 0.9" in shown.err or "key points, score 1.0" in shown.err
    assert json.loads(out.read_text()) == document
    photo, drawn = photo_of(PERSON), photo_of(overlay)
    assert drawn.shape == photo.shape
    points = np.array([[-1, -1] if point is None else point[:2] for point in document["keypoints"]])
    skeleton = draw_skeleton(to_frame(points, size=document["size"], origin=(0, 0)))
    height, width = photo.shape[:2]
    is_changed = np.any(np.abs(drawn.astype(int) - photo) > 8, axis=2)
    is_drawn = np.array(Image.fromarray(skeleton.any(axis=2)).resize((width, height)))
    assert (is_changed == is_drawn).mean() > 0.97
    assert is_changed[is_drawn].mean() > 0.9


def test_pose_command_when_the_photo_is_turned_by_its_tag_then_upright(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(photo_of(PERSON)).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)

    assert pose_of(capsys, tmp_path / "turned.png") == pose_of(capsys, PERSON)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["pose", *map(str, arguments)])
    shown = capsys.readouterr()
    assert not shown.out
    (line,) = shown.err.splitlines()
    assert line.startswith("python -m xmdpt pose: ")
    return status, line


def test_pose_command_when_the_photo_cannot_be_read_then_2_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.png").write_bytes(PERSON.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no picture")

    for path, words in (("no.png", "No such file"), ("cut.png", "not a picture"), ("text.png", "not a picture")):
        status, line = refused(capsys, tmp_path / path)
        assert status == 2
        assert f"{path}: {words}" in line
    assert refused(capsys, tmp_path)[0] == 2


def test_pose_command_when_there_is_nobody_then_1_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (300, 200), "beige").save(tmp_path / "wall.png")
    out = tmp_path / "pose.json"

    status, line = refused(capsys, tmp_path / "wall.png", "--out", out)

    assert status == 1
    assert line.endswith("wall.png: no person is found")
    assert not out.exists()


def test_pose_command_when_a_file_cannot_be_written_then_2_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, PERSON, "--out", tmp_path / "no" / "pose.json")[0] == 2
    assert refused(capsys, PERSON, "--overlay", tmp_path / "no" / "overlay.png")[0] == 2
    status, line = refused(capsys, PERSON, "--overlay", tmp_path / "overlay.what")
    assert status == 2
    assert "overlay.what" in line


def test_pose_command_when_called_as_a_module_then_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xmdpt", "pose", str(PERSON)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == pose_of(capsys, PERSON)
    assert len(done.stderr.splitlines()) == 1
