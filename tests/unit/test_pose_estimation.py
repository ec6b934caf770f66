"""Poses found in photos: the person's joints, whatever the photo's size, side or shape; None without a person."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.unit.photos_of_persons import ASTRONAUT, PERSON, photo_of
from xmdpt.pose_estimation import EstimatedPose, PoseEstimator
from xmdpt.skeleton import MISSING

NOSE, NECK = 0, 1
RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE = 2, 3, 4, 8, 9, 10
LEFT_SHOULDER, LEFT_HIP, LEFT_KNEE, LEFT_ANKLE = 5, 11, 12, 13
BODY = [*range(1, 14)]
LEGS_AND_HIPS = [*range(8, 14)]
# Each key point's place among those of a mirrored person.
MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator()


def pose_in(estimator: PoseEstimator, photo: NDArray[np.uint8], aspect: float | None = None) -> EstimatedPose:
    pose = estimator.estimate(photo, aspect)
    assert pose is not None
    return pose


def is_seen(pose: EstimatedPose) -> NDArray[np.bool_]:
    return (pose.key_points != MISSING).any(axis=1)


def distances(pose: EstimatedPose, other: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of the points that both have, in px."""
    both = is_seen(pose) & (other != MISSING).any(axis=1)
    assert both.sum() >= 10
    return np.linalg.norm(pose.key_points - other, axis=1)[both]


def test_pose_when_found_then_of_the_promised_form(estimator: PoseEstimator) -> None:
    for path in (PERSON, ASTRONAUT):
        photo = photo_of(path)
        pose = pose_in(estimator, photo)

        assert (pose.key_points.shape, pose.key_points.dtype) == ((18, 2), np.float32)
        assert (pose.confidence.shape, pose.confidence.dtype) == ((18,), np.float32)
        seen = is_seen(pose)
        assert (pose.key_points[seen] >= 0).all()
        assert (pose.key_points[seen] < photo.shape[1::-1]).all()
        assert (pose.key_points[~seen] == MISSING).all()
        assert ((pose.confidence > 0) == seen).all()
        assert pose.confidence.max() <= 1
        assert 0.5 <= pose.score <= 1


def test_pose_when_of_a_whole_person_then_joints_are_where_bodies_have_them(estimator: PoseEstimator) -> None:
    photo = photo_of(PERSON)
    pose = pose_in(estimator, photo)
    x, y = pose.key_points.T

    assert is_seen(pose)[BODY].all()
    for upper, lower in ((NOSE, NECK), (NECK, RIGHT_HIP), (RIGHT_HIP, RIGHT_KNEE), (RIGHT_KNEE, RIGHT_ANKLE)):
        assert y[upper] < y[lower]
    assert x[RIGHT_SHOULDER] < x[LEFT_SHOULDER], "the person faces us"
    assert y[NECK] == pytest.approx((y[RIGHT_SHOULDER] + y[LEFT_SHOULDER]) / 2)
    # All of it lies on the person, whose colours are not the background's.
    background = np.median(photo[:4].reshape(-1, 3), axis=0)
    for joint in BODY:
        assert np.abs(photo[int(y[joint]), int(x[joint])] - background).max() > 20, joint


def test_pose_when_of_a_portrait_then_no_legs(estimator: PoseEstimator) -> None:
    pose = pose_in(estimator, photo_of(ASTRONAUT))

    assert not is_seen(pose)[LEGS_AND_HIPS].any()
    # Read from the photo: nose, right and left eye.
    for joint, place in ((NOSE, (220, 122)), (14, (200, 101)), (15, (238, 108))):
        assert np.linalg.norm(pose.key_points[joint] - place) < 15
    assert np.linalg.norm(pose.key_points[RIGHT_SHOULDER] - (95, 240)) < 40


@pytest.mark.parametrize("path", [PERSON, ASTRONAUT])
def test_pose_when_the_photo_is_mirrored_then_left_and_right_change_places(
    estimator: PoseEstimator, path: Path
) -> None:
    photo = photo_of(path)
    height, width = photo.shape[:2]
    pose = pose_in(estimator, photo)
    mirrored = pose_in(estimator, np.ascontiguousarray(photo[:, ::-1]))

    expected = np.where(is_seen(mirrored)[:, None], (width, 0) + mirrored.key_points * (-1, 1), MISSING)[MIRRORED]
    # 2.5 % of the photo's height: the model is not symmetric by construction, and a space suit hides its joints.
    assert np.median(distances(pose, expected)) < 0.025 * height


