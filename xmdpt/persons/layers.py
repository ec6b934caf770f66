"""The layers that a person is drawn in, from the skin outwards, and the materials that a picture tells of.

Does not hold the surfaces themselves (`xmdpt.persons.body`).
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Material(IntEnum):
    """What one pixel shows."""

    BACKGROUND = 0
    SKIN = 1
    EYES = 2
    TROUSERS = 3
    TOP = 4
    SKIRT = 5
    HAIR = 6
    SHOES = 7


GARMENTS = frozenset({Material.TROUSERS, Material.TOP, Material.SKIRT, Material.SHOES})
"""What a person puts on."""


class Layer(IntEnum):
    """One surface of the body model. Each moves with the body; which part of it exists is cut per person."""

    SKIN = 0
    EYES = 1
    TROUSERS = 2
    TOP = 3
    SKIRT = 4
    LONG_HAIR = 5
    SCALP = 6
    SHOES = 7


MATERIAL_OF_LAYER: Mapping[Layer, Material] = MappingProxyType(
    {
        Layer.SKIN: Material.SKIN,
        Layer.EYES: Material.EYES,
        Layer.TROUSERS: Material.TROUSERS,
        Layer.TOP: Material.TOP,
        Layer.SKIRT: Material.SKIRT,
        Layer.LONG_HAIR: Material.HAIR,
        Layer.SCALP: Material.HAIR,
        Layer.SHOES: Material.SHOES,
    }
)
