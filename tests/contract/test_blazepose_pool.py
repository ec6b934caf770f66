"""The processes that find persons: what they find, and that a bad file costs only its own caller something."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.adapters.blazepose_pool import BlazePosePool
from service.domain.errors import OverloadedError, RequestError
from service.domain.person import UNSUITABLE_CODES, Finding, PersonInPhoto, UnsuitablePhoto
from tests.api import pictures
from tests.integration.processes import wait_until
from tests.unit.photos_of_persons import PERSON, png_of, unsuitable

GOOD = PERSON.read_bytes()


@pytest.fixture(scope="module")
def pool() -> Iterator[BlazePosePool]:
    """For tests that leave its process as it is."""
    pool = BlazePosePool(1)
    yield pool
    pool.close()


@pytest.fixture
def new_pool() -> Iterator[Callable[..., BlazePosePool]]:
    """Makes pools of one process, whose processes end with the test."""
    pools: list[BlazePosePool] = []

    def make(**options: int) -> BlazePosePool:
        pools.append(BlazePosePool(1, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def process_of(pool: BlazePosePool) -> int | None:
    running = pool._processes[0]._running
    return running[0].pid if running else None


def found_in(pool: BlazePosePool, photo: np.ndarray) -> Finding:
    return pool.find(png_of(photo), "PNG", (photo.shape[1], photo.shape[0]))


def works(pool: BlazePosePool) -> bool:
    return isinstance(pool.find(GOOD, "PNG", (176, 256)), PersonInPhoto)


def test_person_when_there_is_one_then_18_points_and_a_frame_that_holds_them(pool: BlazePosePool) -> None:
    found = pool.find(GOOD, "PNG", (176, 256))

    assert isinstance(found, PersonInPhoto)
    assert (len(found.key_points.points), found.key_points.size, found.key_points.origin) == (18, (176, 256), (0, 0))
    left, top, width, height = found.frame
    assert width / height == pytest.approx(176 / 256, abs=0.001)
    seen = [point for point in found.key_points.points if point]
    assert len(seen) >= 14
    assert all(left < x < left + width and top < y < top + height for x, y in seen)
    # The person fills the bundled picture as the model's photos are filled.
    assert (left, top, left + width, top + height) == pytest.approx((0, 0, 176, 256), abs=12)


def test_person_when_the_photo_lies_on_its_side_by_its_tag_then_found_upright(pool: BlazePosePool) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    on_its_side = Image.open(PERSON).convert("RGB").transpose(Image.Transpose.ROTATE_90)
    content = pictures.encoded(on_its_side, "JPEG", exif=turned.tobytes(), quality=95)

    found = pool.find(content, "JPEG", on_its_side.size)

    assert isinstance(found, PersonInPhoto)
    assert found.key_points.size == (176, 256)
    nose, *_ = found.key_points.points
    assert nose == pytest.approx((95, 31), abs=4)


@pytest.mark.parametrize("code", UNSUITABLE_CODES)
def test_person_when_the_photo_is_unsuitable_then_the_reason_and_what_to_do(pool: BlazePosePool, code: str) -> None:
    found = found_in(pool, unsuitable(code))

    assert isinstance(found, UnsuitablePhoto)
    assert found.code == code
    assert found.detail.startswith("must show ")


@pytest.mark.parametrize(
    ("content", "size", "words"),
    [
        (GOOD[:-300], (176, 256), "damaged"),
        (GOOD, (256, 176), "another size"),
        (pictures.jpeg(), (60, 80), "damaged"),
    ],
    ids=["cut", "another size", "another format"],
)
def test_person_when_the_file_is_bad_then_it_is_refused_and_the_process_goes_on(
    pool: BlazePosePool, content: bytes, size: tuple[int, int], words: str
) -> None:
    assert works(pool)
    process = process_of(pool)

    with pytest.raises(RequestError, match=words) as error:
        pool.find(content, "PNG", size)

    assert error.value.code == "image_invalid"
    assert works(pool)
    assert process_of(pool) == process


def test_person_when_the_photo_is_as_large_as_may_be_then_looked_at(pool: BlazePosePool) -> None:
    side = 4096
    content = pictures.bomb(side, side)

    found = pool.find(content, "PNG", (side, side))

    assert isinstance(found, UnsuitablePhoto)
    assert found.code == "no_person"


def test_person_when_its_process_is_killed_then_only_that_caller_hears_of_it(
    new_pool: Callable[..., BlazePosePool],
) -> None:
    pool = new_pool()
    assert works(pool)
    process = process_of(pool)
    assert process
    os.kill(process, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(pool.find, GOOD, "PNG", (176, 256))
        wait_until(pool._idle.empty, 60, "it is being looked at")
        second = threads.submit(works, pool)
        os.kill(process, signal.SIGKILL)

        with pytest.raises(RequestError, match="crashed"):
            first.result(20)
        assert second.result(20)


def test_person_when_no_process_can_start_then_no_photo_is_blamed(
    new_pool: Callable[..., BlazePosePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = new_pool()
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONHOME", "/nowhere")
        with pytest.raises(OverloadedError) as error:
            works(pool)

    assert error.value.code == "overloaded"
    assert works(pool), "and it is tried again"


def test_pool_when_made_then_no_process_and_no_runtime_until_a_photo_comes(
    new_pool: Callable[..., BlazePosePool],
) -> None:
    pool = new_pool()

    assert process_of(pool) is None
    assert works(pool)
    assert process_of(pool) is not None


def test_process_when_it_looks_then_it_holds_no_secret_and_can_open_nothing(
    new_pool: Callable[..., BlazePosePool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:password@queue")
    pool = new_pool()
    assert works(pool)
    process = Path(f"/proc/{process_of(pool)}")

    lines = (process / "limits").read_text().splitlines()
    limits = {line[:25].strip(): line[25:].split()[:2] for line in lines}

    assert limits["Max open files"] == limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
    assert [int(each) for each in limits["Max address space"]] == [2**30 + 32 * 16_800_000] * 2
    assert 1 <= int(limits["Max cpu time"][0]) <= 10
    assert b"password" not in (process / "environ").read_bytes()


def test_version_when_asked_for_twice_then_equal_and_the_runtime_stays_outside(pool: BlazePosePool) -> None:
    program = (
        "import sys; from service.adapters.blazepose_pool import BlazePosePool; print(BlazePosePool().version); "
        "sys.exit('onnxruntime' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == pool.version
    assert len(pool.version) == 64
