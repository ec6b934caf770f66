"""B21: picture files, read and written as the service does it, beside Pillow's own settings and shortcuts.

CPU time of one thread, without the processes in which the gateway decodes.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.figures import Figure, Target, ratios
from benchmarks.turns import Report, take_turns
from service.domain.request import ImageFormat, OutputOptions
from service.engine.delivery import picture_file
from xmdpt.preprocess import to_photo
from xmdpt.spec import IMAGE_SIZE

_PHOTO = Path(__file__).resolve().parents[2] / "examples" / "astronaut.jpg"
_LARGE_PX = (1920, 1080)
_REPEATS = 10
_OURS, _DEFAULT = "ours", "Pillow's default"
_IN_FULL, _DRAFT = "in full", "by draft"
# How many times less, and how much more of the disk that may cost.
_TARGETS = {
    ImageFormat.PNG: (Target(2, "at least"), Target(1.15, "at most")),
    ImageFormat.WEBP: (Target(1.5, "at least"), Target(1.05, "at most")),
    ImageFormat.JPEG: (None, None),
}


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    num_rounds = 1 if is_quick else 15
    photo = to_photo(Image.open(_PHOTO))
    figures: list[Figure] = []
    for output in (OutputOptions(format=each) for each in ImageFormat):
        figures += _encoding(photo, output, num_rounds, report)
    return [*figures, *_decoding(photo, num_rounds, report)]


def _encoding(photo: NDArray[np.uint8], output: OutputOptions, num_rounds: int, report: Report) -> list[Figure]:
    name, options = output.format.value, {} if output.format is ImageFormat.PNG else {"quality": output.quality}
    sides = {
        _OURS: lambda: picture_file(photo, output),
        _DEFAULT: lambda: _file(Image.fromarray(photo), name, **options),
    }
    seconds = _seconds(sides, num_rounds, report)
    less_time, more_bytes = _TARGETS[output.format]
    contents = {side: write() for side, write in sides.items()}
    size = len(contents[_OURS]) / len(contents[_DEFAULT])
    errors = {side: _mean_error(content, photo) for side, content in contents.items()}
    lossy = [] if output.format is ImageFormat.PNG else [errors[_OURS] / errors[_DEFAULT]]
    return [
        Figure(f"{_DEFAULT} / {_OURS}, {name}", ratios(seconds[_DEFAULT], seconds[_OURS]), target=less_time),
        Figure(f"bytes, {_OURS} / {_DEFAULT}, {name}", [size], target=more_bytes),
        *(Figure(f"mean error, {_OURS} / {_DEFAULT}, {name}", [each]) for each in lossy),
        Figure(f"writing {name}", _ms(seconds[_OURS]), "ms"),
    ]


def _decoding(photo: NDArray[np.uint8], num_rounds: int, report: Report) -> list[Figure]:
    large = _file(Image.open(_PHOTO).resize(_LARGE_PX, Image.Resampling.BICUBIC), "jpeg", quality=90)
    small = _file(Image.fromarray(photo), "png")
    sides = {
        _IN_FULL: lambda: to_photo(Image.open(io.BytesIO(large))),
        _DRAFT: lambda: _drafted(large),
        "png": lambda: to_photo(Image.open(io.BytesIO(small))),
    }
    seconds = _seconds(sides, num_rounds, report)
    difference = np.abs(sides[_IN_FULL]().astype(float) - sides[_DRAFT]())
    size = "{} x {}".format(*_LARGE_PX)
    return [
        Figure(f"{_IN_FULL} / {_DRAFT}, JPEG of {size}", ratios(seconds[_IN_FULL], seconds[_DRAFT])),
        Figure("grey levels between these, mean", [float(difference.mean())]),
        Figure("grey levels between these, largest", [float(difference.max())]),
        Figure(f"reading a JPEG of {size}, {_IN_FULL}", _ms(seconds[_IN_FULL]), "ms"),
        Figure(f"reading a PNG of {IMAGE_SIZE} x {IMAGE_SIZE}", _ms(seconds["png"]), "ms"),
    ]


def _mean_error(content: bytes, photo: NDArray[np.uint8]) -> float:
    """Of what a file shows, in grey levels."""
    return float(np.abs(np.array(Image.open(io.BytesIO(content)).convert("RGB")).astype(float) - photo).mean())


def _drafted(content: bytes) -> NDArray[np.uint8]:
    """The photo of a file whose decoder shrinks it as far as it still fills the square."""
    image = Image.open(io.BytesIO(content))
    image.draft("RGB", (IMAGE_SIZE, IMAGE_SIZE))
    return to_photo(image)


def _file(image: Image.Image, name: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def _seconds(sides: Mapping[str, Callable[[], object]], num_rounds: int, report: Report) -> dict[str, list[float]]:
    """CPU seconds of one run, each the mean of some in a row."""

    def repeated(run: Callable[[], object]) -> Callable[[], None]:
        def repeat() -> None:
            for _ in range(_REPEATS):
                run()

        return repeat

    taken = take_turns({name: repeated(run) for name, run in sides.items()}, num_rounds, report)
    return {name: [each / _REPEATS for each in seconds] for name, seconds in taken.items()}


def _ms(seconds: list[float]) -> list[float]:
    return [1000 * each for each in seconds]