@pytest.mark.parametrize("factor", [0.5, 2.5, 9])
def test_pose_when_the_photo_has_another_size_then_it_scales(estimator: PoseEstimator, factor: float) -> None:
    photo = photo_of(PERSON)
    scaled = cv2.resize(
        photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    ours, theirs = pose_in(estimator, photo), pose_in(estimator, scaled.astype(np.uint8))

    expected = np.where(is_seen(theirs)[:, None], theirs.key_points / factor, MISSING)
    # 1 % of the photo's height; at half the size a joint is a few px wide.
    assert np.median(distances(ours, expected)) < 0.01 * photo.shape[0]


def test_pose_when_the_person_stands_in_a_wide_photo_then_it_moves_along(estimator: PoseEstimator) -> None:
    photo = photo_of(PERSON)
    height, width = photo.shape[:2]
    wide = np.full((height, 2 * width, 3), photo[0, 0], np.uint8)
    wide[:, width:] = photo

    pose, moved = pose_in(estimator, photo), pose_in(estimator, wide)

    expected = np.where(is_seen(moved)[:, None], moved.key_points - (width, 0), MISSING)
    assert np.median(distances(pose, expected)) < 0.015 * height


def test_pose_when_the_photo_was_stretched_then_in_its_px_and_as_exact(estimator: PoseEstimator) -> None:
    photo = photo_of(PERSON)
    height, width = photo.shape[:2]
    square = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_CUBIC).astype(np.uint8)

    pose = pose_in(estimator, photo)
    squashed = pose_in(estimator, square, aspect=width / height)

    expected = np.where(is_seen(pose)[:, None], pose.key_points * (256 / width, 256 / height), MISSING)
    assert np.median(distances(squashed, expected)) < 3


@pytest.mark.parametrize("aspect", [0, -1, float("inf"), float("nan")])
def test_pose_when_the_aspect_is_senseless_then_refused(estimator: PoseEstimator, aspect: float) -> None:
    with pytest.raises(ValueError, match="aspect must be above 0"):
        estimator.estimate(photo_of(PERSON), aspect)


@pytest.mark.parametrize("turns", [1, 3])
def test_pose_when_the_photo_lies_on_its_side_then_none_or_still_found(estimator: PoseEstimator, turns: int) -> None:
    photo = photo_of(PERSON)
    pose = estimator.estimate(np.ascontiguousarray(np.rot90(photo, turns)))

    if pose is not None:
        assert (pose.key_points < (photo.shape[0], photo.shape[1])).all()


def blank(level: int) -> NDArray[np.uint8]:
    return np.full((256, 176, 3), level, np.uint8)


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)


@pytest.mark.parametrize("photo", [blank(0), blank(128), blank(255), noise(), blank(9)[:1], blank(9)[:, :1]])
def test_pose_when_there_is_nobody_then_none(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> None:
    assert estimator.estimate(photo) is None
    assert estimator.detect(photo) == []


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (np.zeros((256, 256, 3), np.float32), r"not \[256, 256, 3\] float32"),
        (np.zeros((256, 256), np.uint8), r"not \[256, 256\] uint8"),
        (np.zeros((256, 256, 4), np.uint8), r"not \[256, 256, 4\] uint8"),
        (np.zeros((0, 256, 3), np.uint8), r"not \[0, 256, 3\] uint8"),
    ],
)
def test_pose_when_the_photo_is_of_another_form_then_refused(
    estimator: PoseEstimator, photo: NDArray[np.uint8], words: str
) -> None:
    for ask in (estimator.estimate, estimator.detect):
        with pytest.raises(ValueError, match=rf"photo must be \[H, W, 3\] uint8, {words}"):
            ask(photo)


def test_detect_when_there_are_two_persons_then_a_region_each(estimator: PoseEstimator) -> None:
    photo = photo_of(PERSON)
    height, width = photo.shape[:2]
    two = np.concatenate([photo, photo], axis=1)

    found = estimator.detect(two)

    assert len(found) == 2
    assert [region.score for region in found] == sorted((region.score for region in found), reverse=True)
    left, right = sorted(found, key=lambda region: region.centre)
    assert left.centre[0] < width < right.centre[0]
    for region in found:
        assert 0.3 <= region.score <= 1
        assert 0.6 * height < region.size < 2 * height
        assert region.is_upright


def test_pose_when_asked_twice_or_with_more_threads_then_the_same(estimator: PoseEstimator) -> None:
    photo = photo_of(PERSON)
    first, again, other = (pose_in(each, photo) for each in (estimator, estimator, PoseEstimator(threads=2)))

    assert np.array_equal(first.key_points, again.key_points)
    assert first.score == again.score
    assert np.allclose(first.key_points, other.key_points, atol=0.01)


def test_estimator_when_it_runs_then_the_runtime_tells_nobody_and_leaves_no_file(tmp_path: Path) -> None:
    program = (
        "import numpy, xmdpt.pose_estimation as p; p.PoseEstimator().estimate(numpy.zeros((64, 64, 3), numpy.uint8))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}

    subprocess.run([sys.executable, "-c", program], check=True, env=environment | {"TMPDIR": str(tmp_path)})

    # Its session of telemetry would be one.
    assert list(tmp_path.iterdir()) == []
