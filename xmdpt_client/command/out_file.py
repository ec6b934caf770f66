"""Where a picture goes: checked before anything is asked for, and never over a file that somebody may need."""

import errno
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from xmdpt_client.command.arguments import STANDARD_OUTPUT
from xmdpt_client.values import Picture


def files_of(out: Path, num_images: int) -> Sequence[Path]:
    """Where each of the pictures goes: out.png, or of several out-0.png, out-1.png and so on.

    Raises:
        ValueError: several are to go to standard output.
    """
    if num_images == 1:
        return [out]
    if out == STANDARD_OUTPUT:
        raise ValueError(f"standard output takes one picture, not {num_images}; give a file as -o")
    return [out.with_stem(f"{out.stem}-{index}") for index in range(num_images)]


def check_out(out: Path, *, force: bool) -> None:
    """A picture can go there as far as can be seen now.

    Raises:
        OSError: it can't; says why.
    """
    if out == STANDARD_OUTPUT:
        return
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
    if not out.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such folder", str(out.parent))
    if out.exists() and not force:
        raise FileExistsError(errno.EEXIST, "File exists; --force writes over it", str(out))


def write_out(picture: Picture, out: Path, *, force: bool) -> None:
    """Write the picture; whole or not at all, if it is a file of its own.

    Raises:
        OSError: it can't be written, or the file has come to exist meanwhile.
    """
    if out == STANDARD_OUTPUT:
        sys.stdout.buffer.write(picture.content)
        sys.stdout.buffer.flush()
        return
    if not force:
        _write_new(picture.content, out)
    elif out.is_symlink() or not out.is_file() or not os.access(out.parent, os.W_OK):
        # A device, a pipe, what another name leads to, or a new one: nothing is to take its place.
        out.write_bytes(picture.content)
    else:
        _replace(picture.content, out)


def _write_new(content: bytes, out: Path) -> None:
    with out.open("xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            out.unlink()
            raise


def _replace(content: bytes, out: Path) -> None:
    part = out.with_name(f".{os.getpid()}.part")
    try:
        part.write_bytes(content)
        shutil.copymode(out, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
