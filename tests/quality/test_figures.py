"""Figures of several pictures: joined and averaged, whatever is missing."""

import math

import numpy as np

from xmdpt.quality.figures import MEANINGS, Figures, joined


def some(*values: float) -> Figures:
    return Figures(**{name: np.array(values) for name in MEANINGS})


def test_means_when_a_picture_lacks_a_figure_then_those_that_have_it() -> None:
    assert set(some(1, math.nan, 3).means().values()) == {2}


def test_means_when_no_picture_has_it_then_nan() -> None:
    assert all(math.isnan(mean) for mean in some(math.nan).means().values())


def test_means_when_a_picture_equals_its_truth_then_infinite() -> None:
    assert some(30, math.inf).means()["psnr"] == math.inf


def test_joined_when_there_are_parts_then_their_pictures_in_order() -> None:
    columns = joined([some(1, 2), some(3)]).columns()

    assert list(columns) == list(MEANINGS)
    for values in columns.values():
        assert values.tolist() == [1, 2, 3]
