"""Which part of a layer a person has, in numpy: those of native/cuts.h, sum for sum.

All points at once: rest [P, 3] float32, arm [P] float32. Does not colour them (`xmdpt.persons.numpy_textures`).
"""

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.appearance import Appearance
from xmdpt.persons.body import Float32
from xmdpt.persons.layers import Layer

Bools = NDArray[np.bool_]

_SKIN_MARGIN = np.float32(0.012)


def is_worn(look: Appearance, layer: Layer) -> bool:
    """Tell whether a person has anything of a layer."""
    return {
        Layer.TROUSERS: look.wears_trousers,
        Layer.SKIRT: look.wears_skirt,
        Layer.LONG_HAIR: look.has_long_hair,
    }.get(layer, True)


def is_cut_out(look: Appearance, layer: Layer, rest: Float32, arm: Float32) -> Bools:
    """Return [P], which points of a layer are not there."""
    z, no_margin = rest[:, 2], np.float32(0)
    is_there = np.ones(len(rest), dtype=bool)
    match layer:
        case Layer.TROUSERS:
            is_there = _is_in_trousers(look, rest, arm, no_margin)
        case Layer.TOP:
            is_there = _is_in_top(look, rest, arm, no_margin)
        case Layer.SKIRT:
            is_there = _is_in_skirt(look, rest, no_margin)
        case Layer.LONG_HAIR:
            is_there = (z > np.float32(look.hair_end)) & _is_long_hair(rest)
        case Layer.SCALP:
            is_there = _is_scalp(look, rest)
        case Layer.SHOES:
            is_there = z < np.float32(look.shoe_top)
    return ~is_there


def layer_over_skin(look: Appearance, rest: Float32, arm: Float32) -> NDArray[np.uint8]:
    """Return [P], as which layer each point of the skin is painted."""
    z = rest[:, 2]
    is_skirt = (
        (arm < np.float32(-0.2)) & (z < np.float32(0.09)) & _is_in_skirt(look, rest, np.float32(3) * _SKIN_MARGIN)
    )
    painted = [
        (_is_in_top(look, rest, arm, _SKIN_MARGIN), Layer.TOP),
        (_is_in_trousers(look, rest, arm, _SKIN_MARGIN), Layer.TROUSERS),
        (is_skirt, Layer.SKIRT),
        (z < np.float32(look.shoe_top) - np.float32(0.005), Layer.SHOES),
    ]
    return np.select([where for where, _ in painted], [layer for _, layer in painted], Layer.SKIN).astype(np.uint8)


def _is_in_top(look: Appearance, rest: Float32, arm: Float32, margin: np.float32) -> Bools:
    x, z = np.abs(rest[:, 0]), rest[:, 2]
    is_below_sleeve = arm > np.float32(look.sleeve_end) - margin
    is_below_hem = (z < np.float32(look.hem) + margin) & (arm < np.float32(0.2))
    is_above_collar = (x < np.float32(0.10)) & (arm < np.float32(-0.2)) & (z > np.float32(look.collar) - margin)
    return ~(is_below_sleeve | is_below_hem | is_above_collar) & _is_under_neckline(look, rest)


def _is_under_neckline(look: Appearance, rest: Float32) -> Bools:
    depth, half_width = np.float32(look.neck_depth), np.float32(look.neck_half_width)
    if depth <= 0:
        return np.ones(len(rest), dtype=bool)
    share = np.abs(rest[:, 0]) / half_width
    is_front = rest[:, 1] < np.float32(-0.01)
    dip = np.where(is_front, depth, np.float32(0.25) * depth)
    round_shape = np.sqrt(np.maximum(0, 1 - share * share))
    shape = np.where(is_front, 1 - share, round_shape) if look.is_v_neck else round_shape
    return (np.abs(rest[:, 0]) >= half_width) | (rest[:, 2] <= np.float32(0.515) - dip * shape)


def _is_in_trousers(look: Appearance, rest: Float32, arm: Float32, margin: np.float32) -> Bools:
    z = rest[:, 2]
    is_between = (z <= np.float32(look.waist) - margin) & (z >= np.float32(look.leg_end) + margin)
    return (arm <= np.float32(-0.2)) & is_between & look.wears_trousers


def _is_in_skirt(look: Appearance, rest: Float32, margin: np.float32) -> Bools:
    return (rest[:, 2] > np.float32(look.skirt_hem) + margin) & look.wears_skirt


def _is_long_hair(rest: Float32) -> Bools:
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    is_face = (y < np.float32(-0.04)) & (z < np.float32(0.70)) & (x < np.float32(0.076))
    return ~((y < np.float32(-0.07)) & (z < np.float32(0.715))) & ~is_face


def _is_scalp(look: Appearance, rest: Float32) -> Bools:
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    hairline = np.float32(0.690) + np.float32(0.018) * np.float32(look.hairline)
    is_neck = (z < np.float32(0.585)) | ((z < np.float32(0.60)) & (y < np.float32(0.02)))
    is_forehead = (y < np.float32(-0.035)) & (z < hairline)
    is_cheek = (y < np.float32(-0.015)) & (z < np.float32(0.645))
    is_temple = (x > np.float32(0.066)) & (y < 0) & (z < np.float32(0.66))
    return ~(is_neck | is_forehead | is_cheek | is_temple)
