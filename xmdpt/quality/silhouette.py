"""Where a picture shows a person: all that differs from the picture's own background.

Knows no truth; the renderer's materials are the truth that `intersection_over_union` is taken with.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""[H, W], true on the person."""

# Persons touch the lower border mostly, the others rarely.
_BAND_PX = 8
# In CIELAB distances. Backgrounds of the renderer stay within 1 of the plane; an autoencoder's noise reaches 4.
_MAX_BACKGROUND_DEVIATION = 4.0
# A lower one takes the halo round a rebuilt person for a part of it, a higher one loses pale clothes.
_MIN_PERSON_DIFFERENCE = 9.0
_MAX_START_DEVIATION = 20.0
# Of the fit; on rendered pictures two would do.
_NUM_ROUNDS = 4
# A speck of so few pixels is noise: 0.1 % of the picture, a twentieth of a small person's head.
_MIN_AREA_PX = 64


def find_silhouette(picture: NDArray[np.uint8]) -> Mask:
    """Return where a person stands before a plain background that may run between colours.

    The background is a plane in CIELAB over the picture, fitted to the pixels along its upper, left and right border
    without those that do not fit it. The person is what lies more than a fixed colour difference beside that plane,
    less specks. Clothes of the background's colour are missed, so even the truth's own pictures do not reach 1: their
    score is this method's ceiling and belongs beside every other.

    Args:
        picture: [H, W, 3] uint8 RGB.
    """
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).astype(np.float32, copy=False)
    difference = np.linalg.norm(lab - _background(lab), axis=2)
    return _without_specks(difference > _MIN_PERSON_DIFFERENCE)


def intersection_over_union(found: Mask, true: Mask) -> float:
    """Return 0 for masks apart to 1 for equal ones; two empty masks are equal."""
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else 1.0


def _background(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width, _ = lab.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    plane = np.stack([np.ones_like(x), x, y], axis=2).astype(np.float32)
    border = np.zeros((height, width), dtype=bool)
    border[:_BAND_PX] = border[:, :_BAND_PX] = border[:, -_BAND_PX:] = True
    places, colours = plane[border], lab[border]
    coefficients = np.zeros((3, 3), dtype=np.float32)
    coefficients[0] = np.median(colours, axis=0)
    limit = _MAX_START_DEVIATION
    for _ in range(_NUM_ROUNDS):
        deviations = np.linalg.norm(colours - places @ coefficients, axis=1)
        # The better half stays in any case: a noisy background is still the background.
        fits = deviations <= max(limit, float(np.median(deviations)))
        coefficients = np.linalg.lstsq(places[fits], colours[fits], rcond=None)[0]
        limit = _MAX_BACKGROUND_DEVIATION
    return plane @ coefficients


def _without_specks(mask: Mask) -> Mask:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    is_large = statistics[:, cv2.CC_STAT_AREA] >= _MIN_AREA_PX
    is_large[0] = False  # The background is the first component.
    return is_large[labels.astype(np.intp)]
