"""A picture is written whole or not at all, and over nothing without a word."""

import errno
from pathlib import Path

import pytest

from xmdpt_client.command.out_file import write_out
from xmdpt_client.values import Picture


@pytest.fixture
def picture() -> Picture:
    return Picture(b"a picture", "image/png", seed=1)


@pytest.mark.parametrize("force", [False, True])
def test_picture_when_the_disk_is_full_then_nothing_of_it_stays_and_what_was_there_does(
    picture: Picture, tmp_path: Path, force: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / "out.png", Path.write_bytes

    def half(path: Path, content: bytes) -> int:
        write(path, content[:4])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    if force:
        out.write_bytes(b"precious")
    monkeypatch.setattr(Path, "write_bytes", half)

    with pytest.raises(OSError, match="No space left"):
        write_out(picture, out, force=force)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([b"precious"] if force else [])


def test_picture_when_the_file_has_come_meanwhile_then_it_stays(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        write_out(picture, tmp_path / "out.png", force=False)

    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


def test_picture_when_forced_onto_a_device_then_that_takes_it(picture: Picture) -> None:
    write_out(picture, Path("/dev/null"), force=True)

    assert Path("/dev/null").is_char_device()
