"""Photos by name, from a folder of files or from an LMDB as PIDM's preparation makes it.

Does not know pairs or poses (`xmdpt.evaluation.dataset`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

import lmdb
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmdpt.evaluation.key_points import DEEPFASHION_FRAME
from xmdpt.evaluation.mistakes import InputError
from xmdpt.preprocess import to_photo, upright_size

_SUFFIXES = (".png", ".jpg", ".jpeg")
# PIDM names the folder of its LMDB after the pictures' size.
_LMDB_FOLDERS = ("", "256-256")


class Photos(Protocol):
    """Photos by the names that pair files use; a name's extension may differ from the stored picture's."""

    def has(self, name: str) -> bool:
        """Whether there is such a photo."""
        ...

    def photo(self, name: str) -> NDArray[np.uint8]:
        """Return [256, 256, 3] uint8 RGB, the photo stretched to the square.

        Raises:
            InputError: the picture is damaged.
            KeyError: there is no such photo.
        """
        ...

    def aspect(self, name: str) -> float:
        """Return width by height of the photo before it was stretched.

        Raises:
            InputError: the picture is damaged.
            KeyError: there is no such photo.
        """
        ...

    def where(self) -> str:
        """Where they come from, for people."""
        ...


class FolderPhotos:
    """PNG and JPEG files below a folder."""

    def __init__(self, root: Path):
        self._root = root

    def has(self, name: str) -> bool:
        """See Photos."""
        return self._find(name) is not None

    def photo(self, name: str) -> NDArray[np.uint8]:
        """See Photos."""
        path = self._find(name)
        if path is None:
            raise KeyError(name)
        with path.open("rb") as file:
            return decoded(file, str(path))

    def aspect(self, name: str) -> float:
        """See Photos."""
        path = self._find(name)
        if path is None:
            raise KeyError(name)
        try:
            with Image.open(path) as image:
                width, height = upright_size(image)
                return width / height
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: not a picture that can be decoded: {error}") from None

    def where(self) -> str:
        """See Photos."""
        return str(self._root)

    def _find(self, name: str) -> Path | None:
        given = self._root / name
        candidates = (given, *(given.with_suffix(suffix) for suffix in _SUFFIXES))
        return next((path for path in candidates if path.is_file()), None)


class LmdbPhotos:
    """PNG files in an LMDB under the photos' names with the extension .png.

    Source:
        ankanbhunia/PIDM data/prepare_data.py: 256 x 256 px, PIL bicubic, aspect ratio not kept.
    """

    def __init__(self, path: Path, transaction: lmdb.Transaction):
        self._path = path
        self._transaction = transaction

    def has(self, name: str) -> bool:
        """See Photos."""
        return self._stored(name) is not None

    def photo(self, name: str) -> NDArray[np.uint8]:
        """See Photos."""
        data = self._stored(name)
        if data is None:
            raise KeyError(name)
        return decoded(BytesIO(data), f"{self._path}: {name}")

    def aspect(self, name: str) -> float:
        """See Photos; DeepFashion's, for the stored squares don't tell."""
        if not self.has(name):
            raise KeyError(name)
        return DEEPFASHION_FRAME.width / DEEPFASHION_FRAME.height

    def where(self) -> str:
        """See Photos."""
        return f"{self._path} (LMDB)"

    def _stored(self, name: str) -> bytes | None:
        try:
            data = self._transaction.get(str(PurePosixPath(name).with_suffix(".png")).encode())
            return None if data is None else bytes(data)
        except lmdb.BadValsizeError:
            return None


@contextmanager
def open_photos(root: Path) -> Iterator[Photos]:
    """Open a folder's photos: as an LMDB if it, or 256-256 in it, holds one, else as files.

    Raises:
        InputError: there is no such folder, or the LMDB cannot be opened.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the photos with --data")
    path = next((root / folder for folder in _LMDB_FOLDERS if (root / folder / "data.mdb").is_file()), None)
    if path is None:
        yield FolderPhotos(root)
        return
    try:
        environment = lmdb.open(str(path), readonly=True, lock=False, create=False, readahead=False)
    except lmdb.Error as error:
        raise InputError(f"{path}: not an LMDB that can be read: {error}") from None
    with environment, environment.begin() as transaction:
        yield LmdbPhotos(path, transaction)


def decoded(file: IO[bytes], where: str) -> NDArray[np.uint8]:
    """Decode a picture to a photo, [256, 256, 3] uint8 RGB.

    Raises:
        InputError: it is no picture or is damaged; the message starts with `where`.
    """
    try:
        with Image.open(file) as image:
            return to_photo(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: not a picture that can be decoded: {error}") from None
