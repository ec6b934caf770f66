"""The rasteriser in numpy alone, for computers without a C compiler: native/, sum for sum, only slower."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.appearance import Appearance, Scenery
from xmdpt.persons.body import Float32, Skinned, Surface
from xmdpt.persons.layers import MATERIAL_OF_LAYER, Layer, Material
from xmdpt.persons.numpy_cuts import is_cut_out, is_worn, layer_over_skin
from xmdpt.persons.numpy_textures import brightness, surface_colour
from xmdpt.persons.rasteriser import Drawing

Ints = NDArray[np.intp]

_MIN_AREA = np.float32(1e-6)


class NumpyRasteriser:
    """See `xmdpt.persons.rasteriser.Rasteriser`."""

    def skin(self, skinned: Skinned, rest: Float32, transforms: Float32) -> Float32:
        """See `Rasteriser.skin`."""
        flat = transforms.reshape(-1, 12)
        blended = np.zeros((len(rest), 12), dtype=np.float32)
        for bones, weights in zip(skinned.bones.T, skinned.weights.T, strict=True):
            blended += weights[:, None] * flat[bones]
        x, y, z, shift = blended.reshape(-1, 3, 4).transpose(2, 0, 1)
        posed = x * rest[:, :1] + y * rest[:, 1:2] + z * rest[:, 2:] + shift
        return posed.astype(np.float32, copy=False)

    def normals(self, vertices: Float32, triangles: NDArray[np.int32]) -> Float32:
        """See `Rasteriser.normals`."""
        a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
        (ex, ey, ez), (fx, fy, fz) = (b - a).T, (c - a).T
        cross = np.stack([ey * fz - ez * fy, ez * fx - ex * fz, ex * fy - ey * fx], axis=1)
        normals = np.zeros_like(vertices)
        np.add.at(normals, triangles.ravel(), np.repeat(cross, 3, axis=0))
        x, y, z = normals.T
        return normals / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-12))[:, None]

    def draw(
        self,
        surface: Surface,
        positions: Float32,
        normals: Float32,
        appearance: Appearance,
        scenery: Scenery,
        size: int,
        subsamples: int,
    ) -> Drawing:
        """See `Rasteriser.draw`."""
        side = size * subsamples
        hits = _nearest(_fragments(surface, positions, appearance, side))
        depth = np.full(side * side, np.inf, dtype=np.float32)
        depth[hits.place] = hits.depth

        rest, arm = hits.interpolate(surface, surface.rest), hits.interpolate(surface, surface.arm)
        layer = surface.layer_of_triangle[hits.triangle]
        is_skin = layer == Layer.SKIN
        layer[is_skin] = layer_over_skin(appearance, rest[is_skin], arm[is_skin])
        pixel = hits.place // side // subsamples * size + hits.place % side // subsamples
        leader = _leaders(pixel, layer, hits.place, side, subsamples)
        facing = hits.interpolate(surface, normals) * hits.sign[:, None]
        colour = np.empty_like(rest)
        light = np.empty_like(arm)
        for one in Layer:
            of_layer = np.flatnonzero(layer == one)
            colour[of_layer] = surface_colour(appearance, one, rest[of_layer], arm[of_layer])
            light[of_layer] = brightness(appearance, scenery, one, rest[of_layer], facing[of_layer])
        colour = np.clip(colour * light[leader][:, None], 0, 1)
        material = np.array([MATERIAL_OF_LAYER[one] for one in Layer], dtype=np.uint8)[layer]
        samples = _Samples(side, size, subsamples)
        return Drawing(
            samples.picture(hits.place, colour, scenery),
            samples.materials(hits.place, material),
            depth.reshape(side, side),
        )


@dataclass(frozen=True)
class _Hits:
    """Points of triangles that fall on subsamples.

    Attributes:
        place: [P] index of the subsample.
        triangle: [P].
        weights: [P, 3] float32 of the triangle's corners.
        depth: [P] float32, metres.
        sign: [P] float32, -1 where a triangle shows its back.
    """

    place: Ints
    triangle: Ints
    weights: Float32
    depth: Float32
    sign: Float32

    def select(self, which: NDArray) -> "_Hits":
        """Return some of them."""
        return _Hits(self.place[which], self.triangle[which], self.weights[which], self.depth[which], self.sign[which])

    def interpolate(self, surface: Surface, values: Float32) -> Float32:
        """Return [P, ...] of a vertex's values [N, ...]."""
        a, b, c = surface.triangles[self.triangle].T
        first, second, third = self.weights.T.reshape(3, -1, *([1] * (values.ndim - 1)))
        return first * values[a] + second * values[b] + third * values[c]


