"""Poses between two others: a body that moves, in the proportions of the model's photos."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain.pose import KeyPoints, Point
from service.domain.pose_interpolation import between
from service.domain.pose_moves import Moves, moved
from service.gateway.pose_presets import POSE_PRESETS
from tests.unit.builders import repeatable
from tests.unit.test_pose_moves import poses

# Arms and legs: point, the one before it, the one before that.
LIMBS = ((3, 2, 1), (4, 3, 2), (6, 5, 1), (7, 6, 5), (9, 8, 1), (10, 9, 8), (12, 11, 1), (13, 12, 11))
NAMES = list(POSE_PRESETS)


def natural(pose: KeyPoints) -> list[np.ndarray | None]:
    """In px of a photo of 176 x 256."""
    scale = np.array([176, 256]) / pose.size
    return [None if point is None else (np.array(point) - pose.origin) * scale for point in pose.points]


def bone(pose: KeyPoints, start: int, end: int) -> np.ndarray:
    points = natural(pose)
    first, last = points[start], points[end]
    assert first is not None
    assert last is not None
    return last - first


def angle(vector: np.ndarray) -> float:
    return math.degrees(math.atan2(vector[1], vector[0]))


def a_pose(points: dict[int, Point], size: Point = (176.0, 256.0)) -> KeyPoints:
    return KeyPoints(tuple(points.get(index) for index in range(18)), size)


@repeatable
@given(poses(), poses())
def test_between_when_at_an_end_then_it_is_that_pose_itself(first: KeyPoints, last: KeyPoints) -> None:
    assert between(first, last, 0) is first
    assert between(first, last, 1) is last


@repeatable
@given(poses(), poses())
def test_between_when_close_to_an_end_then_it_is_close_to_that_pose(first: KeyPoints, last: KeyPoints) -> None:
    for at, end in ((1e-9, first), (1 - 1e-9, last)):
        made = between(first, last, at)

        assert [point is None for point in made.points] == [point is None for point in end.points]
        for ours, theirs in zip(natural(made), natural(end), strict=True):
            if ours is not None and theirs is not None:
                np.testing.assert_allclose(ours, theirs, atol=1e-3)
        assert (made.size, made.origin) == (first.size, first.origin)


@repeatable
@given(poses(), poses(), st.floats(0.01, 0.99))
def test_between_when_a_limb_is_seen_in_both_then_its_length_lies_between_theirs(
    first: KeyPoints, last: KeyPoints, at: float
) -> None:
    made = between(first, last, at)

    num_checked = 0
    for end, start, _ in LIMBS:
        if all(pose.points[index] for pose in (first, last) for index in (start, end)):
            lengths = sorted(float(np.hypot(*bone(pose, start, end))) for pose in (first, last))
            length = float(np.hypot(*bone(made, start, end)))
            assert lengths[0] - 1e-6 <= length <= lengths[1] + 1e-6
            num_checked += 1
    assume(num_checked)


@repeatable
@given(poses(), st.floats(0.01, 0.99))
def test_between_when_both_are_the_same_then_so_is_everything_between(pose: KeyPoints, at: float) -> None:
    made = between(pose, pose, at)

    for ours, theirs in zip(made.points, pose.points, strict=True):
        assert (ours is None) == (theirs is None)
        if ours and theirs:
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


@repeatable
@given(poses(), poses(), st.floats(0.01, 0.99))
def test_between_when_walked_from_the_other_end_then_the_poses_are_the_same(
    first: KeyPoints, last: KeyPoints, at: float
) -> None:
    assume(at != 0.5)  # the half itself belongs to the last pose
    seen = [[point is not None for point in pose.points] for pose in (first, last)]
    assume(seen[0] == seen[1])

    there, back = natural(between(first, last, at)), natural(between(last, first, 1 - at))

    for ours, theirs in zip(there, back, strict=True):
        if ours is not None and theirs is not None and not _is_ambiguous(first, last):
            np.testing.assert_allclose(ours, theirs, atol=1e-3)


def _is_ambiguous(first: KeyPoints, last: KeyPoints) -> bool:
    """A bone that turns by half a turn may go either way."""
    for start, end in itertools.permutations(range(18), 2):
        if all(pose.points[index] for pose in (first, last) for index in (start, end)):
            turn = abs(angle(bone(first, start, end)) - angle(bone(last, start, end))) % 360
            if abs(turn - 180) < 1e-3 or abs(turn - 90) < 1e-3 or abs(turn - 270) < 1e-3:
                return True
    return False


@pytest.mark.parametrize(
    ("first", "last", "halfway"),
    [(170, -170, 180), (-170, 170, 180), (80, -80, 0), (10, 130, 70), (-100, 100, 180)],
)
def test_between_when_an_arm_swings_then_it_takes_the_shorter_way(first: float, last: float, halfway: float) -> None:
    def with_arm(degrees: float) -> KeyPoints:
        x, y = 60 + 40 * math.cos(math.radians(degrees)), 60 + 40 * math.sin(math.radians(degrees))
        return a_pose({1: (80, 60), 2: (60, 60), 3: (x, y)})

    made = between(with_arm(first), with_arm(last), 0.5)

    assert angle(bone(made, 2, 3)) % 360 == pytest.approx(halfway % 360)
    assert np.hypot(*bone(made, 2, 3)) == pytest.approx(40)


def test_between_when_frames_are_stretched_then_angles_are_those_of_the_photo() -> None:
    # Hanging and held out, in a square frame: 45 degrees of the photo between, not of the square.
    hanging = a_pose({1: (128, 60), 2: (100, 60), 3: (100, 100)}, (256.0, 256.0))
    held_out = a_pose({1: (128, 60), 2: (100, 60), 3: (100 - 40 * 256 / 176, 60)}, (256.0, 256.0))

    made = between(hanging, held_out, 0.5)

    assert angle(bone(made, 2, 3)) == pytest.approx(135)
    assert np.hypot(*bone(made, 2, 3)) == pytest.approx(40)
    assert made.size == (256, 256)


def test_between_when_the_body_turns_round_then_the_shoulders_stay_level() -> None:
    front = a_pose({1: (80, 60), 2: (60, 62), 5: (100, 62), 0: (80, 40)})
    back = a_pose({1: (80, 60), 2: (100, 62), 5: (60, 62)})

    for at in (0.25, 0.5, 0.75):
        points = natural(between(front, back, at))

        assert [points[index][1] for index in (2, 5)] == pytest.approx([62, 62])  # type: ignore[index]
        assert points[2][0] == pytest.approx(60 + 40 * at)  # type: ignore[index]


def test_between_when_a_point_is_seen_at_one_end_then_it_hangs_on_its_parent_in_that_half() -> None:
    with_wrist = a_pose({1: (80, 60), 2: (60, 60), 3: (60, 100), 4: (55, 130)})
    without = a_pose({1: (90, 64), 2: (70, 64), 3: (30, 64)})

    near, far = between(with_wrist, without, 0.49), between(with_wrist, without, 0.5)

    np.testing.assert_allclose(bone(near, 3, 4), (-5, 30))
    assert far.points[4] is None
    assert between(without, with_wrist, 0.5).points[4] is not None
    assert between(without, with_wrist, 0.49).points[4] is None


def test_between_when_the_parent_is_missing_then_the_next_one_holds() -> None:
    # No elbow in the second: the wrists turn about the shoulder.
    first = a_pose({1: (80, 60), 2: (60, 60), 3: (60, 80), 4: (60, 100)})
    last = a_pose({1: (80, 60), 2: (60, 60), 4: (20, 60)})

    made = between(first, last, 0.5)

    assert np.hypot(*bone(made, 2, 4)) == pytest.approx(40)
    assert angle(bone(made, 2, 4)) == pytest.approx(135)


def test_between_when_there_is_no_neck_then_a_point_of_one_end_moves_with_the_others() -> None:
    first = a_pose({2: (60, 60), 5: (100, 60), 8: (70, 120)})
    last = a_pose({1: (110, 60), 2: (90, 60), 5: (130, 60), 8: (100, 120)})

    made = between(first, last, 0.5)

    assert made.points[1] == pytest.approx((95, 60))
    assert made.points[2] == pytest.approx((75, 60))


@pytest.mark.parametrize("names", list(itertools.permutations(NAMES[::3], 2)))
def test_between_when_of_two_persons_then_no_step_is_a_jump(names: tuple[str, str]) -> None:
    first, last = (POSE_PRESETS[name].key_points for name in names)
    way = [natural(between(first, last, index / 100)) for index in range(101)]

    for before, after in itertools.pairwise(way):
        for old, new in zip(before, after, strict=True):
            if old is not None and new is not None:
                assert np.hypot(*(new - old)) < 6


@pytest.mark.parametrize("name", NAMES)
def test_between_when_a_person_walks_to_the_mirror_then_the_half_is_nearly_its_own_mirror(name: str) -> None:
    pose = POSE_PRESETS[name].key_points
    mirrored = moved(pose, Moves(is_mirrored=True))

    half = between(pose, mirrored, 0.5)

    for ours, theirs in zip(natural(half), natural(moved(half, Moves(is_mirrored=True))), strict=True):
        if ours is not None and theirs is not None:
            assert abs(ours[0] - theirs[0]) < 12
