"""Pictures are photos of 176 x 256 px stretched to a square, framed round the person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmdpt.persons.camera import Camera, ViewStyle, sample_camera

FRONT = ViewStyle(
    yaws=(((0, 0), 1),),
    pitch_spread=0,
    full_body_share=1,
    height_share=(0.9, 0.9),
    upper_body_metres=(1, 1),
    jitter_metres=0,
)


def box(width: float, height: float, depth: float = 0.0) -> np.ndarray:
    x, y, z = width / 2, depth / 2, height / 2
    return np.array([[a, b, c] for a in (-x, x) for b in (-y, y) for c in (-z, z)], dtype=np.float32)


def test_projection_when_a_square_is_seen_then_stretched_as_a_photo_is() -> None:
    projected = Camera(x=0, z=0, focal_px=600).project(box(1, 1))
    width, height = np.ptp(projected[:, 0]), np.ptp(projected[:, 1])
    assert width / height == pytest.approx(256 / 176, rel=1e-5)


def test_projection_when_a_point_is_left_of_the_person_then_right_in_the_picture_and_up_is_up() -> None:
    left, above = Camera(0, 0, 600).project(np.array([[0.1, 0, 0], [0, 0, 0.1]], dtype=np.float32))
    assert left[0] > 128
    assert above[1] < 128


@given(st.floats(0.3, 1.0), st.floats(1.0, 2.0), st.floats(0, 0.5))
def test_framing_when_the_person_is_slim_then_as_high_as_asked(width: float, height: float, depth: float) -> None:
    outline = box(width * 0.5, height, depth)
    projected = sample_camera(np.random.default_rng(0), FRONT, outline, 0.0).project(outline)
    assert np.ptp(projected[:, 1]) == pytest.approx(0.9 * 256, abs=0.01)


@given(st.floats(0.2, 3.0), st.floats(0.5, 2.5), st.floats(-1, 1))
def test_framing_when_a_whole_person_is_asked_for_then_nothing_leaves_the_frame(
    width: float, height: float, torso_x: float
) -> None:
    outline = box(width, height, 0.4)
    camera = sample_camera(np.random.default_rng(1), FRONT, outline, torso_x * width / 2)
    projected = camera.project(outline)[:, :2]
    assert (projected >= 1.9).all()
    assert (projected <= 254.1).all()
