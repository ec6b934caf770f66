"""What is asked for: persons whose photos differ, the bundled pose in other places, and arrivals at random."""

import io
import json
from functools import cache
from random import Random

from PIL import Image

from loadtests.peers.callers import Due
from loadtests.peers.environments import ROOT
from loadtests.peers.services import Job

STEPS = (10, 20, 50)
_EXAMPLES = ROOT / "examples"
# Different persons to whoever looks at bytes or pixels.
_PERSONS, _CORNER_PX = 10_000, 8


def job(number: int, steps: int, person: int | None = None) -> Job:
    """The job of a number below 10,000, which is its seed, its pose, and its person unless one is given."""
    if not 0 <= number < _PERSONS:
        raise ValueError(f"job {number}: another one has its person and pose")
    return Job(_photo(number if person is None else person), _pose(number), steps, number)


def jobs(first: int, num_jobs: int, steps: int, person: int | None = None) -> list[Job]:
    """So many jobs of these steps, from the one of a number on."""
    return [job(first + number, steps, person) for number in range(num_jobs)]


def mixed(first: int, num_jobs: int) -> list[Job]:
    """Likewise of 10, 20 and 50 steps, in equal parts, in an order that is always the same."""
    steps = [STEPS[number % len(STEPS)] for number in range(num_jobs)]
    Random(0).shuffle(steps)
    return [job(first + number, count) for number, count in enumerate(steps)]


def poisson(first: int, rate: float, seconds: float) -> list[Due]:
    """Mixed jobs at random times; the same for the same rate.

    Args:
        first: number of the first job.
        rate: jobs a second, at the mean.
        seconds: how long they come.
    """
    random, due, times = Random(1), 0.0, list[float]()
    while (due := due + random.expovariate(rate)) < seconds:
        times.append(due)
    return [Due(each, time) for each, time in zip(mixed(first, len(times)), times, strict=True)]


@cache
def _photo(person: int) -> bytes:
    """The bundled photo with the number of its person in a corner."""
    with Image.open(_EXAMPLES / "person.png") as image:
        photo = image.convert("RGB")
    photo.paste((person % 256, person // 256, 0), (0, 0, _CORNER_PX, _CORNER_PX))
    file = io.BytesIO()
    photo.save(file, "PNG")
    return file.getvalue()


@cache
def _bundled_pose() -> dict:
    return json.loads((_EXAMPLES / "pose.json").read_text())


def _pose(number: int) -> dict:
    """All joints moved to the right and down by up to 20 px, in steps of 0.05 px to the right and 0.8 px down."""
    pose, right, down = _bundled_pose(), number % 400 / 20, number // 400 % 25 * 0.8
    points = [None if point is None else [point[0] + right, point[1] + down] for point in pose["keypoints"]]
    return {"keypoints": points, "size": pose["size"]}
