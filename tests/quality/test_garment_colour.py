"""The garment colour error against colours whose CIELAB values are known."""

import math

import numpy as np
import pytest

from xmdpt.quality.colour import garment_colour_error, to_lab

# Bruce Lindbloom's calculator, sRGB with D65.
KNOWN = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (119, 119, 119): (50.03, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.74, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
}


def flat(colour: tuple[int, int, int], side: int = 8) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)


@pytest.mark.parametrize("colour", KNOWN)
def test_lab_when_a_colour_is_known_then_its_values(colour: tuple[int, int, int]) -> None:
    assert to_lab(np.array(colour, np.uint8)) == pytest.approx(KNOWN[colour], abs=0.02)


def test_error_when_white_should_have_been_black_then_100() -> None:
    everywhere = np.ones((8, 8), bool)

    assert garment_colour_error(flat((255, 255, 255)), flat((0, 0, 0)), everywhere) == pytest.approx(100, abs=0.01)


def test_error_when_a_quarter_of_the_garment_is_wrong_then_a_quarter_of_the_difference() -> None:
    garments = np.zeros((8, 8), bool)
    garments[:4] = True
    picture, truth = flat((255, 0, 0)), flat((255, 0, 0))
    picture[:1] = (0, 0, 255)
    difference = np.linalg.norm(np.subtract(KNOWN[(255, 0, 0)], KNOWN[(0, 0, 255)]))

    assert garment_colour_error(picture, truth, garments) == pytest.approx(difference / 4, rel=1e-3)


def test_error_when_only_the_background_is_wrong_then_0() -> None:
    garments = np.zeros((8, 8), bool)
    garments[2:6, 2:6] = True
    picture = np.where(garments[..., None], flat((10, 20, 30)), flat((200, 0, 0))).astype(np.uint8)

    assert garment_colour_error(picture, flat((10, 20, 30)), garments) == 0


def test_error_when_there_is_no_garment_then_nan() -> None:
    assert math.isnan(garment_colour_error(flat((1, 2, 3)), flat((1, 2, 3)), np.zeros((8, 8), bool)))
