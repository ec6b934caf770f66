"""Draws how a person looks: skin and hair, the cuts, patterns and colours of its clothes.

Does not know bodies: only whether somebody's clothes are feminine. `xmdpt.persons.domain` holds the styles.
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np

from xmdpt.persons.appearance import Appearance, Colour, Logo, Pattern
from xmdpt.persons.chance import Range, Shares, choose, happens

_LIGHTEST_SKIN, _DARKEST_SKIN = np.array([0.96, 0.80, 0.70]), np.array([0.38, 0.24, 0.17])
_HAIR: Shares[Colour] = (
    ((0.08, 0.06, 0.05), 0.30),
    ((0.22, 0.13, 0.08), 0.27),
    ((0.40, 0.24, 0.12), 0.18),
    ((0.75, 0.58, 0.32), 0.13),
    ((0.55, 0.20, 0.10), 0.07),
    ((0.60, 0.60, 0.60), 0.05),
)
_IRIS: Shares[Colour] = (((0.25, 0.15, 0.08), 1), ((0.20, 0.40, 0.60), 1), ((0.25, 0.42, 0.25), 1))
_JEANS_AND_BLACK: Shares[Colour] = (((0.16, 0.22, 0.38), 1), ((0.32, 0.42, 0.60), 1), ((0.08, 0.08, 0.10), 1))
_GREYS: Shares[float] = ((0.08, 1), (0.15, 1), (0.45, 1), (0.70, 1), (0.92, 1))
_WAIST = 0.10
_DRESS_HEM = 0.04
_ANKLES = -0.80
_MAX_TRIES = 50


@dataclass(frozen=True)
class Dye:
    """What colours cloth has.

    Attributes:
        grey_share: how much of it is black, grey or white.
        saturation, value: of the rest, in HSV, 0..1.
    """

    grey_share: float
    saturation: Range
    value: Range


@dataclass(frozen=True)
class WardrobeStyle:
    """What clothes to expect.

    Attributes:
        sleeves, feminine_sleeves: arm coordinates of the sleeves' ends.
        hems, feminine_hems: z of the top's lower end.
        leg_ends: z of the trousers' lower end.
        skirt_share, dress_share: how many feminine persons wear a skirt; how many skirts are part of a dress.
        legging_share: how many skirts have long trousers beneath.
        skirt_hem: z of the skirt's lower end.
        top_patterns, bottom_patterns: shares.
        top_frequency, bottom_frequency: repeats in one metre.
        logos: shares.
        logo_radius: metres.
        logo_shifts: places across the chest, metres to the left.
        top_dye, bottom_dye, shoe_dye: colours.
        jeans_share: how many trousers are blue jeans or black.
        min_contrast: least distance in RGB of colours that meet: top, its second colour, trousers.
        fold_strength: see `Appearance`.
        looseness: metres that trousers and tops stand off the body.
    """

    sleeves: Shares[float]
    feminine_sleeves: Shares[float]
    hems: Shares[float]
    feminine_hems: Shares[float]
    leg_ends: Shares[float]
    skirt_share: float
    dress_share: float
    legging_share: float
    skirt_hem: Range
    top_patterns: Shares[Pattern]
    bottom_patterns: Shares[Pattern]
    top_frequency: Range
    bottom_frequency: Range
    logos: Shares[Logo]
    logo_radius: Range
    logo_shifts: Shares[float]
    top_dye: Dye
    bottom_dye: Dye
    shoe_dye: Dye
    jeans_share: float
    min_contrast: float
    fold_strength: Range
    looseness: Range


def sample_appearance(rng: np.random.Generator, style: WardrobeStyle, *, is_feminine: bool) -> Appearance:
    """Draw a person's looks."""
    skin = _skin_colour(rng)
    top = _cloth_colour(rng, style.top_dye)
    top_accent = _contrasting(rng, style.top_dye, 0, style.min_contrast, top)
    wears_skirt = is_feminine and happens(rng, style.skirt_share)
    is_dress = wears_skirt and happens(rng, style.dress_share)
    wears_leggings = wears_skirt and happens(rng, style.legging_share)
    top_pattern, top_frequency = choose(rng, style.top_patterns), rng.uniform(*style.top_frequency)
    bottom = _contrasting(rng, style.bottom_dye, style.jeans_share, style.min_contrast, top, top_accent)
    bottom_accent = _contrasting(rng, style.bottom_dye, 0, style.min_contrast, bottom)
    bottom_pattern, bottom_frequency = choose(rng, style.bottom_patterns), rng.uniform(*style.bottom_frequency)
    hem = choose(rng, style.feminine_hems if is_feminine else style.hems)
    leg_end = choose(rng, style.leg_ends)
    if is_dress:
        bottom, bottom_accent, hem = top, top_accent, _DRESS_HEM
        bottom_pattern, bottom_frequency = top_pattern, top_frequency
    return Appearance(
        skin=skin,
        hair=choose(rng, _HAIR),
        lips=(0.85 * skin[0], 0.55 * skin[1], 0.55 * skin[2]),
        iris=choose(rng, _IRIS),
        top=top,
        top_accent=top_accent,
        bottom=bottom,
        bottom_accent=bottom_accent,
        shoes=_cloth_colour(rng, style.shoe_dye),
        sleeve_end=choose(rng, style.feminine_sleeves if is_feminine else style.sleeves) + rng.normal(0, 0.04),
        hem=hem,
        neck_depth=0.0 if happens(rng, 0.2) else rng.uniform(0.02, 0.13),
        neck_half_width=rng.uniform(0.055, 0.10),
        is_v_neck=happens(rng, 0.5),
        collar=rng.uniform(0.505, 0.56),
        top_pattern=top_pattern,
        top_frequency=top_frequency,
        bottom_pattern=bottom_pattern,
        bottom_frequency=bottom_frequency,
        wears_trousers=wears_leggings or not wears_skirt,
        leg_end=_ANKLES if wears_leggings else leg_end,
        waist=_WAIST,
        wears_skirt=wears_skirt,
        skirt_hem=rng.uniform(*style.skirt_hem),
        has_long_hair=happens(rng, 0.75 if is_feminine else 0.05),
        hair_end=rng.uniform(0.2, 0.58),
        hairline=rng.random(),
        shoe_top=choose(rng, ((-0.80, 3), (-0.79, 1), (-0.70, 1))),
        logo=choose(rng, style.logos),
        logo_x=choose(rng, style.logo_shifts),
        logo_z=rng.uniform(0.22, 0.34),
        logo_radius=rng.uniform(*style.logo_radius),
        fold_strength=rng.uniform(*style.fold_strength),
        texture_offset=rng.uniform(0, 50),
        trouser_looseness=rng.uniform(*style.looseness),
        top_looseness=rng.uniform(*style.looseness),
    )


