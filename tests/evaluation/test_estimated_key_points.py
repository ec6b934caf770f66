"""Without annotations the targets' poses are estimated, kept as a file, and asked of the pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.evaluation.command import arguments
from tests.evaluation.small_data import NAMES, PERSON, write_folder
from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.estimated_key_points import estimate_key_points
from xmdpt.evaluation.key_points import KeyPoints
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.evaluation.pairs import read_pairs
from xmdpt.evaluation.photos import FolderPhotos, open_photos
from xmdpt.pose_estimation import PoseEstimator
from xmdpt.skeleton import MISSING, to_frame
from xmdpt.training.__main__ import main

TARGETS = [f"{name}.jpg" for name in NAMES]


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator()


def a_dataset(root: Path, aspect: float | None = None) -> Dataset:
    return Dataset(root / "test_pairs.txt", read_pairs(root / "test_pairs.txt", 0), FolderPhotos(root), None, aspect)


def size_of(photo: Path) -> tuple[int, int]:
    with Image.open(photo) as image:
        return image.size


def rows(path: Path) -> dict[str, dict]:
    return {row["name"]: row for row in map(json.loads, path.read_text().splitlines())}


def test_estimate_when_photos_have_their_own_shape_then_key_points_of_the_square(
    folder: Path, estimator: PoseEstimator, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "key_points.jsonl"
    found = estimate_key_points(a_dataset(folder), estimator, path)

    assert found.where() == str(path)
    assert list(rows(path)) == TARGETS
    for name in TARGETS:
        photo = folder / Path(name).with_suffix(".png")
        with Image.open(photo) as image:
            pose = estimator.estimate(np.array(image.convert("RGB")))
        assert pose is not None
        expected = to_frame(pose.key_points, size=size_of(photo), origin=(0, 0))
        points = found.of(name)
        both = (points != MISSING).any(axis=1) & (expected != MISSING).any(axis=1)
        assert both.sum() >= 10
        assert np.median(np.linalg.norm(points - expected, axis=1)[both]) < 4
        # What is kept can be given, and says the same to the last digit.
        assert np.array_equal(KeyPoints(path).of(name), points)


def test_estimate_when_done_before_then_lines_of_the_same_photos_and_of_other_hands_stay(
    tmp_path: Path, estimator: PoseEstimator
) -> None:
    data, path = write_folder(tmp_path / "data"), tmp_path / "key_points.jsonl"
    estimate_key_points(a_dataset(data), estimator, path)
    first = rows(path)
    corrected, by_hand = (dict(first[name], keypoints=[[9, 9], *[None] * 17]) for name in TARGETS[:2])
    del by_hand["photo_sha256"]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in (corrected, by_hand, first[TARGETS[2]])))
    with Image.open(PERSON) as image:
        mirrored = image.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(data / f"{NAMES[2]}.png")

    found = estimate_key_points(a_dataset(data), estimator, path)

    for name in TARGETS[:2]:
        assert found.of(name)[:2].tolist() == [[9, 9], [MISSING, MISSING]]
    assert rows(path)[TARGETS[2]]["photo_sha256"] != first[TARGETS[2]]["photo_sha256"]
    assert rows(path)[TARGETS[2]]["keypoints"] != first[TARGETS[2]]["keypoints"]


def test_estimate_when_there_is_nobody_then_the_pairs_line_and_the_rest_is_kept(
    tmp_path: Path, estimator: PoseEstimator
) -> None:
    data, path = write_folder(tmp_path / "data"), tmp_path / "key_points.jsonl"
    for name in NAMES[1:]:
        Image.new("RGB", (176, 256), "beige").save(data / f"{name}.png")

    words = rf"test_pairs\.txt:2: no person is found in {TARGETS[1]}, nor in 1 other photos; add the key points to"
    with pytest.raises(InputError, match=words):
        estimate_key_points(a_dataset(data), estimator, path)

    assert list(rows(path)) == TARGETS[:1]


@pytest.mark.parametrize("line", ["{", "[1]", '{"keypoints": []}'])
def test_estimate_when_the_kept_file_is_damaged_then_its_line(
    folder: Path, tmp_path: Path, estimator: PoseEstimator, line: str
) -> None:
    path = tmp_path / "key_points.jsonl"
    path.write_text(f"\n{line}\n")

    with pytest.raises(InputError, match=r"key_points\.jsonl:2: not a line of key points; correct or remove it"):
        estimate_key_points(a_dataset(folder), estimator, path)


def test_estimate_when_the_file_cannot_be_written_then_said(
    folder: Path, tmp_path: Path, estimator: PoseEstimator
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RunError, match="give another --out"):
        estimate_key_points(a_dataset(folder), estimator, tmp_path / "file" / "key_points.jsonl")


def test_aspect_when_asked_then_the_upright_files_or_deepfashions_or_the_given_one(
    folder: Path, pidm: Path, tmp_path: Path
) -> None:
    width, height = size_of(folder / f"{NAMES[1]}.png")
    with open_photos(folder) as files, open_photos(pidm) as stored:
        assert files.aspect(TARGETS[1]) == width / height
        assert stored.aspect(TARGETS[1]) == 176 / 256
        for photos in (files, stored):
            with pytest.raises(KeyError):
                photos.aspect("img/other.jpg")
    pair = read_pairs(folder / "test_pairs.txt", 0)[1]
    assert a_dataset(folder).target_aspect(pair) == width / height
    assert a_dataset(folder, aspect=0.5).target_aspect(pair) == 0.5
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (300, 200)).save(tmp_path / "turned.png", exif=exif)
    assert FolderPhotos(tmp_path).aspect("turned.png") == 200 / 300
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"text\.png: not a picture"):
        FolderPhotos(tmp_path).aspect("text.png")


def test_evaluate_when_no_key_points_are_given_then_estimated_once_and_reported(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(folder, tmp_path)) == 0

    first = (tmp_path / "key_points.jsonl").read_bytes()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["data"]["key points"] == f"{tmp_path}/key_points.jsonl (estimated)"
    assert "poses:" in capsys.readouterr().err

    # The same command goes on, and the file given is the same run.
    assert main(arguments(folder, tmp_path)) == 0
    assert "0 pictures drawn, 3 kept" in capsys.readouterr().out
    assert (tmp_path / "key_points.jsonl").read_bytes() == first
    given = tmp_path / "given.jsonl"
    given.write_bytes(first)
    assert main(arguments(folder, tmp_path, "--key-points", str(given))) == 0
    assert "0 pictures drawn, 3 kept" in capsys.readouterr().out


def test_evaluate_when_the_pictures_are_the_targets_then_pck_is_1_and_of_nobody_0(folder: Path, tmp_path: Path) -> None:
    pairs = read_pairs(folder / "test_pairs.txt", 0)
    photos = FolderPhotos(folder)
    for out, draw in (("same", photos.photo), ("blank", lambda _: np.full((256, 256, 3), 200, np.uint8))):
        (tmp_path / out / "pictures").mkdir(parents=True)
        for pair in pairs:
            Image.fromarray(draw(pair.target)).save(tmp_path / out / "pictures" / f"{pair.index:05d}.png")
        assert main(arguments(folder, tmp_path / out)) == 0
    same, blank = (json.loads((tmp_path / out / "report.json").read_text())["metrics"] for out in ("same", "blank"))

    assert same["pck"] == 1
    assert blank["pck"] == 0
    assert "PCK@0.05" in (tmp_path / "same" / "report.md").read_text()


def test_evaluate_when_nobody_is_in_a_target_then_2_in_its_line_before_anything_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_folder(tmp_path / "data")
    Image.new("RGB", (176, 256), "beige").save(data / f"{NAMES[2]}.png")

    assert main(arguments(data, tmp_path / "out")) == 2

    message = capsys.readouterr().err.splitlines()[-1]
    assert f"test_pairs.txt:4: no person is found in {TARGETS[2]}; add the key points to" in message
    assert not (tmp_path / "out" / "pictures").exists()
