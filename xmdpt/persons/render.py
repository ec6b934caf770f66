"""Renders persons: one seed gives one person in several poses, with key points and materials.

The only module that others need to call.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.appearance import Direction, Scenery
from xmdpt.persons.body import SPLITS, Body, Float32, Split, load_body
from xmdpt.persons.camera import sample_camera, sample_view
from xmdpt.persons.domain import VARIED, Domain, SceneryStyle
from xmdpt.persons.key_points import TORSO, to_coco_18, visible_points
from xmdpt.persons.person import Person, sample_person
from xmdpt.persons.pose import bone_transforms, sample_joints
from xmdpt.persons.rasteriser import Rasteriser, load_rasteriser
from xmdpt.spec import IMAGE_SIZE

_MISSING = -1.0
_SUBSAMPLES = 2
_PERSON_STREAM = 0


@dataclass(frozen=True)
class View:
    """One picture of a person.

    Attributes:
        picture: [256, 256, 3] uint8 RGB.
        key_points: [18, 2] float32 (x, y) in px, COCO-18; -1, -1 where missing: outside the picture, or a point of the
            face that is turned away.
        visible: [18] bool, which are not missing.
        materials: [256, 256] uint8 of `xmdpt.persons.layers.Material`.
    """

    picture: NDArray[np.uint8]
    key_points: Float32
    visible: NDArray[np.bool_]
    materials: NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """One person in several pictures, two unless more were asked for.

    Attributes:
        person: who it is.
        views: the pictures, in poses that have nothing to do with each other.
    """

    person: Person
    views: tuple[View, ...]


def render_pair(
    seed: int,
    domain: Domain = VARIED,
    split: Split = "train",
    num_views: int = 2,
    *,
    rasteriser: Rasteriser | None = None,
    size: int = IMAGE_SIZE,
) -> Pair:
    """Render one person.

    Args:
        seed: 0 or above; the same seed, domain and split give the same pictures, and the first views of many are the
            views of few.
        domain: what to expect.
        split: whose identities; no identity and no chance is shared between splits.
        num_views: 1 or more.
        rasteriser: another than the process's own.
        size: side of the pictures in px; key points stay in px of the 256 px square.

    Raises:
        ValueError: seed or num_views is too small, or there is no such split.
    """
    if seed < 0 or num_views < 1 or split not in SPLITS:
        raise ValueError(f"no seed {seed}, split {split} or {num_views} views")
    body = load_body()
    rasteriser = rasteriser or load_rasteriser()
    person = sample_person(_chance(split, seed, _PERSON_STREAM), body, domain, split)
    studio = _Studio(body, person, domain, rasteriser, size)
    return Pair(person, tuple(studio.photograph(_chance(split, seed, 1 + view)) for view in range(num_views)))


def _chance(split: Split, seed: int, stream: int) -> np.random.Generator:
    # The split is a part of the seed: no person of one split is drawn by the chance of the other.
    return np.random.default_rng([SPLITS.index(split), stream, seed])


class _Studio:
    """One person before the camera: holds what all its pictures share."""

    def __init__(self, body: Body, person: Person, domain: Domain, rasteriser: Rasteriser, size: int) -> None:
        self._body, self._person, self._domain = body, person, domain
        self._rasteriser, self._size = rasteriser, size
        self._rest = body.identities[person.identity]
        self._heads = body.heads[person.identity]
        self._stand_off = person.stand_off(body.surface)
        self._outline = person.outline(body.surface)

    def photograph(self, rng: np.random.Generator) -> View:
        surface, measured = self._body.surface, self._body.key_points
        joints = sample_joints(rng, self._body, self._heads, self._domain.poses)
        view = sample_view(rng, self._domain.views)
        transforms = (view @ bone_transforms(self._body, self._heads, joints)).astype(np.float32)

        vertices = self._rasteriser.skin(surface.skinned, self._rest[surface.skinned.source], transforms)
        normals = self._rasteriser.normals(vertices, surface.triangles)
        vertices += normals * self._stand_off
        points = self._rasteriser.skin(measured, self._rest[measured.source], transforms)
        points = to_coco_18(np.einsum("kv,vc->kc", self._body.key_point_weights, points))

        torso_x = float(points[TORSO, 0].mean())
        camera = sample_camera(rng, self._domain.views, vertices[self._outline], torso_x)
        positions = camera.project(vertices)
        positions[:, :2] *= np.float32(self._size * _SUBSAMPLES / IMAGE_SIZE)
        drawing = self._rasteriser.draw(
            surface, positions, normals, self._person.appearance, self._scenery(rng), self._size, _SUBSAMPLES
        )
        projected = camera.project(points)
        visible = visible_points(projected, drawing.depth)
        key_points = np.where(visible[:, None], projected[:, :2], np.float32(_MISSING))
        return View(drawing.picture, key_points, visible, drawing.materials)

    def _scenery(self, rng: np.random.Generator) -> Scenery:
        around = self._person.surroundings
        light = _light(rng, self._domain.scenery)
        return Scenery(around.upper_background, around.lower_background, light, around.ambience)


def _light(rng: np.random.Generator, style: SceneryStyle) -> Direction:
    x, y, z = style.light
    direction = np.array([x + rng.normal(0, style.light_spread), y, z])
    x, y, z = (direction / np.linalg.norm(direction)).tolist()
    return x, y, z
