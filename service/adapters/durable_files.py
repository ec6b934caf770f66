"""Private files that are all there or not at all, and on disk before a call returns; no link is ever followed.

Every function raises OSError as the file system does; which files there are is the stores' business.
"""

import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from service.domain.errors import NotFoundError

PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# They only wait for the disk.
_SYNCS = ThreadPoolExecutor(16, "sync")


def put(folder: Path, name: str, content: Iterable[bytes], *, is_durable: bool = True) -> None:
    """All of it under its name, or nothing: written aside and renamed; if durable, content and name are synced."""
    temporary = _temporary_name()
    with opened(folder) as fd:
        try:
            with _written(temporary, fd, content) as file:
                if is_durable:
                    os.fsync(file)
            os.replace(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
        except BaseException:
            unlink(temporary, fd)
            raise
        if is_durable:
            os.fsync(fd)


def put_new(folder: Path, name: str, content: Iterable[bytes], parent: Path | None = None) -> None:
    """`put` of a name that nobody looks for before this returns; with the folder's own name in `parent`, if given.

    Content and names are synced at one time: a disk that has one wait instead of two or three is several times as fast.
    So the name may be there for a moment before the content is on disk. One that was there already, which somebody may
    be looking for, is given only then.
    """
    temporary = _temporary_name()
    with ExitStack() as stack:
        folders = [stack.enter_context(opened(each)) for each in (folder, parent) if each is not None]
        fd = folders[0]
        try:
            with _written(temporary, fd, content) as file:
                is_named = _named(temporary, name, fd)
                _sync_all([file, *folders] if is_named else [file])
            if not is_named:
                os.replace(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
                _sync_all(folders)
        except BaseException:
            unlink(temporary, fd)
            raise


@contextmanager
def open_to_read(path: Path) -> Iterator[BinaryIO]:
    """The file, closed with the block."""
    with opened(path.parent) as folder, open(os.open(path.name, _READ, dir_fd=folder), "rb") as file:
        yield file


@contextmanager
def found(store: Path, gone: str) -> Iterator[None]:
    """NotFoundError with these words where a file of the store is not there."""
    try:
        yield
    except FileNotFoundError:
        # Without its folder the whole store is away, and its files may come back.
        store.stat()
        raise NotFoundError(gone) from None


def delete(path: Path) -> int:
    """Forget a file, or a folder with the files in it; of a link only itself. Returns how many files there were."""
    try:
        with opened(path) as folder:
            num_files = sum(unlink(name, folder) for name in os.listdir(folder))
        os.rmdir(path)
    except FileNotFoundError:
        return 0
    except NotADirectoryError:
        return int(unlink(path))
    return num_files


def sweep(folders: Sequence[Path], older_than_seconds: float) -> int:
    """Delete what is older than this, by files and folders in these; returns how many files there were."""
    oldest = time.time() - older_than_seconds
    num_files, trouble = 0, None
    for entry in chain.from_iterable(map(Path.iterdir, folders)):
        try:
            # A folder is as old as what was last put there.
            if entry.lstat().st_mtime < oldest:
                num_files += delete(entry)
        except FileNotFoundError:
            pass  # Somebody else has deleted it meanwhile.
        except OSError as error:
            # Told when all is done: what can't be deleted keeps nothing else.
            trouble = trouble or error
    if trouble:
        raise trouble
    return num_files


def check_writable(folder: Path) -> None:
    """Write a byte there and delete it again."""
    probe = _temporary_name()
    with opened(folder) as fd:
        try:
            with _written(probe, fd, [b"x"]) as file:
                os.fsync(file)
        finally:
            unlink(probe, fd)


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """The folder itself, never one that a link in its place points to."""
    fd = os.open(folder, _READ_DIR)
    try:
        yield fd
    finally:
        os.close(fd)


def sync_folder(folder: Path) -> None:
    """Have the names in it on disk."""
    with opened(folder) as fd:
        os.fsync(fd)


def _temporary_name() -> str:
    return f".tmp-{secrets.token_hex(8)}"


def _named(temporary: str, name: str, folder: int) -> bool:
    """Give a file another name in the place of its own; False where that is taken, or a file can't have two."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        return False
    os.unlink(temporary, dir_fd=folder)
    return True


def _sync_all(files: Sequence[int]) -> None:
    """Have all of them on disk, at one time."""
    others: list[Future[None]] = []
    try:
        for file in files[1:]:
            others.append(_SYNCS.submit(os.fsync, file))
        os.fsync(files[0])
    finally:
        # Nobody closes what is being synced.
        wait(others)
    for other in others:
        other.result()


@contextmanager
def _written(name: str, folder: int, content: Iterable[bytes]) -> Iterator[int]:
    """A new file with this content, open to be synced."""
    with open(os.open(name, _WRITE, _PRIVATE_FILE, dir_fd=folder), "wb") as file:
        file.writelines(content)
        file.flush()
        yield file.fileno()


def unlink(name: str | Path, folder: int | None = None) -> bool:
    """Whether it was there to be deleted."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True
