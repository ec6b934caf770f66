"""Key points move from the frame they were given in to the model's square, as the photo's pixels do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmdpt.skeleton import MISSING, to_frame

DEEPFASHION = {"size": (176, 256), "origin": (40, 0)}
"""The annotation's 256 px square, where a photo 176 px wide stands between two white bars."""

coordinates = st.floats(-300, 600).filter(lambda x: x != MISSING)


def padded(*points: tuple[float, float]) -> np.ndarray:
    return np.array([*points, *[(MISSING, MISSING)] * (18 - len(points))])


def test_frame_when_deepfashions_then_the_photos_corners_are_the_squares() -> None:
    moved = to_frame(padded((40, 0), (216, 0), (40, 256), (216, 256), (128, 100)), **DEEPFASHION)
    assert moved[:5].tolist() == [[0, 0], [256, 0], [0, 256], [256, 256], [128, 100]]


def test_frame_when_a_point_is_missing_then_it_stays_missing() -> None:
    assert (to_frame(padded(), **DEEPFASHION) == MISSING).all()


def test_frame_when_a_point_lies_in_the_white_bar_then_off_the_frame() -> None:
    (x, y), *_ = to_frame(padded((29, 10)), **DEEPFASHION)
    assert (x, y) == (-16, 10)


def test_frame_when_only_one_coordinate_is_minus_1_then_it_is_a_point() -> None:
    moved = to_frame(padded((MISSING, 64), (64, MISSING)), size=(128, 128), origin=(0, 0))
    assert moved[:2].tolist() == [[-2, 128], [128, -2]]


@given(
    st.lists(st.tuples(coordinates, coordinates), min_size=18, max_size=18),
    st.tuples(st.floats(1, 4000), st.floats(1, 4000)),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_frame_when_any_then_the_inverse_leads_back(
    points: list[tuple[float, float]], size: tuple[float, float], origin: tuple[float, float]
) -> None:
    moved = to_frame(points, size, origin)

    assert moved.dtype == np.float64
    assert moved * np.array(size) / 256 + np.array(origin) == pytest.approx(np.array(points), abs=1e-6)


def test_frame_when_already_the_square_then_nothing_moves() -> None:
    points = np.arange(36, dtype=float).reshape(18, 2)
    assert (to_frame(points, size=(256, 256), origin=(0, 0)) == points).all()


@pytest.mark.parametrize("shape", [(17, 2), (18, 3), (36,)])
def test_frame_when_the_shape_is_wrong_then_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[18, 2\], not"):
        to_frame(np.zeros(shape), **DEEPFASHION)
