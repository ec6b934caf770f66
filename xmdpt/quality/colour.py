"""The garment colour error: how far the clothes' colours are from the truth's, as an eye would say.

Does not find the clothes: the renderer knows each pixel's material.
"""

import math

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab


def to_lab(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIELAB [..., 3] of sRGB pixels [..., 3]: L 0..100, a and b about -110..110; white is D65.

    Source:
        IEC 61966-2-1 to CIE 1976 L*a*b*, 2 degree observer.
    """
    return rgb2lab(pixels)


def garment_colour_error(picture: NDArray[np.uint8], truth: NDArray[np.uint8], garments: NDArray[np.bool_]) -> float:
    """Return the mean CIE 1976 colour difference between picture and truth over the truth's garments.

    Pixels are compared in place. 2.3 is just noticeable; black and white are 100 apart. Where a garment was drawn
    somewhere else, the error is that of the background or the skin that stands there instead.

    Args:
        picture: [H, W, 3] uint8 RGB.
        truth: as picture.
        garments: [H, W], where the truth shows clothes or shoes.

    Returns:
        0 or more; NaN where the truth shows no garment.
    """
    if not garments.any():
        return math.nan
    difference = to_lab(picture[garments]) - to_lab(truth[garments])
    return float(np.linalg.norm(difference, axis=-1).mean())
