"""Colours and brightness of surfaces in numpy: those of native/textures.h, sum for sum.

All points at once: rest [P, 3] float32, arm [P] float32. Does not know pixels (`xmdpt.persons.numpy_rasteriser`).
"""

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.appearance import ARM_PER_METRE, Appearance, Colour, Logo, Pattern, Scenery
from xmdpt.persons.body import Float32
from xmdpt.persons.layers import Layer

Numbers = NDArray[np.float32]

_f = np.float32


def surface_colour(look: Appearance, layer: Layer, rest: Float32, arm: Float32) -> Float32:
    """Return [P, 3] before any light, of points of one layer."""
    match layer:
        case Layer.SKIN:
            return _skin_colour(look, rest)
        case Layer.EYES:
            return _eye_colour(look, rest)
        case Layer.TOP:
            share = _pattern_share(look.top_pattern, _f(look.top_frequency), rest, arm)
            share = np.where(_is_in_logo(look, rest), _f(1), share)
            return _mix(look.top, look.top_accent, share)
        case Layer.TROUSERS | Layer.SKIRT:
            share = _pattern_share(look.bottom_pattern, _f(look.bottom_frequency), rest, np.full_like(arm, -0.5))
            return _mix(look.bottom, look.bottom_accent, share)
        case Layer.LONG_HAIR | Layer.SCALP:
            strands = noise(rest[:, 0] * _f(90) + _f(look.texture_offset), rest[:, 1] * _f(90), rest[:, 2] * _f(9))
            return (_rgb(look.hair) * (_f(0.75) + _f(0.5) * strands)[:, None]).astype(np.float32, copy=False)
        case Layer.SHOES:
            return _rgb(look.shoes) * np.where(rest[:, 2] < _f(-0.853), _f(1.6), _f(1))[:, None]


def brightness(look: Appearance, scenery: Scenery, layer: Layer, rest: Float32, normals: Float32) -> Numbers:
    """Return [P], 0 or above, by which colours of one layer are multiplied; normals [P, 3] of any length."""
    x, y, z = normals.T
    length = np.sqrt(x * x + y * y + z * z) + _f(1e-9)
    x, y, z = x / length, y / length, z / length
    crease = np.ones_like(x)
    fold = {Layer.SKIRT: _f(1.4), Layer.TOP: _f(1), Layer.TROUSERS: _f(1)}.get(layer, _f(0)) * _f(look.fold_strength)
    if fold > 0:
        s = _f(look.texture_offset)
        coarse = noise(rest[:, 0] * _f(14) + s, rest[:, 1] * _f(14), rest[:, 2] * _f(7) + s) - _f(0.5)
        fine = noise(rest[:, 0] * _f(34), rest[:, 1] * _f(34) + s, rest[:, 2] * _f(20)) - _f(0.5)
        crease += fold * (_f(0.7) * coarse + _f(0.4) * fine)
        x = x + fold * _f(0.8) * coarse
        z = z + fold * _f(0.6) * fine
    light_x, light_y, light_z = _rgb(scenery.light)
    ambience = _f(scenery.ambience)
    facing = _f(0.5) * (x * light_x + y * light_y + z * light_z) + _f(0.5)
    lit = ambience + (_f(1) - ambience) * _f(1.25) * (facing * facing) + _f(0.06) * z
    return np.maximum(0, lit * crease)


def noise(x: Numbers, y: Numbers, z: Numbers) -> Numbers:
    """Return smooth noise [P], 0..1."""
    corners = [np.floor(v) for v in (x, y, z)]
    shares = [v - corner for v, corner in zip((x, y, z), corners, strict=True)]
    smooth = [a * a * (_f(3) - _f(2) * a) for a in shares]
    weights = [(_f(1) - a, a) for a in smooth]
    ix, iy, iz = (corner.astype(np.int64) for corner in corners)
    total = np.zeros_like(x)
    for k in range(2):
        for j in range(2):
            for i in range(2):
                total += _hash(ix + i, iy + j, iz + k) * weights[0][i] * weights[1][j] * weights[2][k]
    return total


def _hash(x: NDArray[np.int64], y: NDArray[np.int64], z: NDArray[np.int64]) -> Numbers:
    """Return [P] pseudo-random numbers 0..1 of integers, in 32 bits that wrap round."""
    h = x.astype(np.uint32) * np.uint32(374761393)
    h += y.astype(np.uint32) * np.uint32(668265263) + z.astype(np.uint32) * np.uint32(2147483647)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h ^= h >> np.uint32(16)
    return (h & np.uint32(0xFFFFFF)).astype(np.float32) / _f(16777216)


