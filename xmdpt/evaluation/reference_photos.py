"""The photos that FID compares with, as statistics of Inception's features: of the training photos, by the protocol.

Does not choose them: the user names a folder, a list of names in the data, or statistics kept from an earlier run.
"""

import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from xmdpt.evaluation.frechet import Statistics
from xmdpt.evaluation.inception import FEATURE_WIDTH, InceptionFeatures
from xmdpt.evaluation.metrics import at_protocol_size
from xmdpt.evaluation.mistakes import InputError
from xmdpt.evaluation.photos import FolderPhotos, Photos

_SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class ReferenceStatistics:
    """Mean [2048] and covariance [2048, 2048] float64 of the features of `count` photos."""

    count: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


class ReferencePhotos:
    """The photos, found but not looked at yet."""

    def __init__(self, path: Path, data: Photos):
        """Find every photo.

        Args:
            path: a folder, all of whose pictures count; or a text file, one name in the data a line.
            data: where the names of a text file are.

        Raises:
            InputError: there is no such folder or list, it holds less than two, or the data lacks one of the list.
        """
        if path.is_dir():
            files = (file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
            self._photos: Photos = FolderPhotos(path)
            self._names = sorted(str(file.relative_to(path)) for file in files)
        else:
            self._photos, self._names = data, _listed(path, data)
        if len(self._names) < 2:
            raise InputError(f"{path}: {len(self._names)} photos; --fid-against needs the training photos")

    def statistics(self, inception: InceptionFeatures, batch_size: int, cache: Path) -> ReferenceStatistics:
        """Run every photo through Inception at the protocol's size; shows progress on the error stream.

        Args:
            inception: makes the features.
            batch_size: photos at once.
            cache: file that is read if it holds these statistics, and else written, also over a damaged one.
        """
        what = self._digest()
        if cache.is_file() and (held := _read(cache)) and held[1:] == (inception.origin, what):
            return held[0]
        running = Statistics()
        with tqdm(total=len(self._names), desc="training photos", unit="photo") as progress:
            for start in range(0, len(self._names), batch_size):
                names = self._names[start : start + batch_size]
                running.add(inception(np.stack([at_protocol_size(self._photos.photo(name)) for name in names])))
                progress.update(len(names))
        found = ReferenceStatistics(running.count, running.mean(), running.covariance())
        arrays = {"count": found.count, "mean": found.mean, "covariance": found.covariance}
        unfinished = cache.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(file, inception=inception.origin, photos=what, **arrays)
        # Renamed when whole: a run that is killed leaves no half statistics for the next one or for --fid-against.
        os.replace(unfinished, cache)
        return found

    def _digest(self) -> str:
        return hashlib.sha256("\n".join([self._photos.where(), *self._names]).encode()).hexdigest()


def kept_statistics(path: Path, inception: InceptionFeatures) -> ReferenceStatistics:
    """Read statistics that an earlier run has written.

    Raises:
        InputError: it is no such file, or was made with other Inception weights.
    """
    held = _read(path)
    if held is None:
        raise InputError(f"{path}: not statistics that an earlier run has kept; correct --fid-against")
    if held[1] != inception.origin:
        raise InputError(f"{path}: made with other Inception weights ({held[1]}); give the photos to --fid-against")
    return held[0]


def _read(path: Path) -> tuple[ReferenceStatistics, str, str] | None:
    try:
        # Opened here: of a damaged archive NumPy leaves its own file open.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            held = ReferenceStatistics(int(file["count"]), file["mean"], file["covariance"])
            origins = str(file["inception"]), str(file["photos"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    shapes = (held.mean.shape, held.covariance.shape)
    return (held, *origins) if shapes == ((FEATURE_WIDTH,), (FEATURE_WIDTH, FEATURE_WIDTH)) else None


def _listed(path: Path, data: Photos) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"{path}: not a folder, a list of names or an .npz of statistics; correct --fid-against"
        ) from None
    names = []
    for line, name in enumerate(map(str.strip, lines), start=1):
        if name and not data.has(name):
            raise InputError(f"{path}:{line}: no photo {name} in {data.where()}; correct --data or the line")
        if name:
            names.append(name)
    return names
