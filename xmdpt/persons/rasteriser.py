"""The rasteriser behind one small interface: in C if it can be built, else in numpy, slower with the same pictures.

Does not know persons, poses or cameras: arrays in, arrays out.
"""

import ctypes
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xmdpt.persons.appearance import Appearance, Scenery, pack
from xmdpt.persons.body import Float32, Skinned, Surface
from xmdpt.persons.compile import CompileError, compiled_library

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawing:
    """One picture.

    Attributes:
        picture: [S, S, 3] uint8 RGB.
        materials: [S, S] uint8 of `Material`, what most of each pixel shows.
        depth: [S * subsamples, S * subsamples] float32, metres from the camera; infinite where nobody is.
    """

    picture: NDArray[np.uint8]
    materials: NDArray[np.uint8]
    depth: Float32


class Rasteriser(Protocol):
    """What draws bodies."""

    def skin(self, skinned: Skinned, rest: Float32, transforms: Float32) -> Float32:
        """Move vertices with their bones.

        Args:
            skinned: which vertices follow which bones.
            rest: [N, 3], where they lie at rest.
            transforms: [B, 3, 4] of each bone, from rest.

        Returns:
            [N, 3] float32.
        """
        ...

    def normals(self, vertices: Float32, triangles: NDArray[np.int32]) -> Float32:
        """Return [N, 3] unit normals of vertices [N, 3] in triangles [T, 3]."""
        ...

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
        """Draw a dressed body.

        Args:
            surface: its mesh.
            positions: [N, 3] x and y in px of the picture with subsamples, then depth in metres, above 0.
            normals: [N, 3] in the camera's axes.
            appearance: how the person looks.
            scenery: what is around it.
            size: side of the picture in px.
            subsamples: 1..4 along each side of a pixel.
        """
        ...


@lru_cache(maxsize=1)
def load_rasteriser() -> Rasteriser:
    """Return the fastest rasteriser there is, the same one for the whole process."""
    try:
        return CRasteriser(compiled_library())
    except (CompileError, OSError) as error:
        _log.warning("drawing persons without compiled code, fifteen times slower: %s", error)
    from xmdpt.persons.numpy_rasteriser import NumpyRasteriser

    return NumpyRasteriser()


class CRasteriser:
    """native/ through ctypes, which lets other threads run meanwhile."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.skin_vertices.restype = None
        self._library.vertex_normals.restype = None

    def skin(self, skinned: Skinned, rest: Float32, transforms: Float32) -> Float32:
        """See `Rasteriser.skin`."""
        count, num_influences = skinned.bones.shape
        posed = np.empty((count, 3), dtype=np.float32)
        self._library.skin_vertices(
            count,
            num_influences,
            _address(rest, np.float32),
            _address(skinned.bones, np.uint8),
            _address(skinned.weights, np.float32),
            _address(transforms, np.float32),
            _address(posed, np.float32),
        )
        return posed

    def normals(self, vertices: Float32, triangles: NDArray[np.int32]) -> Float32:
        """See `Rasteriser.normals`."""
        normals = np.empty_like(vertices)
        self._library.vertex_normals(
            len(vertices),
            _address(vertices, np.float32),
            len(triangles),
            _address(triangles, np.int32),
            _address(normals, np.float32),
        )
        return normals

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
        look, around = pack(appearance), pack(scenery)
        expected = self._library.num_appearance_numbers(), self._library.num_scenery_numbers()
        if (len(look), len(around)) != expected:
            raise AssertionError(f"packed {len(look)} and {len(around)} numbers where C takes {expected}")
        side = size * subsamples
        drawing = Drawing(
            np.empty((size, size, 3), dtype=np.uint8),
            np.empty((size, size), dtype=np.uint8),
            np.empty((side, side), dtype=np.float32),
        )
        failed = self._library.draw(
            _address(positions, np.float32),
            _address(normals, np.float32),
            _address(surface.rest, np.float32),
            _address(surface.arm, np.float32),
            len(surface.triangles),
            _address(surface.triangles, np.int32),
            _address(surface.layer_of_triangle, np.uint8),
            _address(look, np.float32),
            _address(around, np.float32),
            size,
            subsamples,
            _address(drawing.picture, np.uint8),
            _address(drawing.materials, np.uint8),
            _address(drawing.depth, np.float32),
        )
        if failed:
            raise MemoryError(f"no memory for a picture of {side} x {side} subsamples")
        return drawing


def _address(array: NDArray[Any], dtype: type) -> ctypes.c_void_p:
    if array.dtype != dtype or not array.flags.c_contiguous:
        raise AssertionError(f"C takes rows of {dtype.__name__}, not {array.dtype} with strides {array.strides}")
    return ctypes.c_void_p(array.ctypes.data)
