"""The bundled photos: a rendered person seen whole, and the portrait of an astronaut, 512 x 512 px."""

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
