"""A folder of rendered pairs: its files, and pairs.jsonl with one line for each pair.

    pictures/000123_0.png, pictures/000123_1.png    source and target
    materials/000123_0.png, materials/000123_1.png  grey level = `xmdpt.persons.layers.Material`
    pairs.jsonl                                     line i is pair i: names, key points, seed, identity, domain, split

A pair's files are whole before its line is written, so a folder whose making was stopped is good as far as its lines
go. Does not render (`xmdpt.training.render`); needs no torch.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmdpt.evaluation.mistakes import InputError
from xmdpt.persons.body import Split
from xmdpt.persons.render import Pair, View
from xmdpt.training.whole_files import whole_file

LINES = "pairs.jsonl"

_KINDS = ("pictures", "materials")


@dataclass(frozen=True)
class Settings:
    """What a folder is rendered from.

    Attributes:
        seed: pair i is the person of seed + i.
        domain: name in `xmdpt.persons.domain.DOMAINS`.
        split: train or held_out.
    """

    seed: int
    domain: str
    split: Split


def make_folders(folder: Path) -> None:
    """Make the folder and those in it."""
    for kind in _KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)


def has_files(folder: Path, index: int) -> bool:
    """Tell whether all files of a pair are there; they are whole if they are."""
    return all((folder / name).exists() for name in _names(index).values())


def write_files(folder: Path, index: int, pair: Pair) -> None:
    """Write pictures and materials of a pair; each appears at once and whole."""
    for view_index, view in enumerate(pair.views):
        for kind, pixels in zip(_KINDS, (view.picture, view.materials), strict=True):
            _write_png(folder / _name(kind, index, view_index), pixels)


def line_of(index: int, pair: Pair, settings: Settings) -> str:
    """Return the line of a pair, without its end."""
    source, target = pair.views
    names = _names(index)
    return json.dumps(
        {
            "source": names["pictures 0"],
            "target": names["pictures 1"],
            "source_materials": names["materials 0"],
            "target_materials": names["materials 1"],
            **_points("source", source),
            **_points("target", target),
            "index": index,
            "seed": settings.seed + index,
            "identity": pair.person.identity,
            "domain": settings.domain,
            "split": settings.split,
        }
    )


def count_lines(folder: Path, settings: Settings) -> int:
    """Return how many pairs the folder already tells of, after cutting off a last line that is torn.

    Raises:
        InputError: it was rendered from something else, or a line is damaged.
    """
    path = folder / LINES
    if not path.exists():
        return 0
    count, length = 0, 0
    with path.open("rb") as file:
        for text in file:
            if not text.endswith(b"\n"):
                break
            _check(path, count, _parsed(path, count, text), settings)
            count, length = count + 1, length + len(text)
    os.truncate(path, length)
    return count


def read_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what each line of the folder says.

    Raises:
        InputError: there is no such folder, or a line is damaged.
    """
    path = folder / LINES
    try:
        with path.open("rb") as file:
            for index, text in enumerate(file):
                yield _parsed(path, index, text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; make it with python -m xmdpt.training render") from None


def read_png(path: Path) -> NDArray[np.uint8]:
    """Return a picture, [256, 256, 3] uint8, or materials, [256, 256] uint8.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(image)
    except (OSError, SyntaxError) as error:
        raise InputError(f"{path}: {error}; delete it and render again") from None


def _check(path: Path, index: int, line: dict[str, Any], settings: Settings) -> None:
    found = Settings(line.get("seed", -1) - index, line.get("domain", ""), line.get("split", ""))
    if found != settings:
        raise InputError(
            f"{path}:{index + 1}: rendered with --seed {found.seed} --domain {found.domain} --split {found.split}; "
            "give the same, or another --out"
        )


def _parsed(path: Path, index: int, text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict) or line.get("index") != index:
        raise InputError(f"{path}:{index + 1}: not pair {index}; delete this line and all after it")
    return line


def _points(which: str, view: View) -> dict[str, list[Any]]:
    return {
        f"{which}_key_points": [[round(float(x), 2), round(float(y), 2)] for x, y in view.key_points],
        f"{which}_visible": view.visible.tolist(),
    }


def _names(index: int) -> dict[str, str]:
    return {f"{kind} {view}": _name(kind, index, view) for kind in _KINDS for view in range(2)}


def _name(kind: str, index: int, view: int) -> str:
    return f"{kind}/{index:06d}_{view}.png"


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    with whole_file(path) as new:
        # Little effort: rendering should not wait for the compression, and the gain would be a tenth.
        Image.fromarray(pixels).save(new, "PNG", compress_level=2)
