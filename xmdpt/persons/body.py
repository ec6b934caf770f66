"""The body model: surfaces by layer, skinning, skeleton, and the identities with their splits.

Loads body.npz, which `xmdpt.persons.reduce` makes. Does not pose a body (`xmdpt.persons.pose`) nor dress it.
Axes everywhere: x to the person's left, y to the back, z up, in metres.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.layers import Layer

Float32 = NDArray[np.float32]
Split = Literal["train", "held_out"]
SPLITS: tuple[Split, ...] = ("train", "held_out")

NUM_INFLUENCES = 8
"""Bones that move one vertex at most."""

TRIANGLE_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-tights", "helper-skirt", "helper-hair")
"""Triangle groups of the mesh that are drawn."""

_FILE = Path(__file__).with_name("body.npz")
# Every so manieth identity is held out; also the remainder, so that the first and last ones train.
_HELD_OUT_STRIDE = 8
_HELD_OUT_REMAINDER = 3
_MASCULINE_BELOW = 0.5
# Parts of the skin that are doubled as a layer of their own, by the rest height of their triangles.
_SHOES_BELOW = -0.66
_SCALP_ABOVE = 0.57
_TORSO_ARM_COORDINATE = -0.5
_ARM_BONES = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
# Rest places of the left shoulder, elbow and wrist in the frame that garments are cut in.
_SHOULDER, _ELBOW, _WRIST = np.array(
    [[0.154, -0.011, 0.448], [0.322, -0.027, 0.252], [0.444, -0.176, 0.123]], dtype=np.float32
)


@dataclass(frozen=True)
class Skinned:
    """Vertices that follow the bones.

    Attributes:
        source: [N] indices into an identity's vertices.
        bones: [N, NUM_INFLUENCES] uint8, heaviest first.
        weights: [N, NUM_INFLUENCES] float32, sum 1.
    """

    source: NDArray[np.intp]
    bones: NDArray[np.uint8]
    weights: Float32


@dataclass(frozen=True)
class Surface:
    """All layers as one mesh.

    Attributes:
        skinned: its N vertices.
        rest: [N, 3] float32, where each lies on the mean adult at rest; garments are cut and coloured by it.
        arm: [N] float32, place along the arm: -0.5 on the torso, 0 shoulder, 1 elbow, 2 wrist.
        triangles: [T, 3] int32.
        layer_of_triangle: [T] uint8 of `Layer`.
        vertices_of_layer: each layer's part of the vertices.
    """

    skinned: Skinned
    rest: Float32
    arm: Float32
    triangles: NDArray[np.int32]
    layer_of_triangle: NDArray[np.uint8]
    vertices_of_layer: dict[Layer, slice]


@dataclass(frozen=True)
class Body:
    """What all persons share, and what makes each of them.

    Attributes:
        surface: the layers.
        key_points: vertices that the key points are measured from.
        key_point_weights: [17, M] float32, COCO-17 key points as weighted sums of those.
        bone_names: [B] names.
        parents: [B] int, -1 for the root; a parent comes before its children.
        identities: [I, V, 3] float32, vertices at rest.
        heads: [I, B, 3] float64, bone heads at rest.
        traits: [I, 6] float32 in 0..1: gender, age, muscle, weight, height, proportions.
    """

    surface: Surface
    key_points: Skinned
    key_point_weights: Float32
    bone_names: tuple[str, ...]
    parents: tuple[int, ...]
    identities: Float32
    heads: NDArray[np.float64]
    traits: Float32

    @cached_property
    def index_of_bone(self) -> dict[str, int]:
        """Place of each bone by its name."""
        return {name: index for index, name in enumerate(self.bone_names)}

    def is_feminine(self, identity: int) -> bool:
        """Tell whose clothes and hair an identity gets."""
        return bool(self.traits[identity, 0] > _MASCULINE_BELOW)

    def identities_of(self, split: Split) -> NDArray[np.intp]:
        """Return the identities that only this split shows."""
        indices = np.arange(len(self.identities))
        is_held_out = indices % _HELD_OUT_STRIDE == _HELD_OUT_REMAINDER
        return indices[is_held_out if split == "held_out" else ~is_held_out]


@lru_cache(maxsize=1)
def load_body() -> Body:
    """Load the body data that ships with the package, once per process."""
    with np.load(_FILE, allow_pickle=False) as arrays:
        bone_names = tuple(str(name) for name in arrays["bones"])
        weights = arrays["weights"].astype(np.float32)
        weights /= weights.sum(axis=1, keepdims=True)
        bones, rest = arrays["influences"], arrays["rest"]
        key_point_vertices = arrays["key_point_vertices"].astype(np.intp)
        triangles = {group: arrays["triangles " + group].astype(np.intp) for group in TRIANGLE_GROUPS}
        return Body(
            surface=_surface(rest, triangles, bones, weights, _arm_coordinate(rest, bones, weights, bone_names)),
            key_points=_skinned(key_point_vertices, bones, weights),
            key_point_weights=arrays["key_point_weights"],
            bone_names=bone_names,
            parents=tuple(int(parent) for parent in arrays["parents"]),
            identities=arrays["identities"].astype(np.float32),
            heads=arrays["heads"].astype(np.float64),
            traits=arrays["traits"],
        )


def _surface(
    rest: Float32, groups: dict[str, NDArray[np.intp]], bones: NDArray[np.uint8], weights: Float32, arm: Float32
) -> Surface:
    skin = groups["body"]
    height = rest[skin, 2]
    layers = {
        Layer.SKIN: skin,
        Layer.EYES: np.concatenate([groups["helper-l-eye"], groups["helper-r-eye"]]),
        Layer.TROUSERS: groups["helper-tights"],
        Layer.TOP: groups["helper-tights"],
        Layer.SKIRT: groups["helper-skirt"],
        Layer.LONG_HAIR: groups["helper-hair"],
        Layer.SCALP: skin[height.min(axis=1) > _SCALP_ABOVE],
        Layer.SHOES: skin[height.max(axis=1) < _SHOES_BELOW],
    }
    sources, triangles, vertices_of_layer, count = [], [], {}, 0
    for layer, corners in layers.items():
        used, renumbered = np.unique(corners, return_inverse=True)
        sources.append(used)
        triangles.append(renumbered.reshape(-1, 3) + count)
        vertices_of_layer[layer] = slice(count, count + len(used))
        count += len(used)
    source = np.concatenate(sources)
    return Surface(
        skinned=_skinned(source, bones, weights),
        rest=np.ascontiguousarray(rest[source]),
        arm=np.ascontiguousarray(arm[source]),
        triangles=np.concatenate(triangles).astype(np.int32),
        layer_of_triangle=np.repeat(
            np.array(list(layers), dtype=np.uint8), [len(corners) for corners in layers.values()]
        ),
        vertices_of_layer=vertices_of_layer,
    )


def _skinned(source: NDArray[np.intp], bones: NDArray[np.uint8], weights: Float32) -> Skinned:
    return Skinned(source, np.ascontiguousarray(bones[source]), np.ascontiguousarray(weights[source]))


def _arm_coordinate(rest: Float32, bones: NDArray[np.uint8], weights: Float32, bone_names: tuple[str, ...]) -> Float32:
    """Return [V] float32, see `Surface.arm`; in between where a vertex follows arm and torso."""
    is_arm_bone = np.array([name.startswith(_ARM_BONES) for name in bone_names])
    arm_share = (weights * is_arm_bone[bones]).sum(axis=1)
    mirrored = rest.copy()
    mirrored[:, 0] = np.abs(mirrored[:, 0])
    upper = np.clip(_along(mirrored, _SHOULDER, _ELBOW), 0, 1)
    # The hand goes on past the wrist.
    lower = np.clip(_along(mirrored, _ELBOW, _WRIST), 0, 1.6)
    place = np.where(lower > 0, 1 + lower, upper)
    return (place * arm_share + _TORSO_ARM_COORDINATE * (1 - arm_share)).astype(np.float32)


def _along(points: Float32, start: Float32, end: Float32) -> NDArray[np.floating]:
    """Return [V], each point's place on the line: 0 at start, 1 at end."""
    direction = end - start
    return (points - start) @ direction / (direction @ direction)
