"""Calls of `python -m xmdpt.training evaluate` on small data, and what they leave."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.built_repositories import tiny_repository

STEPS = ("--steps", "3", "--batch", "2")


def arguments(data: Path, out: Path, *more: str) -> list[str]:
    # Not what is shipped: these tests know the variant and that nobody trained it.
    repository = str(tiny_repository())
    return ["evaluate", "--data", str(data), "--out", str(out), "--repository", repository, *STEPS, *more]


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def pictures(out: Path) -> dict[str, np.ndarray]:
    return {path.name: np.array(Image.open(path)) for path in sorted((out / "pictures").iterdir())}
