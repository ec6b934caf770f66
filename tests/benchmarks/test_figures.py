"""Figures: their statistics, what they should come to, and their way to JSON and back."""

import json
import math

import pytest

from benchmarks.figures import Figure, Result, Target, ratios

OCCASION = {"date": "2026-11-28", "commit": "abc", "machine": "a machine", "versions": "some", "load": "0.0"}


def test_figure_when_it_has_values_then_median_and_quartiles_are_theirs() -> None:
    figure = Figure("x", [5, 1, 2, 4, 3])

    assert figure.median == 3
    assert figure.quartiles == (2, 4)


def test_figure_when_one_value_is_far_off_then_the_median_stays() -> None:
    assert Figure("x", [1.0, 1.1, 900.0]).median == pytest.approx(1.1)


def test_figure_when_it_has_one_value_then_all_of_its_statistics_are_that() -> None:
    figure = Figure("x", [2.5])

    assert (figure.median, *figure.quartiles) == (2.5, 2.5, 2.5)


def test_figure_when_it_has_no_values_then_refused() -> None:
    with pytest.raises(ValueError, match="x: no values"):
        Figure("x", [])


def test_ratios_when_a_round_was_slow_on_both_sides_then_it_does_not_show() -> None:
    assert ratios([2.0, 20.0, 2.2], [1.0, 10.0, 1.1]) == pytest.approx([2, 2, 2])


def test_ratios_when_a_side_has_fewer_rounds_then_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("side", "value", "is_met"),
    [
        ("at least", 2.0, True),
        ("at least", 1.99, False),
        ("at most", 2.0, True),
        ("at most", 2.01, False),
        ("at least", math.nan, False),
        ("at most", math.nan, False),
    ],
)
def test_target_when_compared_then_the_bound_itself_meets_it_and_no_number_does_not(
    side: str, value: float, is_met: bool
) -> None:
    target = Target(2.0, side)  # pyright: ignore[reportArgumentType]

    assert target.is_met(value) is is_met
    assert Figure("x", [value], target=target).is_met is is_met


def test_figure_when_it_has_no_target_then_there_is_nothing_to_meet() -> None:
    assert Figure("x", [1.0]).is_met is None


def test_result_when_written_as_json_and_read_then_it_is_the_same() -> None:
    figures = [Figure("a", [1.5, 2.5], target=Target(1.0, "at least")), Figure("b", [0.25], "s")]
    result = Result("B1", "title", figures, False, OCCASION)

    written = json.loads(json.dumps(result.to_json()))

    assert Result.from_json(written) == result
    assert written["figures"][0]["median"] == 2.0
    assert written["figures"][0]["quartiles"] == [1.75, 2.25]
    assert [figure["is_met"] for figure in written["figures"]] == [True, None]
