"""Rotations in space as [3, 3] float64 matrices; angles in degrees.

Plain arithmetic on nine numbers: numpy's general routines would cost more than everything else about a pose.
"""

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

X_AXIS, Y_AXIS, Z_AXIS = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

_PARALLEL = 1e-8


def rotation(axis: tuple[float, float, float], degrees: float) -> Matrix:
    """Return the rotation about a unit axis, anticlockwise where the axis points at the beholder."""
    angle = math.radians(degrees)
    return _rotation(axis, math.cos(angle), math.sin(angle))


def aim(start: Vector, end: Vector) -> Matrix:
    """Return the shortest rotation that turns one direction [3] into another; neither need be of unit length."""
    (ax, ay, az), (bx, by, bz) = start.tolist(), end.tolist()
    cross = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    sine = math.hypot(*cross)
    cosine = ax * bx + ay * by + az * bz
    length = math.hypot(sine, cosine)
    if sine <= _PARALLEL * length:
        return np.eye(3)
    x, y, z = cross
    return _rotation((x / sine, y / sine, z / sine), cosine / length, sine / length)


def _rotation(axis: tuple[float, float, float], cosine: float, sine: float) -> Matrix:
    x, y, z = axis
    rest = 1 - cosine
    return np.array(
        [
            [cosine + x * x * rest, x * y * rest - z * sine, x * z * rest + y * sine],
            [y * x * rest + z * sine, cosine + y * y * rest, y * z * rest - x * sine],
            [z * x * rest - y * sine, z * y * rest + x * sine, cosine + z * z * rest],
        ]
    )
