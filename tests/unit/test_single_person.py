"""The one person in a photo: the frame around it, and the checks, on the bundled and on rendered persons."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.unit.photos_of_persons import PERSON, in_a_wide_photo, photo_of, unsuitable
from xmdpt.pose_estimation import PoseEstimator, UnsuitablePhotoError, find_person
from xmdpt.pose_estimation.framing import ASPECT, person_frame, torso_of

# Of a standing person in a photo of 400 x 400 px; a torso of 60 px.
STANDING = np.array(
    [
        *((200, 100), (200, 130), (185, 130), (180, 165), (178, 195), (215, 130), (220, 165), (222, 195)),
        *((190, 190), (190, 240), (190, 290), (210, 190), (210, 240), (210, 290)),
        *((195, 95), (205, 95), (190, 97), (210, 97)),
    ],
    np.float64,
)
ANKLES, LEGS, ARMS = [10, 13], [9, 10, 12, 13], [3, 4, 6, 7]
MISSING = -1


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return PoseEstimator()


def without(points: NDArray[np.float64], *places: int) -> NDArray[np.float64]:
    points = points.copy()
    points[list(places)] = MISSING
    return points


def frame_of(points: NDArray[np.float64], width: int = 400, height: int = 400) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    torso = torso_of(points)
    assert torso
    left, top, frame_width, frame_height = person_frame(points, torso, width, height)
    assert frame_width / frame_height == pytest.approx(ASPECT)
    return left, top, left + frame_width, top + frame_height


def test_torso_when_a_shoulder_and_a_hip_are_seen_then_from_one_to_the_other() -> None:
    torso = torso_of(without(STANDING, 1, 2, 11))

    assert torso
    assert torso.shoulders.tolist() == [215, 130]
    assert torso.hips.tolist() == [190, 190]
    assert torso.length == pytest.approx(65)


@pytest.mark.parametrize("missing", [(1, 2, 5), (8, 11)], ids=["shoulders", "hips"])
def test_torso_when_neither_of_a_pair_is_seen_then_none(missing: tuple[int, ...]) -> None:
    assert torso_of(without(STANDING, *missing)) is None


def test_frame_when_all_of_the_person_is_seen_then_crown_and_soles_with_margins() -> None:
    left, top, right, bottom = frame_of(STANDING)

    # From 130 - 0.72 x 60 to 290 + 0.27 x 60, and a twentieth of that at each end.
    assert (top, bottom) == pytest.approx((75.9, 317.2), abs=0.1)
    assert (left + right) / 2 == pytest.approx(200)


def test_frame_when_the_photo_cuts_the_legs_off_then_it_ends_with_the_photo() -> None:
    *_, bottom = frame_of(without(STANDING, *LEGS), height=215)

    assert bottom == 215


def test_frame_when_the_feet_are_hidden_then_as_far_as_legs_reach_and_not_beyond_the_photo() -> None:
    *_, bottom = frame_of(without(STANDING, *ANKLES))

    # The knees and 0.8 torsos, and a margin.
    assert bottom == pytest.approx(240 + 0.8 * 60 + 10, abs=1)


def test_frame_when_arms_are_spread_then_wide_enough_and_higher_than_the_body() -> None:
    spread = STANDING.copy()
    spread[ARMS] = [[140, 130], [60, 130], [260, 130], [340, 130]]

    left, top, right, bottom = frame_of(spread)

    assert left < 50
    assert right > 350
    assert (top + bottom) / 2 == pytest.approx((86.8 + 306.2) / 2, abs=1)


def test_frame_when_arms_are_spread_over_cut_legs_then_it_grows_at_the_top() -> None:
    spread = without(STANDING, *LEGS)
    spread[ARMS] = [[140, 130], [60, 130], [260, 130], [340, 130]]

    _, top, _, bottom = frame_of(spread, height=215)

    assert bottom == 215
    assert top < -100


def test_person_when_the_photo_is_wide_then_found_with_a_frame_around(estimator: PoseEstimator) -> None:
    alone, wide = find_person(estimator, photo_of(PERSON)), find_person(estimator, in_a_wide_photo(120))

    seen = (alone.key_points != MISSING).any(axis=1) & (wide.key_points != MISSING).any(axis=1)
    distances = np.linalg.norm(wide.key_points - alone.key_points - [120, 0], axis=1)[seen]
    assert np.median(distances) < 3
    assert wide.frame == pytest.approx((120 + alone.frame[0], *alone.frame[1:]), abs=8)


@pytest.mark.parametrize("code", ["no_person", "several_persons", "person_too_small", "person_out_of_frame"])
def test_person_when_the_photo_is_unsuitable_then_the_reason(estimator: PoseEstimator, code: str) -> None:
    with pytest.raises(UnsuitablePhotoError) as error:
        find_person(estimator, unsuitable(code))

    assert error.value.reason == code


def test_person_when_a_smaller_one_stands_by_then_the_larger_one_is_found(estimator: PoseEstimator) -> None:
    person = photo_of(PERSON)
    smaller = np.asarray(Image.fromarray(person).resize((74, 108), Image.Resampling.LANCZOS))
    photo = np.concatenate([person, np.pad(smaller, ((256 - 108, 0), (0, 0), (0, 0)), mode="edge")], axis=1)
    alone = find_person(estimator, person)

    found = find_person(estimator, photo)

    assert len(estimator.detect(photo)) == 2
    assert found.frame == pytest.approx(alone.frame, abs=8)


@pytest.mark.parametrize("place", [(30, 700), (800, 40), (640, 900)])
def test_person_when_small_in_the_photo_then_found_in_a_part_as_exactly(
    estimator: PoseEstimator, place: tuple[int, int]
) -> None:
    person = photo_of(PERSON)
    alone = find_person(estimator, person)
    left, top = place
    beyond = ((top, 1280 - 256 - top), (left, 1280 - 176 - left), (0, 0))
    photo = np.pad(person, beyond, mode="edge")

    found = find_person(estimator, photo)

    assert estimator.estimate(photo) is None, "in the whole it is too small"
    both = (alone.key_points != MISSING).any(axis=1) & (found.key_points != MISSING).any(axis=1)
    assert both.sum() >= 14
    assert np.median(np.linalg.norm(found.key_points - alone.key_points - place, axis=1)[both]) < 3


@pytest.mark.parametrize("size", [(1, 1), (16, 400), (400, 16), (333, 77)])
def test_person_when_the_photo_is_of_a_strange_shape_then_nobody(
    estimator: PoseEstimator, size: tuple[int, int]
) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)

    with pytest.raises(UnsuitablePhotoError, match="nobody was found"):
        find_person(estimator, photo)
