"""A person: an identity of the body model, dressed, with what surrounds it in all its pictures.

Does not know poses or cameras.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.appearance import Appearance, Colour
from xmdpt.persons.body import Body, Float32, Split, Surface
from xmdpt.persons.domain import Domain, SceneryStyle
from xmdpt.persons.layers import Layer
from xmdpt.persons.wardrobe import sample_appearance

# How far each layer lies off the body, in metres: far enough apart not to show through each other.
_STAND_OFF = {Layer.TROUSERS: 0.006, Layer.TOP: 0.013, Layer.LONG_HAIR: 0.004, Layer.SCALP: 0.012, Layer.SHOES: 0.012}


@dataclass(frozen=True)
class Surroundings:
    """What stays the same around a person in all its pictures: background colours above and below, and ambience."""

    upper_background: Colour
    lower_background: Colour
    ambience: float


@dataclass(frozen=True)
class Person:
    """Who is drawn.

    Attributes:
        identity: index among the body model's identities.
        appearance: clothes and colours.
        surroundings: background and ambience.
    """

    identity: int
    appearance: Appearance
    surroundings: Surroundings

    def stand_off(self, surface: Surface) -> Float32:
        """Return [N, 1] float32: how far each vertex of the clothes lies outside the body, metres."""
        off = np.zeros((len(surface.rest), 1), dtype=np.float32)
        for layer, metres in _STAND_OFF.items():
            vertices = surface.vertices_of_layer[layer]
            off[vertices, 0] = self._stand_off_of(layer, metres, surface.rest[vertices, 2], surface.arm[vertices])
        return off

    def _stand_off_of(self, layer: Layer, metres: float, z: Float32, arm: Float32) -> NDArray[np.floating]:
        """Return [M] of a layer's vertices, whose rest heights and arm coordinates are given."""
        match layer:
            case Layer.TROUSERS:
                # Wide in the legs, close at hips and ankles.
                wide = np.clip(-z / 0.25, 0, 1) * np.clip((z + 0.9) / 0.1, 0.3, 1)
                return metres + self.appearance.trouser_looseness * wide
            case Layer.TOP:
                # Wide towards the hem and along the sleeves, close at shoulders and neck.
                torso = np.clip((0.40 - z) / 0.4, 0, 1) * (arm < 0.1)
                return metres + self.appearance.top_looseness * np.maximum(torso, 0.8 * np.clip(arm - 0.1, 0, 0.8))
            case Layer.SHOES:
                return metres * np.clip((-0.75 - z) / 0.06, 0.3, 1)
            case _:
                return np.full_like(z, metres)

    def outline(self, surface: Surface) -> NDArray[np.intp]:
        """Return the vertices that may be seen: of worn layers, down to the skirt's hem."""
        look = self.appearance
        is_worn = {
            Layer.TROUSERS: look.wears_trousers,
            Layer.SKIRT: look.wears_skirt,
            Layer.LONG_HAIR: look.has_long_hair,
        }
        is_seen = np.zeros(len(surface.rest), dtype=bool)
        for layer, vertices in surface.vertices_of_layer.items():
            is_seen[vertices] = is_worn.get(layer, True)
        skirt, hair = surface.vertices_of_layer[Layer.SKIRT], surface.vertices_of_layer[Layer.LONG_HAIR]
        is_seen[skirt] &= surface.rest[skirt, 2] > look.skirt_hem - 0.05
        is_seen[hair] &= surface.rest[hair, 2] > look.hair_end - 0.05
        return np.flatnonzero(is_seen)


def sample_person(rng: np.random.Generator, body: Body, domain: Domain, split: Split) -> Person:
    """Draw a person among the identities of a split."""
    identity = int(rng.choice(body.identities_of(split)))
    appearance = sample_appearance(rng, domain.wardrobe, is_feminine=body.is_feminine(identity))
    return Person(identity, appearance, _sample_surroundings(rng, domain.scenery))


def _sample_surroundings(rng: np.random.Generator, style: SceneryStyle) -> Surroundings:
    upper = np.clip(rng.uniform(*style.background) + rng.normal(0, style.background_tint, 3), 0, 1)
    lower = np.clip(upper + rng.uniform(*style.background_change), 0, 1)
    return Surroundings(tuple(upper.tolist()), tuple(lower.tolist()), rng.uniform(*style.ambience))
