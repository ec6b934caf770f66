"""The processes that decode: what they make of good files, and that a bad one costs only its own caller something."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from service.adapters.pillow_pool import PillowPool
from service.domain.errors import OverloadedError, RequestError
from service.domain.person import Frame
from tests.api import pictures
from tests.integration.processes import ROOT, children, wait_until
from xmdpt.preprocess import to_photo

GOOD = {"PNG": pictures.png(), "JPEG": pictures.jpeg(), "WEBP": pictures.webp()}
SIZE = (60, 80)


def decoders() -> list[int]:
    """Process ids of those of this process, whichever thread has started them."""
    tasks = [task.name for task in Path("/proc/self/task").iterdir()]
    ids = [int(pid) for task in tasks for pid in _read(os.getpid(), f"task/{task}/children").split()]
    return [pid for pid in ids if b"pillow_process" in _read(pid, "cmdline")]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def works(pool: PillowPool) -> bool:
    return pool.decode(GOOD["PNG"], "PNG", SIZE).pixels == to_photo(Image.open(BytesIO(GOOD["PNG"]))).tobytes()


@pytest.fixture
def new_pool() -> Iterator[Callable[..., PillowPool]]:
    """Makes pools of one process, whose processes end with the test; those that others have started don't count."""
    others, pools = set(decoders()), []

    def make(**options: Any) -> PillowPool:
        pools.append(PillowPool(1, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
    assert set(decoders()) <= others


def process_of(pool: PillowPool) -> int:
    running = pool._processes[0]._running
    assert running
    return running[0].pid


@pytest.mark.parametrize("name", GOOD)
def test_decode_when_the_file_is_good_then_pixels_and_upright_size(
    new_pool: Callable[..., PillowPool], name: str
) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    content = pictures.encoded(pictures.image(), name, exif=turned.tobytes())

    decoded = new_pool().decode(content, name, SIZE)  # pyright: ignore[reportArgumentType]

    assert decoded.pixels == to_photo(Image.open(BytesIO(content))).tobytes()
    assert (decoded.width_px, decoded.height_px) == (80, 60)


def test_decode_when_a_frame_is_asked_for_then_its_pixels_and_size(new_pool: Callable[..., PillowPool]) -> None:
    frame = Frame(-10.25, 5.5, 44.5, 64.75)

    decoded = new_pool().decode(GOOD["PNG"], "PNG", SIZE, frame)

    assert decoded.pixels == to_photo(Image.open(BytesIO(GOOD["PNG"])), frame).tobytes()
    assert (decoded.width_px, decoded.height_px) == (44, 65)


@pytest.mark.parametrize(
    ("content", "size", "words"),
    [
        (GOOD["PNG"][:-300], SIZE, "damaged"),
        (GOOD["PNG"], (80, 60), "another size"),
        (pictures.jpeg(), SIZE, "damaged"),
        (pictures.bomb(20_000, 20_000), (20_000, 20_000), "damaged"),
    ],
    ids=["cut", "another size", "another format", "beyond Pillow's own limit"],
)
def test_decode_when_the_file_is_bad_then_it_is_refused_and_the_process_goes_on(
    new_pool: Callable[..., PillowPool], content: bytes, size: tuple[int, int], words: str
) -> None:
    pool = new_pool()
    pool.start()
    process = process_of(pool)

    with pytest.raises(RequestError, match=words) as error:
        pool.decode(content, "PNG", size)

    assert error.value.code == "image_invalid"
    assert process_of(pool) == process
    assert works(pool)


def test_decode_when_a_picture_needs_more_memory_than_there_is_then_it_is_refused(
    new_pool: Callable[..., PillowPool],
) -> None:
    pool = new_pool(max_pixels=1)

    with pytest.raises(RequestError, match="memory") as error:
        pool.decode(pictures.bomb(9400, 9400), "PNG", (9400, 9400))

    assert error.value.code == "image_invalid"
    assert works(pool)


def test_decode_when_a_picture_takes_too_long_then_its_process_ends_and_the_next_one_decodes(
    new_pool: Callable[..., PillowPool],
) -> None:
    crashes: list[str] = []
    pool = new_pool(cpu_seconds=1, on_crash=lambda: crashes.append("one"))
    assert works(pool)
    process = process_of(pool)

    with pytest.raises(RequestError, match="too long") as error:
        pool.decode(pictures.many_scans(4096, 4096, 3000), "JPEG", (4096, 4096))

    assert error.value.code == "image_invalid"
    assert crashes == ["one"]
    assert process_of(pool) != process
    assert works(pool)


def test_decode_when_its_process_is_killed_then_only_that_caller_hears_of_it(
    new_pool: Callable[..., PillowPool],
) -> None:
    pool = new_pool()
    assert works(pool)
    process = process_of(pool)
    os.kill(process, signal.SIGSTOP)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(pool.decode, GOOD["PNG"], "PNG", SIZE)
        wait_until(pool._idle.empty, 60, "it is being decoded")
        second = threads.submit(works, pool)
        # What it was sent is unread, so it has not begun with it.
        os.kill(process, signal.SIGKILL)

        with pytest.raises(RequestError, match="crashed"):
            first.result(20)
        assert second.result(20)


def test_decode_when_a_process_died_between_pictures_then_nobody_hears_of_it(
    new_pool: Callable[..., PillowPool],
) -> None:
    pool = new_pool()
    assert works(pool)
    process = process_of(pool)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: _read(process, "stat").split(b") ")[-1].startswith(b"Z"), 60, "it is dead")

    assert works(pool)
    assert process_of(pool) != process


def test_decode_when_no_process_can_start_then_it_is_nobodys_picture_that_is_blamed(
    new_pool: Callable[..., PillowPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = new_pool()
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONHOME", "/nowhere")
        with pytest.raises(OverloadedError) as error:
            pool.decode(GOOD["PNG"], "PNG", SIZE)

    assert error.value.code == "overloaded"
    assert works(pool), "and it is tried again"


def test_process_when_it_has_decoded_its_share_then_another_takes_its_place(
    new_pool: Callable[..., PillowPool],
) -> None:
    pool, processes = new_pool(max_decoded=3), []
    pool.start()
    for _ in range(7):
        processes.append(process_of(pool))
        assert works(pool)

    assert [processes.count(each) for each in dict.fromkeys(processes)] == [3, 3, 1]


def test_pool_when_a_process_has_been_replaced_then_the_other_one_decodes_while_that_starts() -> None:
    pool = PillowPool(2, max_decoded=2)
    pool.start()
    places: list[int] = []
    for _ in range(6):
        before = [process._num_decoded for process in pool._processes]
        assert works(pool)
        after = [process._num_decoded for process in pool._processes]
        places += [place for place in (0, 1) if before[place] != after[place]]
    pool.close()

    assert places == [0, 0, 1, 1, 0, 0]


def test_process_when_it_decodes_then_it_holds_no_secret_and_can_open_nothing(
    new_pool: Callable[..., PillowPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:password@queue")
    monkeypatch.setenv("XMDPT_GATEWAY__PORT", "8080")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=password")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "password")
    pool = new_pool()
    assert works(pool)

    lines = _read(process_of(pool), "limits").decode().splitlines()
    limits = {line[:25].strip(): line[25:].split()[:2] for line in lines}

    assert limits["Max open files"] == limits["Max file size"] == limits["Max core file size"] == ["0", "0"]
    assert [int(each) for each in limits["Max address space"]] == [2**29 + 32 * 16_800_000] * 2
    assert 1 <= int(limits["Max cpu time"][0]) <= 10
    environment = _read(process_of(pool), "environ")
    assert b"password" not in environment
    assert b"XMDPT_" not in environment


def test_pool_when_its_process_is_killed_then_no_decoder_stays() -> None:
    program = (
        "import sys; from service.adapters.pillow_pool import PillowPool; pool = PillowPool(2); pool.start(); "
        "print('started', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"started\n"
        started = children(owner.pid)
        assert len(started) == 2
        owner.kill()

    wait_until(lambda: not any(_read(pid, "cmdline") for pid in started), 20, "they are gone")


def test_pool_when_closed_while_it_decodes_then_the_call_is_to_be_sent_again_and_no_process_is_left(
    new_pool: Callable[..., PillowPool],
) -> None:
    crashes: list[str] = []
    pool = new_pool(on_crash=lambda: crashes.append("one"))
    assert works(pool)
    process = process_of(pool)
    slow = pictures.many_scans(4096, 4096, 3000)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(pool.decode, slow, "JPEG", (4096, 4096))
        time.sleep(0.2)

        pool.close()

        error = call.exception()

    assert isinstance(error, OverloadedError)
    assert error.code == "draining"
    assert crashes == []
    assert not Path(f"/proc/{process}").exists()
    with pytest.raises(OverloadedError):
        pool.decode(slow, "JPEG", (4096, 4096))
