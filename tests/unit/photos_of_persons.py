"""The bundled photos: a rendered person seen whole, and the portrait of an astronaut, 512 x 512 px."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PERSON = EXAMPLES / "person.png"
ASTRONAUT = EXAMPLES / "astronaut.jpg"


def photo_of(path: Path) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 RGB, at its own size."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def png_of(photo: NDArray[np.uint8]) -> bytes:
    """The photo as a file."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "PNG")
    return file.getvalue()


def in_a_wide_photo(margin: int = 120) -> NDArray[np.uint8]:
    """The rendered person, 176 x 256 px, with so many px more on the left: the whole photo is 256 px high."""
    return np.pad(photo_of(PERSON), ((0, 0), (margin, 0), (0, 0)), mode="edge")


def unsuitable(code: str) -> NDArray[np.uint8]:
    """A photo from which no pose is taken, by the code of the reason."""
    person = photo_of(PERSON)
    photos = {
        "no_person": lambda: np.full((300, 200, 3), 220, np.uint8),
        "several_persons": lambda: np.concatenate([person, person[:, ::-1]], axis=1),
        "person_too_small": lambda: np.asarray(Image.fromarray(person).resize((33, 48), Image.Resampling.LANCZOS)),
        "person_out_of_frame": lambda: photo_of(ASTRONAUT),
    }
    return photos[code]()
