"""Skeletons are drawn as the training data's were: joints, then limbs over them, colours reversed."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from xmdpt.skeleton import MISSING, draw_skeleton, to_skeleton

NOSE, NECK, RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST, LEFT_SHOULDER = 0, 1, 2, 3, 4, 5
MISSING_POINT = (MISSING, MISSING)

coordinates = st.floats(-300, 600) | st.integers(-300, 600).map(float)
points = st.tuples(coordinates, coordinates) | st.just(MISSING_POINT)


def a_pose(seen: dict[int, tuple[float, float]]) -> NDArray[np.float64]:
    pose = np.full((18, 2), MISSING)
    for index, point in seen.items():
        pose[index] = point
    return pose


def pixel(picture: NDArray[np.uint8], x: int, y: int) -> tuple[int, ...]:
    return tuple(picture[y, x].tolist())


def test_skeleton_when_only_the_nose_is_seen_then_a_blue_disc_of_radius_4() -> None:
    picture = draw_skeleton(a_pose({NOSE: (100, 50)}))

    for x, y in [(100, 50), (104, 50), (96, 50), (100, 54), (100, 46)]:
        assert pixel(picture, x, y) == (0, 0, 255)
    for x, y in [(105, 50), (95, 50), (100, 55), (100, 45), (104, 54), (50, 100)]:
        assert pixel(picture, x, y) == (0, 0, 0)


@pytest.mark.parametrize(
    ("joint", "colour"),
    [(NOSE, (0, 0, 255)), (NECK, (0, 85, 255)), (RIGHT_WRIST, (0, 255, 170)), (12, (255, 0, 0)), (17, (85, 0, 255))],
)
def test_skeleton_when_one_joint_is_seen_then_in_its_reversed_colour(joint: int, colour: tuple[int, ...]) -> None:
    picture = draw_skeleton(a_pose({joint: (128, 128)}))
    assert pixel(picture, 128, 128) == colour
    assert {tuple(c) for c in picture.reshape(-1, 3).tolist()} == {(0, 0, 0), colour}


def test_skeleton_when_a_coordinate_has_a_fraction_then_cut_off() -> None:
    assert (draw_skeleton(a_pose({NOSE: (100.9, 50.9)})) == draw_skeleton(a_pose({NOSE: (100, 50)}))).all()


def test_skeleton_when_two_joints_make_a_limb_then_at_six_tenths_brightness_on_black() -> None:
    picture = draw_skeleton(a_pose({NOSE: (128, 60), NECK: (128, 120)}))

    # The limb of neck and nose is the 13th: (0, 0, 255) reversed, times 0.6.
    for x in (124, 128, 132):
        assert pixel(picture, x, 90) == (153, 0, 0)
    for x in (123, 133):
        assert pixel(picture, x, 90) == (0, 0, 0)


def test_skeleton_when_a_limb_crosses_its_joint_then_mixed_over_the_disc() -> None:
    picture = draw_skeleton(a_pose({NECK: (100, 100), RIGHT_SHOULDER: (60, 100)}))
    # The shoulder's disc is (0, 170, 255), the first limb (0, 0, 255).
    assert pixel(picture, 61, 100) == (0, 68, 255)
    # The neck's disc is (0, 85, 255).
    assert pixel(picture, 99, 100) == (0, 34, 255)


def test_skeleton_when_limbs_cross_then_the_later_one_lies_above() -> None:
    pose = a_pose({NECK: (60, 100), RIGHT_SHOULDER: (140, 100), RIGHT_ELBOW: (100, 40), RIGHT_WRIST: (100, 160)})
    # Limb 1 (neck, shoulder) is (0, 0, 255): 153 of it on black. Limb 4 (elbow, wrist) is (0, 255, 255).
    assert pixel(draw_skeleton(pose), 100, 100) == (0, 153, 214)


def test_skeleton_when_a_limb_lies_aslant_then_along_its_line() -> None:
    picture = draw_skeleton(a_pose({NECK: (80, 80), LEFT_SHOULDER: (140, 140)}))
    # The second limb is (255, 85, 0) reversed, times 0.6.
    for offset in (-20, 0, 20):
        assert pixel(picture, 110 + offset, 110 + offset) == (0, 51, 153)
        assert pixel(picture, 110 + offset, 121 + offset) == (0, 0, 0)


def test_skeleton_when_one_end_is_missing_then_the_limb_is_left_out() -> None:
    together = draw_skeleton(a_pose({NOSE: (128, 60), RIGHT_SHOULDER: (90, 120)}))
    alone = [draw_skeleton(a_pose({NOSE: (128, 60)})), draw_skeleton(a_pose({RIGHT_SHOULDER: (90, 120)}))]
    assert (together == alone[0] + alone[1]).all()


def test_skeleton_when_shoulder_and_ear_are_seen_then_no_line_between_them() -> None:
    picture = draw_skeleton(a_pose({RIGHT_SHOULDER: (60, 120), 16: (60, 40)}))
    assert pixel(picture, 60, 80) == (0, 0, 0)


def test_skeleton_when_all_are_missing_then_black() -> None:
    picture = draw_skeleton(np.full((18, 2), MISSING))
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert not picture.any()


def test_skeleton_when_a_joint_is_off_the_frame_then_its_limb_still_enters() -> None:
    picture = draw_skeleton(a_pose({NOSE: (128, -100), NECK: (128, 100)}))
    assert pixel(picture, 128, 5) == (153, 0, 0)


@given(st.lists(points, min_size=18, max_size=18))
def test_skeleton_when_points_lie_anywhere_then_a_picture_of_the_same_bytes_each_time(
    pose: list[tuple[float, float]],
) -> None:
    picture = draw_skeleton(pose)

    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert (picture == draw_skeleton(pose)).all()
    if all(point == MISSING_POINT for point in pose):
        assert not picture.any()


@pytest.mark.parametrize("shape", [(17, 2), (18, 3), (36,), (1, 18, 2), (0, 2)])
def test_skeleton_when_the_shape_is_wrong_then_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[18, 2\], not"):
        draw_skeleton(np.zeros(shape))


def test_skeleton_when_supplied_as_a_picture_then_its_pixels_stay() -> None:
    drawn = draw_skeleton(a_pose({NOSE: (128, 60), NECK: (128, 120)}))
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    assert (to_skeleton(Image.open(file)) == drawn).all()
