"""A source and a pose, in whatever way a caller holds them, become the bytes that are sent.

It looks into no picture and checks no key point: the service does, and names the field.
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

# No gateway can be set to take more, so a huge file given by mistake is not read to its end.
MAX_FILE_BYTES = 100_000_000


class BinaryFile(Protocol):
    """An open file, or what reads like one."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes."""
        ...


@dataclass(frozen=True)
class KeyPoints:
    """A pose as 18 points in the order of OpenPose COCO-18 (docs/api.md names them).

    Attributes:
        points: an entry each: (x, y) or (x, y, score) in px of the frame, or None where the point is missing.
        size: width and height of their frame, px.
        origin: left and top of that frame, px.
    """

    points: Sequence[Sequence[float] | None]
    size: tuple[float, float]
    origin: tuple[float, float] = (0.0, 0.0)

    def document(self) -> dict[str, Any]:
        """As the API takes it."""
        points = [None if point is None else [float(value) for value in point] for point in self.points]
        return {
            "keypoints": points,
            "size": [float(side) for side in self.size],
            "origin": [float(side) for side in self.origin],
        }


@dataclass(frozen=True)
class StoredSource:
    """A photo that the service keeps for 7 days after its last use.

    Attributes:
        id: `src_` and 32 hex digits.
        is_encoded: a job with it needs no encoder for it any more.
        document: the whole source object of docs/api.md.
    """

    id: str
    is_encoded: bool
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class StoredPose:
    """Likewise a pose, whose id begins with `pos_`."""

    id: str
    is_encoded: bool
    document: Mapping[str, Any] = field(repr=False)


Photo = str | os.PathLike[str] | bytes | BinaryFile
"""Path, bytes of a PNG, JPEG or WebP file, or a file open for reading bytes."""

Source = Photo | StoredSource
"""A photo, or one that was uploaded before."""


@dataclass(frozen=True)
class PhotoOfPose:
    """A photo of one person, whose pose the service takes (docs/pose-estimation.md).

    Attributes:
        photo: of anybody.
        frame: what the picture that is made shows: `person`, as much as there is around the person; `photo`, all of it.
    """

    photo: Photo
    frame: Literal["person", "photo"] = "person"

    def document(self) -> dict[str, Any]:
        """As the API takes it; raises as `pose_part`."""
        data = base64.b64encode(_content(self.photo, "pose")).decode()
        return {"photo": {"data": data, "frame": self.frame}}


NewPose = KeyPoints | PhotoOfPose | Mapping[str, Any] | Photo
"""Key points, a photo of the pose, the API's pose object (docs/poses.md), or a file: .json, or a skeleton picture."""

Pose = NewPose | StoredPose
"""One of these, or one that was uploaded before."""


@dataclass(frozen=True)
class Matrix:
    """Every source in every pose, as the items of a batch, which are named `s<i>-p<j>`.

    Attributes:
        sources: each as `generate` takes it, or the API's own source object.
        poses: each as `generate` takes it.
    """

    sources: Sequence[Source | Mapping[str, Any]]
    poses: Sequence[Pose]


FilePart = tuple[str | None, bytes, str]
"""Name, None of a plain field, content and media type of a part of a form."""


def source_field(source: Source) -> tuple[str, FilePart]:
    """The form's `source` or `source_id`, and its part; raises as `pose_part`."""
    if isinstance(source, StoredSource):
        return "source_id", _id_part(source.id)
    return "source", source_part(source)


def pose_field(pose: Pose) -> tuple[str, FilePart]:
    """The form's `pose` or `pose_id`, and its part; raises as `pose_part`."""
    if isinstance(pose, StoredPose):
        return "pose_id", _id_part(pose.id)
    return "pose", pose_part(pose)


def source_part(source: Photo) -> FilePart:
    """The form's `source`; raises as `pose_part`."""
    return ("source", _content(source, "source"), "application/octet-stream")


def pose_part(pose: NewPose) -> FilePart:
    """The form's `pose`; the service tells JSON from a picture by its first byte.

    Raises:
        OSError: the file can't be read.
        ValueError: the file has more than 100 MB, or the pose holds what JSON can't.
        TypeError: it is none of the forms that are taken.
    """
    if isinstance(pose, KeyPoints | PhotoOfPose):
        return _json_part(pose.document())
    if isinstance(pose, Mapping):
        return _json_part(pose)
    is_json = isinstance(pose, str | os.PathLike) and Path(pose).suffix.lower() == ".json"
    return ("pose", _content(pose, "pose"), "application/json" if is_json else "application/octet-stream")


def holds_picture(pose: Mapping[str, Any]) -> bool:
    """Whether a pose object of the API has a picture in it, which an item of a batch may not have."""
    return "photo" in pose or "skeleton" in pose


def _id_part(picture_id: str) -> FilePart:
    # Beside the files and not with the other fields: a form without a file is still to be multipart.
    return (None, picture_id.encode(), "text/plain")


def _json_part(document: Mapping[str, Any]) -> FilePart:
    return ("pose", json.dumps(dict(document), allow_nan=False).encode(), "application/json")


def _content(given: Photo, name: str) -> bytes:
    if isinstance(given, bytes):
        content = given
    elif isinstance(given, str | os.PathLike):
        with Path(given).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    elif hasattr(given, "read"):
        content = given.read(MAX_FILE_BYTES + 1)
    else:
        raise TypeError(f"{name} must be a path, bytes or an open file, not {type(given).__name__}")
    # An open file in text mode gives text, whatever its type says.
    if not isinstance(content, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name} must be open for reading bytes: open(path, 'rb')")
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{name} may have {MAX_FILE_BYTES} bytes")
    return content
