"""The frame around a person: what of a photo the model's own photos would show.

Does not find the person (`xmdpt.pose_estimation.estimator`) nor cut it out (`xmdpt.preprocess`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmdpt.preprocess import Frame
from xmdpt.skeleton import MISSING
from xmdpt.spec import NATURAL_SIZE

ASPECT = NATURAL_SIZE[0] / NATURAL_SIZE[1]
"""Width by height of DeepFashion's photos, which the model was trained on."""

_SHOULDERS, _HIPS, _ANKLES = [1, 2, 5], [8, 11], [10, 13]
# How far the body reaches beyond its key points, in lengths of the torso, as on most rendered persons: the crown lies
# so far above the shoulders, the soles below the ankles, clothes and hands beside all points.
_CROWN, _SOLE, _SIDE = 0.72, 0.27, 0.2
# Where no ankle is seen the legs go on, and so does the frame if the photo does.
_LEGS = 0.8
# Of the body's height and width, at each end: a whole person takes 0.91 of the frame's height.
_MARGIN = 0.05


@dataclass(frozen=True)
class Torso:
    """What decides how large a person is, and whether enough of it is seen.

    Attributes:
        shoulders: [2] (x, y) in px, the middle of those that are seen; likewise hips.
    """

    shoulders: NDArray[np.float64]
    hips: NDArray[np.float64]

    @property
    def length(self) -> float:
        """From shoulders to hips, px; at least 1."""
        return max(float(np.hypot(*(self.hips - self.shoulders))), 1.0)

    @property
    def middle(self) -> NDArray[np.float64]:
        """[2] (x, y) in px."""
        return (self.shoulders + self.hips) / 2


def middle_of(key_points: NDArray[np.floating], places: list[int]) -> NDArray[np.float64] | None:
    """Return the mean [2] of those of these points that are seen, None if none is."""
    points = key_points[places].astype(np.float64)
    is_seen = (points != MISSING).any(axis=1)
    return points[is_seen].mean(axis=0) if is_seen.any() else None


def torso_of(key_points: NDArray[np.floating]) -> Torso | None:
    """Return the torso of a pose [18, 2] in px; None unless a shoulder and a hip are seen."""
    shoulders, hips = middle_of(key_points, _SHOULDERS), middle_of(key_points, _HIPS)
    return None if shoulders is None or hips is None else Torso(shoulders, hips)


def person_frame(key_points: NDArray[np.floating], torso: Torso, width: int, height: int) -> Frame:
    """Return the frame that a person fills as the persons of the model's photos fill theirs.

    From the crown to the soles if an ankle is seen, else as far down as the photo shows, or the legs are thought to
    reach. Where the photo's edge cuts the body off, the frame ends there, if its shape allows that.

    Args:
        key_points: [18, 2] (x, y) in px of the photo; -1, -1 where missing.
        torso: its torso.
        width: of the photo, px.
        height: of the photo, px.

    Returns:
        Of the aspect 176 / 256; it may reach beyond the photo.
    """
    seen = key_points[(key_points != MISSING).any(axis=1)].astype(np.float64)
    (left, top), (right, bottom) = seen.min(axis=0), seen.max(axis=0)
    unit = torso.length
    below = _SOLE if middle_of(key_points, _ANKLES) is not None else _LEGS
    x = _Span.within(left - _SIDE * unit, right + _SIDE * unit, width)
    y = _Span.within(min(top, torso.shoulders[1] - _CROWN * unit), bottom + below * unit, height)
    frame_height = max(y.length, x.length / ASPECT)
    x, y = x.grown(frame_height * ASPECT), y.grown(frame_height)
    return x.low, y.low, x.length, y.length


@dataclass(frozen=True)
class _Span:
    """A frame along one axis, px, and at which of its ends the photo's edge cuts the body off."""

    low: float
    high: float
    is_cut_low: bool
    is_cut_high: bool

    @classmethod
    def within(cls, low: float, high: float, limit: int) -> "_Span":
        """A body's extent with a margin where it is not cut off."""
        margin = _MARGIN * (high - low)
        is_cut_low, is_cut_high = low <= 0, high >= limit
        return cls(0 if is_cut_low else low - margin, limit if is_cut_high else high + margin, is_cut_low, is_cut_high)

    @property
    def length(self) -> float:
        return float(self.high - self.low)

    def grown(self, length: float) -> "_Span":
        """At both ends alike, or where nothing is cut off if that is one of them."""
        more = length - self.length
        low_share = 0.5 if self.is_cut_low == self.is_cut_high else float(self.is_cut_high)
        low, high = self.low - more * low_share, self.high + more * (1 - low_share)
        return _Span(float(low), float(high), self.is_cut_low, self.is_cut_high)
