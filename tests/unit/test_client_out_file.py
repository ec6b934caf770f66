"""A picture is written whole or not at all, and over nothing without a word."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from xmdpt_client.command.out_file import write_out
from xmdpt_client.values import Picture

MANY = bytes(1_000_000)


@pytest.fixture
def picture() -> Picture:
    return Picture(MANY, "image/png", seed=1)


@pytest.fixture
def _no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file of this process may grow beyond 100 kB, which fails as a full disk does."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("_no_room")
@pytest.mark.parametrize("force", [False, True])
def test_picture_when_there_is_no_room_then_nothing_of_it_stays_and_what_was_there_does(
    picture: Picture, tmp_path: Path, force: bool
) -> None:
    out = tmp_path / "out.png"
    if force:
        out.write_bytes(b"precious")

    with pytest.raises(OSError, match="too large"):
        write_out(picture, out, force=force)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([b"precious"] if force else [])


def test_picture_when_the_file_has_come_meanwhile_then_it_stays(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        write_out(picture, tmp_path / "out.png", force=False)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_picture_when_forced_over_a_file_then_that_keeps_its_mode(picture: Picture, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    out.chmod(0o600)

    write_out(picture, out, force=True)

    assert (out.read_bytes(), out.stat().st_mode & 0o777, len(list(tmp_path.iterdir()))) == (MANY, 0o600, 1)


def test_picture_when_forced_onto_a_link_or_a_pipe_then_these_stay(picture: Picture, tmp_path: Path) -> None:
    link, pipe, read = tmp_path / "link", tmp_path / "pipe", []
    link.symlink_to("far")
    (tmp_path / "far").write_bytes(b"old")
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()

    for out in (link, pipe):
        write_out(picture, out, force=True)
    reader.join(20)

    assert ((tmp_path / "far").read_bytes(), read) == (MANY, [MANY])
    assert (link.is_symlink(), pipe.is_fifo()) == (True, True)
