"""Poses that are made of others: moved, or on the way from one to another. All as the API's own pose objects.

It checks no pose: the service does, and names the field.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from xmdpt_client.inputs import KeyPoints, NewPose, PhotoOfPose, pose_part


def moved(
    pose: NewPose,
    *,
    mirror: bool = False,
    fit: bool | float = False,
    scale: float | None = None,
    shift: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """A pose that is to be moved: mirrored, fitted, scaled, shifted, in this order; each of these is set once.

    Args:
        pose: one with key points, or a photo of one, as `generate` takes it: not a skeleton, and not an upload.
        mirror: left and right swapped.
        fit: as large as the frame allows, in its middle; a number is the share of its sides left free, 0 .. 0.4.
        scale: 0.1 .. 10, about the middle of the pose.
        shift: to the right and down, in px of the 256 px frame.

    Raises:
        ValueError, OSError, TypeError: it is not one.
    """
    moves = {
        "mirror": mirror or None,
        "fit": {"margin": fit} if not isinstance(fit, bool) else fit or None,
        "scale": scale,
        "shift": None if shift is None else list(shift),
    }
    return pose_document(pose) | {name: value for name, value in moves.items() if value is not None}


def between(start: NewPose, end: NewPose, at: float) -> dict[str, Any]:
    """The pose on the way from one to another, 0 .. 1; raises as `moved`."""
    return {"between": {"from": pose_document(start), "to": pose_document(end), "at": at}}


def pose_document(pose: NewPose) -> dict[str, Any]:
    """A pose as the API takes it inside of JSON.

    Raises:
        OSError: its file can't be read.
        ValueError: it is a picture, or no JSON.
        TypeError: it is none of the forms that are taken.
    """
    if isinstance(pose, KeyPoints | PhotoOfPose):
        return pose.document()
    if isinstance(pose, Mapping):
        return dict(pose)
    content = pose_part(pose)[1]
    name = f"{os.fspath(pose)}: " if isinstance(pose, str | os.PathLike) else ""
    try:
        document: Any = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ValueError(f"{name}the pose must be given by key points here, as a JSON object")
    return cast("dict[str, Any]", document)
