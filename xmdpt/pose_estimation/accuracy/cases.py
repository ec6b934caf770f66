"""Photos whose poses are known: held-out rendered persons, and folders of photos with the skeletons drawn of them.

Finds no poses (`xmdpt.pose_estimation.estimator`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmdpt.persons.domain import Domain
from xmdpt.persons.render import render_pair
from xmdpt.pose_estimation.accuracy.skeletons import key_points_in
from xmdpt.pose_estimation.framing import ASPECT
from xmdpt.preprocess import to_photo
from xmdpt.skeleton import MISSING, to_skeleton

_PHOTO, _SKELETON = "target.png", "pose.png"


class SamplesError(ValueError):
    """A folder of samples is not one; the message says what it lacks."""


@dataclass(frozen=True)
class Case:
    """One photo with its true pose.

    Attributes:
        name: for people.
        photo: [256, 256, 3] uint8 RGB, stretched to the square.
        aspect: width by height of what it shows.
        key_points: [18, 2] (x, y) in px; -1, -1 where missing.
    """

    name: str
    photo: NDArray[np.uint8]
    aspect: float
    key_points: NDArray[np.floating]


def rendered_persons(num_persons: int, domain: Domain) -> Iterator[Case]:
    """Render so many persons, one picture each; none of them is in a training set. Each call gives the same ones."""
    for seed in range(num_persons):
        (view,) = render_pair(seed, domain, "held_out", num_views=1).views
        yield Case(f"{domain.name} {seed}", view.picture, ASPECT, view.key_points)


def sample_folders(folder: Path) -> list[Path]:
    """Return the folders below this one that hold a photo and its skeleton, by name.

    Raises:
        SamplesError: there is none.
    """
    found = sorted(path.parent for path in folder.glob(f"*/{_PHOTO}") if path.with_name(_SKELETON).is_file())
    if not found:
        raise SamplesError(f"{folder}: holds no folder with {_PHOTO} and {_SKELETON}")
    return found


def annotated_photos(folders: list[Path]) -> Iterator[Case]:
    """Read photos of DeepFashion, stretched to 256 px squares, and the joints in their skeletons.

    Raises:
        SamplesError: a picture is damaged, or no joint is found in a skeleton.
    """
    for folder in folders:
        try:
            with Image.open(folder / _PHOTO) as photo, Image.open(folder / _SKELETON) as skeleton:
                case = Case(folder.name, to_photo(photo), ASPECT, key_points_in(to_skeleton(skeleton)))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise SamplesError(f"{folder}: not a photo and a skeleton that can be read: {error}") from None
        if (case.key_points == MISSING).all():
            raise SamplesError(f"{folder / _SKELETON}: no joint in the colours of xmdpt/skeleton.py")
        yield case
