"""What the landmark model says, as OpenPose's key points: heat maps, px of the photo, order, what counts as seen."""

from dataclasses import replace

import numpy as np
import pytest

from xmdpt.pose_estimation.landmarks import Landmarks, landmarks, refined
from xmdpt.pose_estimation.openpose import key_points
from xmdpt.pose_estimation.regions import Region
from xmdpt.skeleton import MISSING


def found(**changes: object) -> Landmarks:
    """Everything seen, at (x, y) = (its number, 50); a body of 40 px, in front of which nothing lies."""
    points = np.stack([np.arange(39.0), np.full(39, 50.0)], axis=1)
    points[33:35] = (50, 60), (50, 20)
    whole = Landmarks(points, np.zeros(39), np.ones(39, np.float32), presence=1.0)
    return replace(whole, **changes)


def test_heat_map_when_it_has_a_peak_then_the_point_moves_to_its_mean() -> None:
    heat = np.zeros((64, 64, 3), np.float32)
    heat[20, 30:32, 0] = 0.9
    heat[20, 30, 1] = 0.4
    points = np.array([[29.5, 21.5], [29.5, 21.5], [70, 1]]) / 64

    moved = refined(points, heat) * 64

    assert moved[0].tolist() == pytest.approx([30.5, 20])
    assert moved[1:].tolist() == (points[1:] * 64).tolist(), "no clear peak; off the map"


@pytest.mark.parametrize("corner", [0, 63])
def test_heat_map_when_the_point_is_in_a_corner_then_only_what_is_there_counts(corner: int) -> None:
    heat = np.full((64, 64, 1), 0.8, np.float32)
    (moved,) = refined(np.array([[corner + 0.5, corner + 0.5]]) / 64, heat) * 64

    assert moved.tolist() == pytest.approx([1.5, 1.5] if corner == 0 else [61.5, 61.5])


def test_landmarks_when_decoded_then_in_px_of_the_photo() -> None:
    raw = np.zeros((39, 5), np.float32)
    raw[:, :3] = 64, 192, 25.6
    raw[:, 3] = 40
    region = Region((100, 200), 512, 0, 0)

    decoded = landmarks(raw.ravel(), 0.7, np.full((64, 64, 39), -9, np.float32), region)

    assert decoded.points[5].tolist() == pytest.approx([100 - 128, 200 + 128])
    assert decoded.depths[5] == pytest.approx(51.2)
    assert decoded.visibility[5] == pytest.approx(1)
    assert decoded.score == pytest.approx(0.7)


def test_key_points_when_all_is_seen_then_in_openposes_order() -> None:
    points, confidence = key_points(found(), 100, 100)

    assert points[:, 0].tolist() == [0, 11.5, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7]
    assert (points[:, 1] == 50).all()
    assert (confidence == 1).all()


def test_key_points_when_hardly_visible_then_missing_and_the_face_sooner() -> None:
    points, confidence = key_points(found(visibility=np.full(39, 0.4, np.float32)), 100, 100)

    assert (points[:14] != MISSING).all()
    assert confidence[:14] == pytest.approx(0.4)
    assert (points[14:] == MISSING).all()
    assert (confidence[14:] == 0).all()
    assert (key_points(found(visibility=np.full(39, 0.2, np.float32)), 100, 100)[0] == MISSING).all()


def test_key_points_when_one_shoulder_is_hidden_then_the_neck_stays() -> None:
    visibility = np.ones(39, np.float32)
    visibility[11] = 0
    points, _ = key_points(found(visibility=visibility), 100, 100)

    assert points[5].tolist() == [MISSING, MISSING]
    assert points[1].tolist() == [11.5, 50]


def test_key_points_when_off_the_photo_then_missing() -> None:
    points, _ = key_points(found(), 12, 100)

    assert (points[[3, 8]] == MISSING).all()
    assert points[2].tolist() == [MISSING, MISSING], "x = 12 is the first px beyond"
    assert points[5].tolist() == [11, 50]
    assert (key_points(found(), 100, 50)[0] == MISSING).all()


def test_key_points_when_the_face_is_turned_away_then_nose_and_eyes_are_missing_but_not_the_ears() -> None:
    depths = np.zeros(39)
    depths[:7] = 20  # Half of the body's radius behind the ears.
    points, _ = key_points(found(depths=depths), 100, 100)

    assert (points[[0, 14, 15]] == MISSING).all()
    assert (points[[1, 2, 16, 17]] != MISSING).all()


def test_key_points_when_seen_from_the_side_then_the_far_ear_is_missing() -> None:
    depths = np.zeros(39)
    depths[7] = 20
    points, _ = key_points(found(depths=depths), 100, 100)

    assert points[17].tolist() == [MISSING, MISSING]
    assert (points[[0, 14, 15, 16]] != MISSING).all()
