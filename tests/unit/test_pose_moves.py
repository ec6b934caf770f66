"""Moves of a pose: what each does, in which order, and what they never do."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from service.domain.pose import KeyPoints
from service.domain.pose_moves import Moves, moved
from service.gateway.pose_presets import POSE_PRESETS
from tests.unit.builders import repeatable

SIZES = st.tuples(st.floats(1, 4000), st.floats(1, 4000))
ORIGINS = st.tuples(st.floats(-500, 500), st.floats(-500, 500))
SHIFTS = st.tuples(st.floats(-256, 256), st.floats(-256, 256))
SHARES = st.none() | st.tuples(st.floats(-1, 2), st.floats(-1, 2))


@st.composite
def poses(draw: st.DrawFn) -> KeyPoints:
    """Poses whose points lie up to a frame outside of any frame, some of them missing."""
    (width, height), (x, y) = draw(SIZES), draw(ORIGINS)
    shares = draw(st.lists(SHARES, min_size=18, max_size=18))
    points = tuple(share and (x + share[0] * width, y + share[1] * height) for share in shares)
    return KeyPoints(points, (width, height), (x, y))


def shares_of(pose: KeyPoints) -> np.ndarray:
    """[18, 2] in shares of the frame; nan where missing."""
    points = np.array([point or (np.nan, np.nan) for point in pose.points], float)
    return (points - pose.origin) / pose.size


def extent(pose: KeyPoints) -> np.ndarray:
    shares = shares_of(pose)
    return np.nanmax(shares, axis=0) - np.nanmin(shares, axis=0)


@repeatable
@given(poses())
def test_mirror_when_done_twice_then_the_pose_is_as_before(pose: KeyPoints) -> None:
    twice = moved(moved(pose, Moves(is_mirrored=True)), Moves(is_mirrored=True))

    np.testing.assert_allclose(shares_of(twice), shares_of(pose), atol=1e-9)


def test_mirror_when_done_then_left_and_right_change_their_places_and_their_names() -> None:
    points: list[Any] = [None] * 18
    # Nose, right wrist, left knee, right eye, left ear.
    points[0], points[4], points[12], points[14], points[17] = (30, 1), (10, 2), (50, 3), (22, 4), (60, 5)

    mirrored = moved(KeyPoints(tuple(points), (100, 10), (20, 0)), Moves(is_mirrored=True)).points

    seen = {index: point for index, point in enumerate(mirrored) if point}
    assert seen == {0: (110, 1), 7: (130, 2), 9: (90, 3), 15: (118, 4), 16: (80, 5)}


@pytest.mark.parametrize("name", ["standing", "side", "back"])
def test_mirror_when_of_a_person_then_a_raised_left_hand_is_a_raised_right_hand(name: str) -> None:
    pose = POSE_PRESETS[name].key_points

    mirrored = moved(pose, Moves(is_mirrored=True))

    for right, left in ((2, 5), (4, 7), (8, 11), (10, 13), (14, 15), (16, 17)):
        for ours, theirs in ((right, left), (left, right)):
            was, now = pose.points[ours], mirrored.points[theirs]
            assert now == (was and (256 - was[0], was[1]))


@repeatable
@given(poses(), st.floats(0, 0.4))
def test_fit_when_done_then_all_seen_points_lie_inside_of_the_margin_and_touch_it(
    pose: KeyPoints, margin: float
) -> None:
    assume(sum(point is not None for point in pose.points) >= 3)
    assume(extent(pose).max() > 0.001)

    fitted = moved(pose, Moves(margin=margin))

    shares = shares_of(fitted)
    assert np.nanmin(shares) >= margin - 1e-6
    assert np.nanmax(shares) <= 1 - margin + 1e-6
    assert extent(fitted).max() == pytest.approx(1 - 2 * margin, abs=1e-6)
    middle = (np.nanmax(shares, axis=0) + np.nanmin(shares, axis=0)) / 2
    np.testing.assert_allclose(middle, 0.5, atol=1e-6)


@repeatable
@given(poses(), st.floats(0, 0.4), st.floats(0.1, 10))
def test_moves_when_they_scale_then_proportions_stay(pose: KeyPoints, margin: float, scale: float) -> None:
    assume(sum(point is not None for point in pose.points) >= 3)
    assume(extent(pose).min() > 0.01)

    after = moved(pose, Moves(margin=margin, scale=scale))

    width, height = extent(pose)
    new_width, new_height = extent(after)
    assert new_width / new_height == pytest.approx(width / height, rel=1e-6)


@repeatable
@given(poses(), st.floats(0.1, 10))
def test_scale_when_done_then_the_middle_stays_and_the_extent_grows(pose: KeyPoints, scale: float) -> None:
    assume(any(pose.points))

    scaled = moved(pose, Moves(scale=scale))

    np.testing.assert_allclose(extent(scaled), scale * extent(pose), atol=1e-6)
    before, after = shares_of(pose), shares_of(scaled)
    for side in (np.nanmin, np.nanmax):
        assert np.isfinite(side(after))
    np.testing.assert_allclose(
        np.nanmin(after, axis=0) + np.nanmax(after, axis=0), np.nanmin(before, axis=0) + np.nanmax(before, axis=0),
        atol=1e-6,
    )  # fmt: skip


@repeatable
@given(poses(), st.floats(-256, 256), st.floats(-256, 256))
def test_shift_when_done_then_it_is_in_px_of_the_models_frame(pose: KeyPoints, dx: float, dy: float) -> None:
    shifted = moved(pose, Moves(shift=(dx, dy)))

    expected = shares_of(pose) + np.array([dx, dy]) / 256
    np.testing.assert_allclose(shares_of(shifted), expected, atol=1e-6)


@repeatable
@given(
    poses(), st.booleans(), st.none() | st.floats(0, 0.4), st.floats(0.1, 10), st.tuples(*2 * [st.floats(-256, 256)])
)
def test_moves_when_all_are_asked_for_then_they_happen_one_after_another(
    pose: KeyPoints, is_mirrored: bool, margin: float | None, scale: float, shift: tuple[float, float]
) -> None:
    at_once = moved(pose, Moves(is_mirrored, margin, scale, shift))

    steps = (Moves(is_mirrored=is_mirrored), Moves(margin=margin), Moves(scale=scale), Moves(shift=shift))
    one_by_one = pose
    for step in steps:
        one_by_one = moved(one_by_one, step)
    assert at_once == one_by_one
    assert (at_once.size, at_once.origin) == (pose.size, pose.origin)
    seen = [point is not None for point in one_by_one.points]
    assert sum(seen) == sum(point is not None for point in pose.points)


@pytest.mark.parametrize("points", [(None,) * 18, ((5.0, 5.0),) * 18], ids=["nothing seen", "one place"])
def test_moves_when_there_is_nothing_to_scale_then_they_come_to_an_end(points: tuple) -> None:
    after = moved(KeyPoints(points, (10, 10)), Moves(True, 0.1, 2, (256, 0)))

    assert [point is None for point in after.points] == [point is None for point in points]
    assert all(point is None or np.isfinite(point).all() for point in after.points)