def _fragments(surface: Surface, positions: Float32, look: Appearance, side: int) -> _Hits:
    """Return all points of all triangles, in the triangles' order, that are not cut out."""
    worn = np.array([is_worn(look, layer) for layer in Layer])
    corners = positions[surface.triangles]
    area = _signed_area(corners)
    is_back_of_skin = (surface.layer_of_triangle == Layer.SKIN) & (area > 0)
    drawn = np.flatnonzero(worn[surface.layer_of_triangle] & (np.abs(area) >= _MIN_AREA) & ~is_back_of_skin)
    triangle, x, y = _covered(drawn, corners, side)
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[triangle].transpose(1, 2, 0)
    inverse = np.float32(1) / area[triangle]
    dx, dy = x.astype(np.float32) + np.float32(0.5) - ax, y.astype(np.float32) + np.float32(0.5) - ay
    second = (dx * (cy - ay) - dy * (cx - ax)) * inverse
    third = ((bx - ax) * dy - (by - ay) * dx) * inverse
    first = np.float32(1) - second - third
    depth = first * az + second * bz + third * cz
    sign = np.where(area[triangle] > 0, np.float32(-1), np.float32(1))
    hits = _Hits(y * side + x, triangle, np.stack([first, second, third], axis=1), depth, sign)
    hits = hits.select((first >= 0) & (second >= 0) & (third >= 0))
    is_kept = np.ones(len(hits.place), dtype=bool)
    layer = surface.layer_of_triangle[hits.triangle]
    for one in Layer:
        of_layer = np.flatnonzero(layer == one)
        some = hits.select(of_layer)
        rest, arm = some.interpolate(surface, surface.rest), some.interpolate(surface, surface.arm)
        is_kept[of_layer] = ~is_cut_out(look, one, rest, arm)
    return hits.select(is_kept)


def _covered(drawn: Ints, corners: Float32, side: int) -> tuple[Ints, Ints, Ints]:
    """Return triangle, x and y of all subsamples in the triangles' bounding boxes."""
    half = np.float32(0.5)
    xy = corners[drawn, :, :2]
    low = np.maximum(np.ceil(xy.min(axis=1) - half), 0).astype(np.intp)
    high = np.minimum(np.floor(xy.max(axis=1) - half), side - 1).astype(np.intp)
    width, height = np.maximum(high - low + 1, 0).T
    count = width * height
    triangle = np.repeat(drawn, count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    each_width = np.repeat(width, count)
    return triangle, np.repeat(low[:, 0], count) + place % each_width, np.repeat(low[:, 1], count) + place // each_width


def _signed_area(corners: Float32) -> Float32:
    a, b, c = corners.transpose(1, 0, 2)
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _nearest(hits: _Hits) -> _Hits:
    """Keep the nearest point of each subsample, of equally near ones the first triangle's."""
    order = np.lexsort((hits.depth, hits.place))
    place = hits.place[order]
    return hits.select(order[np.flatnonzero(np.diff(place, prepend=-1))])


def _leaders(pixel: Ints, layer: NDArray[np.uint8], place: Ints, side: int, subsamples: int) -> Ints:
    """Return [P], the point whose light each point takes: its layer's first one in the pixel."""
    within = place // side % subsamples * subsamples + place % side % subsamples
    group = pixel * len(Layer) + layer
    order = np.lexsort((within, group))
    is_first = np.diff(group[order], prepend=-1) != 0
    leader = np.empty_like(order)
    leader[order] = order[is_first][np.cumsum(is_first) - 1]
    return leader


@dataclass(frozen=True)
class _Samples:
    """The grid of subsamples, [side, side], of a picture [size, size]."""

    side: int
    size: int
    subsamples: int

    def picture(self, place: Ints, colour: Float32, scenery: Scenery) -> NDArray[np.uint8]:
        """Return the average colours, [size, size, 3] uint8."""
        upper, lower = (
            np.array(colour, dtype=np.float32) for colour in (scenery.upper_background, scenery.lower_background)
        )
        row = (np.arange(self.size, dtype=np.float32) / np.float32(self.size))[:, None]
        background = upper + (lower - upper) * row
        samples = np.repeat(np.repeat(background, self.subsamples, axis=0), self.side, axis=0)
        samples[place] = colour
        total = np.zeros((self.size, self.size, 3), dtype=np.float32)
        for part in self._by_pixel(samples):
            total += part
        mean = total / np.float32(self.subsamples**2)
        return (np.float32(255) * mean + np.float32(0.5)).astype(np.uint8)

    def materials(self, place: Ints, material: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the commonest material of each pixel, [size, size] uint8; of equally common ones the last."""
        samples = np.full(self.side**2, Material.BACKGROUND, dtype=np.uint8)
        samples[place] = material
        parts = self._by_pixel(samples)
        counts = np.stack([sum((part == one).astype(np.uint8) for part in parts) for one in reversed(Material)])
        return (len(Material) - 1 - counts.argmax(axis=0)).astype(np.uint8)

    def _by_pixel(self, samples: NDArray) -> list[NDArray]:
        """Return the subsamples [side * side, ...] in their order in a pixel, each [size, size, ...]."""
        grid = samples.reshape(self.side, self.side, *samples.shape[1:])
        step = self.subsamples
        return [grid[row::step, column::step] for row in range(step) for column in range(step)]
