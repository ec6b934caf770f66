"""Where the pose models look: anchors, detections, regions, and what is cut out of the photo."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmdpt.pose_estimation.anchors import anchor_centres
from xmdpt.pose_estimation.crops import cut, letterbox
from xmdpt.pose_estimation.detections import regions, sigmoid
from xmdpt.pose_estimation.regions import Region, region_between, whole_picture

NUM_ANCHORS = 2254


def a_gradient(width: int, height: int) -> NDArray[np.uint8]:
    """Red says where along the width a pixel is, green where along the height, in 200 steps."""
    y, x = np.mgrid[:height, :width]
    return np.stack([200 * (x + 0.5) / width, 200 * (y + 0.5) / height, 0 * x], axis=2).astype(np.uint8)


def test_anchors_when_counted_then_two_a_cell_of_28_and_14_and_six_of_7() -> None:
    anchors = anchor_centres()

    assert (anchors.shape, anchors.dtype) == ((NUM_ANCHORS, 2), np.float32)
    assert NUM_ANCHORS == 2 * 28**2 + 2 * 14**2 + 6 * 7**2
    assert anchors[[0, 1, 2]].tolist() == pytest.approx(np.array([[0.5, 0.5], [0.5, 0.5], [1.5, 0.5]]) / 28)
    assert anchors[2 * 28].tolist() == pytest.approx([0.5 / 28, 1.5 / 28])
    assert anchors[2 * 28**2].tolist() == pytest.approx([0.5 / 14, 0.5 / 14])
    assert anchors[-1].tolist() == pytest.approx([6.5 / 7, 6.5 / 7])
    assert len(np.unique(anchors, axis=0)) == 28**2 + 14**2 + 7**2


def test_region_when_the_edge_is_above_the_hips_then_upright() -> None:
    region = region_between(np.array([60.0, 80.0]), np.array([60.0, 40.0]), score=0.9)

    assert region == Region((60, 80), 100, 0, 0.9)
    assert region.is_upright
    assert region.to_photo() @ (0.5, 0.5, 1) == pytest.approx([60, 80])
    assert region.to_photo() @ (0.5, 0.1, 1) == pytest.approx([60, 40])


@given(st.floats(-math.pi, math.pi), st.floats(1, 500))
def test_region_when_turned_then_the_edge_is_straight_above_the_hips_in_it(angle: float, radius: float) -> None:
    edge = np.array([math.sin(angle), -math.cos(angle)]) * radius
    region = region_between(np.zeros(2), edge, score=0)

    assert region.to_photo() @ (0.5, 0.1, 1) == pytest.approx(edge, abs=1e-6)
    assert region.is_upright == (math.cos(angle) > -0.2)


def test_region_when_of_the_whole_picture_then_it_holds_the_picture() -> None:
    for width, height in ((176, 256), (640, 480)):
        corners = np.array([[0, 0, 1], [1, 1, 1]]) @ whole_picture(width, height).to_photo().T
        assert (corners[0] < 0).all()
        assert (corners[1] > (width, height)).all()


@pytest.mark.parametrize(("width", "height"), [(176, 256), (640, 480), (224, 224), (30, 20), (1, 3000)])
def test_letterbox_when_a_point_moves_into_the_square_then_the_way_back_is_exact(width: int, height: int) -> None:
    photo = a_gradient(width, height)
    shown = letterbox(photo)

    assert (shown.pixels.shape, shown.pixels.dtype) == ((224, 224, 3), np.float32)
    assert shown.pixels.min() == -1
    assert shown.pixels.max() <= 1
    corners = np.array([[0, 0], [width, height], [width / 3, height / 4]])
    inside = (corners * shown.scale + shown.origin) / 224
    assert shown.to_photo(inside) == pytest.approx(corners)
    # A bar, if there is one, is black, and the photo stands in the middle.
    assert (shown.origin >= 0).all()
    assert np.abs(224 - 2 * shown.origin - np.array([width, height]) * shown.scale).max() <= 1


def test_letterbox_when_it_shrinks_then_smoothed() -> None:
    rows, columns = np.indices((896, 896))
    checks = np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)

    assert np.abs(letterbox(checks).pixels).max() < 0.02
    assert np.abs(cut(checks, Region((448, 448), 1024, 0, 0))[80:170, 80:170] - 0.5).max() < 0.02


@given(
    st.tuples(st.floats(-50, 250), st.floats(-50, 350)), st.floats(20, 600), st.floats(-math.pi, math.pi),
)  # fmt: skip
@settings(max_examples=40)
def test_crop_when_cut_then_each_pixel_shows_its_place(centre: tuple[float, float], size: float, angle: float) -> None:
    width, height = 200, 300
    region = Region(centre, size, angle, 0)
    crop = cut(a_gradient(width, height), region)

    assert (crop.shape, crop.dtype) == ((256, 256, 3), np.float32)
    middles = (np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=2) + 0.5) / 256
    places = np.concatenate([middles, np.ones((256, 256, 1))], axis=2) @ region.to_photo().T
    # Away from the photo's edge by what the smoothing reaches.
    margin = 2 + 2 * size / 256
    is_inside = ((places > margin) & (places < (width - margin, height - margin))).all(axis=2)
    shown = crop[:, :, :2] * 255 * (width / 200, height / 200)
    # Levels are cut to whole numbers, 1.5 px of the height each, and rounded when shrunk and when turned.
    assert np.abs(shown - places)[is_inside].max(initial=0) < 4
    is_outside = ((places < -margin) | (places > (width + margin, height + margin))).any(axis=2)
    assert (crop[is_outside] == 0).all()


def test_crop_when_the_region_is_off_the_photo_then_black() -> None:
    assert (cut(a_gradient(200, 300), Region((-500, 10), 100, 0.3, 0)) == 0).all()


def test_crop_when_the_photo_is_wider_than_opencv_warps_then_still_cut() -> None:
    assert cut(a_gradient(40_000, 8), Region((20_000, 4), 64, 0, 0)).any()


def test_sigmoid_when_the_logit_is_huge_then_0_or_1() -> None:
    assert sigmoid(np.array([-1e4, 0, 1e4, np.log(3)], np.float32)).tolist() == pytest.approx([0, 0.5, 1, 0.75])


def detections(*persons: tuple[int, float, float]) -> list[Region]:
    """Of a square photo of 448 px, from (anchor, logit, radius in px of the detector's square) of persons."""
    boxes, logits = np.zeros((NUM_ANCHORS, 12), np.float32), np.full(NUM_ANCHORS, -9, np.float32)
    for anchor, logit, radius in persons:
        logits[anchor] = logit
        boxes[anchor] = [0, -radius / 2, 20, 20, 0, 0, 0, -radius, 0, 0, 0, 0]
    return regions(boxes, logits, letterbox(np.zeros((448, 448, 3), np.uint8)))


def test_detections_when_there_is_one_then_its_hips_and_size_in_px_of_the_photo() -> None:
    (region,) = detections((0, 2.0, 50))

    assert region.centre == pytest.approx((8, 8))
    assert region.size == pytest.approx(2 * 1.25 * 100)
    assert region.angle == pytest.approx(0)
    assert region.score == pytest.approx(1 / (1 + math.exp(-2)))


def test_detections_when_one_person_is_found_often_then_the_surest_stays() -> None:
    far = 2 * 28 * 20
    found = detections((0, 1.0, 50), (1, 3.0, 50), (2, 2.0, 50), (far, 0.5, 50))

    assert [round(region.score, 2) for region in found] == [0.95, 0.62]


def test_detections_when_all_scores_are_low_then_none() -> None:
    assert detections((0, -1.0, 50)) == []
