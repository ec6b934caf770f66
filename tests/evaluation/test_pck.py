"""PCK counts the true key points that were found within 5 % of the picture's side."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from xmdpt.pose_estimation.accuracy.pck import THRESHOLD, count_correct, pck
from xmdpt.skeleton import MISSING


def a_pose(**moved: tuple[float, float]) -> NDArray[np.float64]:
    """18 points on a diagonal, some of them elsewhere: p3=(x, y)."""
    pose = np.stack([np.arange(18.0) * 10 + 20] * 2, axis=1)
    for name, place in moved.items():
        pose[int(name.removeprefix("p"))] = place
    return pose


LOST = (MISSING, MISSING)


def test_pck_when_equal_then_1() -> None:
    assert pck(a_pose(), a_pose()) == 1


def test_pck_when_a_point_is_just_near_enough_then_correct() -> None:
    assert THRESHOLD * 256 == 12.8
    near, far = a_pose(p0=(32.75, 20)), a_pose(p0=(32.85, 20))
    assert pck(near, a_pose()) == 1
    assert pck(far, a_pose()) == pytest.approx(17 / 18)


def test_pck_when_the_way_is_diagonal_then_its_length_counts() -> None:
    assert pck(a_pose(p0=(30, 30)), a_pose()) == pytest.approx(17 / 18)
    assert pck(a_pose(p0=(29, 29)), a_pose()) == 1


def test_pck_when_an_estimate_is_missing_then_wrong() -> None:
    assert pck(a_pose(p4=LOST, p9=LOST), a_pose()) == pytest.approx(16 / 18)
    # Also where "missing" would lie near enough.
    assert pck(a_pose(p4=LOST), a_pose(p4=(3, 3))) == pytest.approx(17 / 18)


def test_pck_when_the_truth_has_no_such_point_then_not_counted() -> None:
    true = a_pose(p4=LOST, p9=LOST)
    assert pck(a_pose(p4=(200, 10)), true) == 1
    assert pck(a_pose(p4=LOST, p5=LOST), true) == pytest.approx(15 / 16)


def test_pck_when_another_threshold_or_side_is_given_then_it_holds() -> None:
    moved = a_pose(p0=(50, 20))
    assert pck(moved, a_pose(), threshold=0.12) == 1
    assert pck(moved, a_pose(), side_px=600) == 1
    assert pck(moved, a_pose(), side_px=599) < 1


def test_pck_when_the_truth_is_empty_then_nan_and_nothing_to_count() -> None:
    nothing = np.full((18, 2), MISSING)
    assert math.isnan(pck(a_pose(), nothing))
    assert count_correct(a_pose(), nothing) == (0, 0)


def test_count_when_of_some_points_then_whole_numbers() -> None:
    assert count_correct(a_pose(p0=LOST, p1=(0, 200)), a_pose(p2=LOST)) == (15, 17)


@pytest.mark.parametrize("shape", [(17, 2), (18, 3), (36,)])
def test_pck_when_the_shapes_differ_then_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"both poses must be \[K, 2\], not"):
        pck(np.zeros(shape), a_pose())
