"""Key points of many photos, from any of three forms, each in the model's square frame.

Does not draw them (`xmdpt.skeleton`) nor find them in a photo. The forms:

* CSV as DeepFashion's annotations come from PATN: a head line, then `name:keypoints_y:keypoints_x`, -1 = missing;
* JSON lines: `{"name": ..., "keypoints": [[x, y] or null] * 18, "size": [w, h], "origin": [x, y]}`;
* a folder of text files as PIDM keeps them: 18 lines `x y`, -1 = missing, `img/a/b.jpg` in `a/b.txt`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmdpt.deepfashion import FRAME_ORIGIN, FRAME_SIZE, read_row
from xmdpt.evaluation.mistakes import InputError
from xmdpt.skeleton import MISSING, to_frame
from xmdpt.spec import NUM_KEY_POINTS

# Far more than any photo's side, and small enough for the integers that the drawing uses.
_MAX_COORDINATE_PX = 10_000


@dataclass(frozen=True)
class Frame:
    """The rectangle of the annotation's picture that holds the photo, in px of that picture."""

    width: float
    height: float
    x: float
    y: float


DEEPFASHION_FRAME = Frame(*FRAME_SIZE, *FRAME_ORIGIN)
"""The photo without the white bars beside it."""


class KeyPoints:
    """Key points by photo name; the name's extension does not count, for annotations say .jpg where data says .png."""

    def __init__(self, path: Path, frame: Frame = DEEPFASHION_FRAME):
        """Open a file (`.jsonl`, `.ndjson`, `.json`: JSON lines; else CSV) or a folder of text files.

        Args:
            path: file or folder.
            frame: of CSV and text files; JSON lines bring their own.

        Raises:
            InputError: it cannot be read, or a line is malformed; the message gives its number.
        """
        self._path = path
        self._frame = frame
        self._by_name: Mapping[str, NDArray[np.float64]] | None = None if path.is_dir() else _read_file(path, frame)

    def has(self, name: str) -> bool:
        """Whether there are key points of a photo."""
        return self._text_file(name).is_file() if self._by_name is None else _stem(name) in self._by_name

    def where(self) -> str:
        """Where they come from, for people."""
        return str(self._path)

    def of(self, name: str) -> NDArray[np.float64]:
        """Return [18, 2] float64 (x, y) in px of the 256 px square; -1, -1 where missing.

        Raises:
            InputError: a text file is malformed.
            KeyError: there are none of this photo.
        """
        if self._by_name is not None:
            return self._by_name[_stem(name)]
        path = self._text_file(name)
        if not path.is_file():
            raise KeyError(name)
        rows = [row.split() for row in path.read_text().splitlines() if row.strip()]
        try:
            points = [[float(x), float(y)] for x, y in rows]
        except ValueError:
            raise InputError(f"{path}: not {NUM_KEY_POINTS} lines `x y`") from None
        return _in_square(points, self._frame, str(path))

    def _text_file(self, name: str) -> Path:
        return self._path / f"{_stem(name).removeprefix('img/')}.txt"


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _read_file(path: Path, frame: Frame) -> dict[str, NDArray[np.float64]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give key points with --key-points") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not text; give key points with --key-points") from None
    rows = _json_rows if path.suffix in {".jsonl", ".ndjson", ".json"} else _csv_rows
    table: dict[str, NDArray[np.float64]] = {}
    for line, name, points, row_frame in rows(path, lines, frame):
        moved = _in_square(points, row_frame, f"{path}:{line}")
        known = table.setdefault(_stem(name), moved)
        if not np.array_equal(known, moved):
            raise InputError(f"{path}:{line}: other key points for {name} than in an earlier line; keep one of them")
    return table


def _csv_rows(path: Path, lines: list[str], frame: Frame) -> Iterator[tuple[int, str, Any, Frame]]:
    if not lines or lines[0].replace(" ", "") != "name:keypoints_y:keypoints_x":
        raise InputError(f"{path}:1: the head line must be name:keypoints_y:keypoints_x (JSON lines end in .jsonl)")
    for line, text in enumerate(lines[1:], start=2):
        if not text.strip():
            continue
        try:
            name, ys, xs = read_row(text)
            points = [list(point) for point in zip(xs, ys, strict=True)]
        except ValueError:
            raise InputError(f"{path}:{line}: not name:[18 y]:[18 x] with -1 where missing") from None
        yield line, name, points, frame


def _json_rows(path: Path, lines: list[str], _: Frame) -> Iterator[tuple[int, str, Any, Frame]]:
    for line, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            name, points = row["name"], row["keypoints"]
            width, height = map(float, row["size"])
            x, y = map(float, row.get("origin", (0, 0)))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f'{path}:{line}: not {{"name": ..., "keypoints": [[x, y] or null, ...], "size": [w, h]}}'
            ) from None
        if not isinstance(name, str) or not (width > 0 and height > 0):
            raise InputError(f"{path}:{line}: the name must be text, width and height above 0")
        yield line, name, points, Frame(width, height, x, y)


def _in_square(points: Any, frame: Frame, where: str) -> NDArray[np.float64]:
    try:
        array = np.array([(MISSING, MISSING) if point is None else point for point in points], dtype=np.float64)
    except (ValueError, TypeError):
        array = np.empty(0)
    if array.shape != (NUM_KEY_POINTS, 2):
        raise InputError(f"{where}: not {NUM_KEY_POINTS} key points of two numbers each")
    if not (np.abs(array) <= _MAX_COORDINATE_PX).all():
        raise InputError(f"{where}: a coordinate is not a number within {_MAX_COORDINATE_PX} px")
    # The official drawing leaves out a point of which either coordinate is missing.
    array[(array == MISSING).any(axis=1)] = MISSING
    return to_frame(array, size=(frame.width, frame.height), origin=(frame.x, frame.y))
