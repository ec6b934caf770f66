"""Poses by name, for who has no key points at hand.

The key points are those of rendered persons (`xmdpt.persons`), chosen by eye: poses that a model has seen the like of.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from service.domain.errors import NotFoundError
from service.domain.pose import KeyPoints, parse_key_points
from service.gateway.poses import draw_pose
from xmdpt.spec import IMAGE_SIZE

_SIZE = (float(IMAGE_SIZE), float(IMAGE_SIZE))


@dataclass(frozen=True)
class PosePreset:
    """One of them.

    Attributes:
        name: lower-case words joined by underscores.
        key_points: in a frame of 256 x 256 px.
    """

    name: str
    key_points: KeyPoints

    @property
    def skeleton(self) -> bytes:
        """As the model is given it: uint8 [256,256,3] RGB as 196,608 bytes."""
        return draw_pose(self.key_points)


def _read() -> Mapping[str, PosePreset]:
    text = resources.files("service.gateway").joinpath("pose_presets.json").read_text("utf-8")
    entries = json.loads(text)
    return {entry["name"]: PosePreset(entry["name"], parse_key_points(entry["keypoints"], _SIZE)) for entry in entries}


POSE_PRESETS = _read()
"""By name, in the order in which they are shown."""


def preset(name: str) -> PosePreset:
    """The pose of this name; NotFoundError if there is none."""
    if name not in POSE_PRESETS:
        raise NotFoundError("there is no such preset; `GET /v1/poses/presets` names all")
    return POSE_PRESETS[name]