def _pattern_share(pattern: Pattern, frequency: np.float32, rest: Float32, arm: Float32) -> Numbers:
    """Return [P], share of the second colour."""
    height = np.where(arm > _f(0.25), -arm / _f(ARM_PER_METRE), rest[:, 2]).astype(np.float32, copy=False)
    across, along = rest[:, 0] * frequency, height * frequency
    share = np.zeros_like(across)
    match pattern:
        case Pattern.HORIZONTAL_STRIPES:
            share[_fraction(along) < _f(0.5)] = 1
        case Pattern.VERTICAL_STRIPES:
            share[_fraction(across) < _f(0.4)] = 1
        case Pattern.CHECKS:
            share[_fraction(along) < _f(0.5)] += _f(0.5)
            share[_fraction(across) < _f(0.5)] += _f(0.5)
        case Pattern.DOTS:
            x, y = _fraction(across) - _f(0.5), _fraction(along) - _f(0.5)
            share[x * x + y * y < _f(0.08)] = 1
        case Pattern.BLOCK:
            share[height > _f(0.28)] = 1
        case Pattern.GRADIENT:
            share = np.clip((height + _f(0.1)) * _f(1.8), 0, 1)
        case Pattern.BLOTCHES:
            share[noise(across, rest[:, 1] * frequency, along) > _f(0.55)] = 1
        case Pattern.SLEEVES:
            share[arm > _f(0.12)] = 1
        case Pattern.DIAGONAL_STRIPES:
            share[_fraction(np.add(along, across, dtype=np.float32)) < _f(0.5)] = 1
    return share


def _is_in_logo(look: Appearance, rest: Float32) -> NDArray[np.bool_]:
    x, z, radius = rest[:, 0] - _f(look.logo_x), rest[:, 2] - _f(look.logo_z), _f(look.logo_radius)
    match look.logo:
        case Logo.NONE:
            is_inside = np.zeros(len(rest), dtype=bool)
        case Logo.DISC:
            is_inside = x * x + z * z < radius * radius
        case Logo.BOX:
            is_inside = (np.abs(x) < radius) & (np.abs(z) < _f(0.6) * radius)
        case Logo.DIAMOND:
            is_inside = np.abs(x) + np.abs(z) < radius
        case Logo.TRIANGLE:
            is_inside = (np.abs(z) < radius) & (np.abs(x) < _f(0.6) * (radius - z))
    return is_inside & (rest[:, 1] < 0)


def _skin_colour(look: Appearance, rest: Float32) -> Float32:
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    colour = np.tile(_rgb(look.skin), (len(rest), 1))
    lips = (y < _f(-0.095)) & (x < _f(0.024)) & (np.abs(z - _f(0.583)) < _f(0.009) * (_f(1) - x / _f(0.03)))
    slant = z - _f(0.6725) + _f(0.1) * (x - _f(0.031))
    brows = (y < _f(-0.085)) & (np.abs(x - _f(0.031)) < _f(0.018)) & (np.abs(slant) < _f(0.0035))
    cheeks = (y < _f(-0.08)) & (z > _f(0.59)) & (z < _f(0.64)) & (x > _f(0.02))
    colour[lips] = look.lips
    colour[brows] = _rgb(look.hair) * _f(0.8) + _rgb(look.skin) * _f(0.1)
    colour[cheeks, 1:] -= _f(0.06)
    return colour


def _eye_colour(look: Appearance, rest: Float32) -> Float32:
    x, z = np.abs(rest[:, 0]) - _f(0.0297), rest[:, 2] - _f(0.6486)
    distance = np.sqrt(x * x + z * z)[:, None]
    return np.where(distance < _f(0.0030), _f(0.03), np.where(distance < _f(0.0068), _rgb(look.iris), _f(0.9)))


def _mix(first: Colour, second: Colour, share: Numbers) -> Float32:
    mixed = _rgb(first) + (_rgb(second) - _rgb(first)) * share[:, None]
    return mixed.astype(np.float32, copy=False)


def _rgb(numbers: Colour) -> Float32:
    return np.array(numbers, dtype=np.float32)


def _fraction(x: Numbers) -> Numbers:
    return x - np.floor(x)
