"""How one person looks and what surrounds it, as the rasteriser takes it: the one place where it is packed for C.

Does not choose anything (`xmdpt.persons.wardrobe`) nor draw it.
"""

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""Red, green and blue, 0..1."""

Direction = tuple[float, float, float]
"""Unit vector in the camera's axes: x to the right, y away from the camera, z up."""

ARM_PER_METRE = 4.0
"""Arm coordinate (see `Surface.arm`) of one metre of sleeve, about: patterns run on down the sleeves with it."""


class Pattern(IntEnum):
    """How two colours share a garment."""

    PLAIN = 0
    HORIZONTAL_STRIPES = 1
    VERTICAL_STRIPES = 2
    CHECKS = 3
    DOTS = 4
    BLOCK = 5
    GRADIENT = 6
    BLOTCHES = 7
    SLEEVES = 8
    DIAGONAL_STRIPES = 9


class Logo(IntEnum):
    """A figure on the chest, in the top's second colour."""

    NONE = 0
    DISC = 1
    BOX = 2
    DIAMOND = 3
    TRIANGLE = 4


@dataclass(frozen=True)
class Appearance:
    """Colours and cuts of one person, the same in all its pictures.

    Lengths are in metres in rest coordinates of the mean adult: z is 0.52 at the throat, 0 at the hips, -0.86 on the
    floor. Arm coordinates: see `Surface.arm`. The fields and their order are the C struct.

    Attributes:
        sleeve_end: arm coordinate where sleeves end.
        hem: z where the top ends below.
        neck_depth: how far the neckline dips in front; 0 for a closed collar.
        neck_half_width: half its width.
        is_v_neck: whether it comes to a point.
        collar: z where a closed collar ends.
        top_frequency, bottom_frequency: repeats of the pattern in one metre.
        wears_trousers: whether there are any; trousers go from `leg_end` up to `waist`.
        wears_skirt: whether there is one; it ends at `skirt_hem`.
        has_long_hair: whether hair falls below the head, down to `hair_end`.
        hairline: 0..1, how high the hair begins above the face.
        shoe_top: z where shoes end.
        logo_x, logo_z, logo_radius: place and size of the chest's figure.
        fold_strength: 0 smooth .. 1 crumpled.
        texture_offset: shifts folds and strands, so that no two persons share them.
        trouser_looseness, top_looseness: how far legs and top stand off the body.
    """

    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    top: Colour
    top_accent: Colour
    bottom: Colour
    bottom_accent: Colour
    shoes: Colour
    sleeve_end: float
    hem: float
    neck_depth: float
    neck_half_width: float
    is_v_neck: bool
    collar: float
    top_pattern: Pattern
    top_frequency: float
    bottom_pattern: Pattern
    bottom_frequency: float
    wears_trousers: bool
    leg_end: float
    waist: float
    wears_skirt: bool
    skirt_hem: float
    has_long_hair: bool
    hair_end: float
    hairline: float
    shoe_top: float
    logo: Logo
    logo_x: float
    logo_z: float
    logo_radius: float
    fold_strength: float
    texture_offset: float
    trouser_looseness: float
    top_looseness: float


@dataclass(frozen=True)
class Scenery:
    """What is around a person in one picture. The fields and their order are the C struct.

    Attributes:
        upper_background, lower_background: colours that the background runs between from above to below.
        light: where the light comes from.
        ambience: 0..1, share of light that comes from everywhere.
    """

    upper_background: Colour
    lower_background: Colour
    light: Direction
    ambience: float


Packed = Appearance | Scenery


def pack(values: Packed) -> NDArray[np.float32]:
    """Return all numbers of all fields in their order, float32: the C struct's memory."""
    numbers: list[float] = []
    for field in fields(values):
        value = getattr(values, field.name)
        numbers.extend(value if isinstance(value, tuple) else (float(value),))
    return np.array(numbers, dtype=np.float32)


def struct_declaration(packed: type[Packed]) -> str:
    """Return the C struct of a class: a float, or three of them, for each field."""
    members = [f"  float {field.name}{'[3]' if field.type in (Colour, Direction) else ''};" for field in fields(packed)]
    return "\n".join(["typedef struct {", *members, f"}} {packed.__name__};"])


def enum_declaration(enum: type[IntEnum]) -> str:
    """Return the C enum of a class, its members named CLASS_MEMBER."""
    members = [f"  {enum.__name__.upper()}_{member.name} = {member.value}," for member in enum]
    return "\n".join(["enum {", *members, "};"])