def _skin_colour(rng: np.random.Generator) -> Colour:
    depth = rng.random()
    return _colour(_LIGHTEST_SKIN * (1 - depth) + _DARKEST_SKIN * depth + rng.normal(0, 0.015, 3))


def _cloth_colour(rng: np.random.Generator, dye: Dye) -> Colour:
    if happens(rng, dye.grey_share):
        grey = choose(rng, _GREYS) + rng.normal(0, 0.03)
        return _colour(np.clip([grey, grey, grey + rng.normal(0, 0.02)], 0.03, 0.97))
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(*dye.saturation), rng.uniform(*dye.value))


def _contrasting(
    rng: np.random.Generator, dye: Dye, jeans_share: float, min_contrast: float, *others: Colour
) -> Colour:
    """Draw a colour until it is far enough from the others; the farthest of many tries if none is."""
    farthest, best = (0.0, 0.0, 0.0), -1.0
    for _ in range(_MAX_TRIES):
        drawn = choose(rng, _JEANS_AND_BLACK) if happens(rng, jeans_share) else _cloth_colour(rng, dye)
        contrast = min(math.dist(drawn, other) for other in others)
        if contrast > best:
            farthest, best = drawn, contrast
        if best >= min_contrast:
            break
    return farthest


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = values.tolist()
    return red, green, blue
