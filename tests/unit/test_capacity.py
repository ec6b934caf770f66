"""The step curve between, on and beyond its points."""

import pytest

from service.domain.capacity import StepCurve

CURVE = StepCurve(((1, 0.3), (4, 0.6), (8, 1.4)), call_seconds=0.1)


@pytest.mark.parametrize(
    ("rows", "seconds"), [(1, 0.3), (2, 0.4), (4, 0.6), (6, 1.0), (6.5, 1.1), (8, 1.4), (10, 1.8), (0.5, 0.25)]
)
def test_seconds_when_within_or_beyond_the_points_then_on_the_line_through_the_nearest_two(
    rows: float, seconds: float
) -> None:
    assert CURVE.seconds(rows) == pytest.approx(seconds)


@pytest.mark.parametrize(("rows", "seconds"), [(1, 0.5), (4, 0.5), (8, 1.0)])
def test_seconds_when_there_is_one_point_then_more_rows_take_as_much_longer(rows: int, seconds: float) -> None:
    assert StepCurve(((4, 0.5),)).seconds(rows) == pytest.approx(seconds)


def test_seconds_when_the_line_falls_below_nothing_then_nothing() -> None:
    assert StepCurve(((1, 1.0), (2, 0.1))).seconds(4) == 0


@pytest.mark.parametrize(("rows", "seconds"), [(1, 0.2), (8, 1.3)])
def test_network_seconds_when_asked_then_the_call_is_left_out(rows: int, seconds: float) -> None:
    assert CURVE.network_seconds(rows) == pytest.approx(seconds)


def test_network_seconds_when_the_call_seems_longer_than_the_step_then_nothing() -> None:
    assert StepCurve(((1, 0.1),), call_seconds=0.2).network_seconds(1) == 0


@pytest.mark.parametrize("points", [(), ((0, 1.0),), ((2, 1.0), (2, 1.0)), ((2, 1.0), (1, 1.0))])
def test_curve_when_its_rows_do_not_grow_from_one_then_refuses(points: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(ValueError, match="points"):
        StepCurve(points)


def test_max_rows_when_asked_then_the_largest_measured() -> None:
    assert CURVE.max_rows == 8
