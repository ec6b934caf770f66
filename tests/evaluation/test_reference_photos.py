"""Statistics of the training photos are taken once, and only ever with the same Inception and photos."""

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.small_data import NAMES
from xmdpt.evaluation.inception import FEATURE_WIDTH, InceptionFeatures
from xmdpt.evaluation.mistakes import InputError
from xmdpt.evaluation.photos import FolderPhotos
from xmdpt.evaluation.reference_photos import ReferencePhotos, kept_statistics


@pytest.fixture(scope="module")
def inception(inception_file: Path) -> InceptionFeatures:
    return InceptionFeatures(inception_file)


@pytest.fixture(scope="module")
def kept(folder: Path, inception: InceptionFeatures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Statistics of all photos of the folder; not to be changed."""
    cache = tmp_path_factory.mktemp("kept") / "fid_statistics.npz"
    ReferencePhotos(folder, FolderPhotos(folder)).statistics(inception, 2, cache)
    return cache


def test_statistics_when_kept_then_read_again_as_they_were(
    folder: Path, inception: InceptionFeatures, kept: Path
) -> None:
    before = kept.stat().st_mtime_ns
    again = ReferencePhotos(folder, FolderPhotos(folder)).statistics(inception, 2, kept)
    read = kept_statistics(kept, inception)

    assert kept.stat().st_mtime_ns == before
    assert again.count == read.count == 3
    assert np.array_equal(again.mean, read.mean)
    assert again.covariance.shape == (FEATURE_WIDTH, FEATURE_WIDTH)


def test_statistics_when_the_photos_are_others_then_taken_anew(
    folder: Path, inception: InceptionFeatures, kept: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "fid_statistics.npz"
    cache.write_bytes(kept.read_bytes())
    (tmp_path / "train.lst").write_text("\n".join(NAMES[:2]))

    found = ReferencePhotos(tmp_path / "train.lst", FolderPhotos(folder)).statistics(inception, 2, cache)

    assert found.count == kept_statistics(cache, inception).count == 2


def test_statistics_when_of_another_inception_then_refused(
    inception: InceptionFeatures, kept: Path, tmp_path: Path
) -> None:
    with np.load(kept) as held:
        np.savez(tmp_path / "other.npz", **dict(held) | {"inception": "other.pth, sha256 0"})

    with pytest.raises(InputError, match="made with other Inception weights"):
        kept_statistics(tmp_path / "other.npz", inception)


@pytest.mark.parametrize("content", [None, b"rubbish"])
def test_statistics_when_the_file_is_none_then_refused(
    inception: InceptionFeatures, tmp_path: Path, content: bytes | None
) -> None:
    if content:
        (tmp_path / "a.npz").write_bytes(content)

    with pytest.raises(InputError, match="not statistics that an earlier run has kept"):
        kept_statistics(tmp_path / "a.npz", inception)


@pytest.mark.parametrize("kept_bytes", [30, 20_000, -30], ids=["one header", "half", "no directory"])
def test_statistics_when_the_file_is_cut_short_then_refused_in_one_line(
    inception: InceptionFeatures, kept: Path, tmp_path: Path, kept_bytes: int
) -> None:
    (tmp_path / "a.npz").write_bytes(kept.read_bytes()[:kept_bytes])

    with pytest.raises(InputError, match="not statistics that an earlier run has kept") as error:
        kept_statistics(tmp_path / "a.npz", inception)

    assert str(error.value).startswith(f"{tmp_path}/a.npz: ")
    assert "\n" not in str(error.value)


def test_statistics_when_the_kept_ones_are_cut_short_then_taken_anew_and_kept_whole(
    folder: Path, inception: InceptionFeatures, kept: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "fid_statistics.npz"
    cache.write_bytes(kept.read_bytes()[:20_000])

    found = ReferencePhotos(folder, FolderPhotos(folder)).statistics(inception, 2, cache)

    assert found.count == kept_statistics(cache, inception).count == 3
    assert [path.name for path in tmp_path.iterdir()] == ["fid_statistics.npz"]


def test_statistics_when_the_disk_fills_up_then_the_file_before_is_as_it_was(
    folder: Path, inception: InceptionFeatures, kept: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "fid_statistics.npz"
    cache.write_bytes(kept.read_bytes())
    (tmp_path / "fid_statistics.part").symlink_to("/dev/full")
    (tmp_path / "train.lst").write_text("\n".join(NAMES[:2]))

    with pytest.raises(OSError, match="No space left"):
        ReferencePhotos(tmp_path / "train.lst", FolderPhotos(folder)).statistics(inception, 2, cache)

    assert cache.read_bytes() == kept.read_bytes()


@pytest.mark.parametrize(
    ("name", "words"),
    [("none", "not a folder, a list of names or an .npz"), ("empty", "0 photos"), ("one.lst", "1 photos")],
)
def test_photos_when_there_are_too_few_then_refused(folder: Path, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.lst").write_text(NAMES[0])

    with pytest.raises(InputError, match=words):
        ReferencePhotos(tmp_path / name, FolderPhotos(folder))
