"""Photos come equal from a folder and from an LMDB; what is missing or damaged is named with the pair's line."""

from pathlib import Path

import lmdb
import numpy as np
import pytest

from tests.evaluation.small_data import NAMES, poses
from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.key_points import KeyPoints
from xmdpt.evaluation.mistakes import InputError
from xmdpt.evaluation.pairs import Pair, read_pairs
from xmdpt.evaluation.photos import FolderPhotos, LmdbPhotos, open_photos
from xmdpt.skeleton import draw_skeleton, to_frame


def dataset(root: Path, key_points: Path, *pairs: Pair) -> Dataset:
    return Dataset(root / "test_pairs.txt", list(pairs), FolderPhotos(root), KeyPoints(key_points))


def test_photos_when_in_a_folder_or_an_lmdb_then_equal(folder: Path, pidm: Path) -> None:
    with open_photos(folder) as files, open_photos(pidm) as stored:
        assert isinstance(files, FolderPhotos)
        assert isinstance(stored, LmdbPhotos)
        for name in NAMES:
            photo = files.photo(f"{name}.jpg")
            assert photo.shape == (256, 256, 3)
            assert np.array_equal(photo, stored.photo(f"{name}.jpg"))


def test_photos_when_the_lmdb_itself_is_named_then_opened(pidm: Path) -> None:
    with open_photos(pidm / "256-256") as photos:
        assert photos.has(f"{NAMES[0]}.jpg")
        assert not photos.has("img/other.jpg")
        assert not photos.has("x" * 2000)
        with pytest.raises(KeyError):
            photos.photo("img/other.jpg")


def test_photos_when_there_is_no_folder_then_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; give the photos with --data"), open_photos(tmp_path / "no"):
        pass


def test_photos_when_the_lmdb_is_damaged_then_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"not a database" * 1000)

    with pytest.raises(InputError, match="not an LMDB that can be read"), open_photos(tmp_path):
        pass


def test_photos_when_a_picture_in_the_lmdb_is_damaged_then_its_name(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"a.png", b"\x89PNG\r\n\x1a\nrubbish")

    with open_photos(tmp_path) as photos, pytest.raises(InputError, match=r"a\.jpg: not a picture that can be decoded"):
        photos.photo("a.jpg")


def test_dataset_when_whole_then_its_check_is_silent(folder: Path) -> None:
    pairs = read_pairs(folder / "test_pairs.txt", seed=0)

    dataset(folder, folder / "poses.jsonl", *pairs).check()

    assert [pair.line for pair in pairs] == [1, 2, 4]


def test_dataset_when_the_skeleton_is_drawn_then_of_the_target(folder: Path) -> None:
    pair = Pair(0, 1, target=f"{NAMES[0]}.jpg", source=f"{NAMES[1]}.jpg")
    whole = dataset(folder, folder / "poses.jsonl", pair)

    own, other = (draw_skeleton(to_frame(pose, size=(176, 256), origin=(40, 0))) for pose in poses()[:2])
    assert np.array_equal(whole.skeleton(pair), own)
    assert not np.array_equal(own, other)
    assert np.array_equal(whole.target(pair), whole.photos.photo(NAMES[0]))
    assert np.array_equal(whole.source(pair), whole.photos.photo(NAMES[1]))


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (Pair(6, 7, "img/no.jpg", NAMES[0]), r"test_pairs\.txt:7: no photo img/no\.jpg in .*; correct --data"),
        (Pair(6, 7, NAMES[0], "img/no.jpg"), r"test_pairs\.txt:7: no photo img/no\.jpg"),
        (Pair(6, 7, "loose.png", NAMES[0]), r"test_pairs\.txt:7: no key points of loose\.png in .*poses\.jsonl"),
    ],
)
def test_dataset_when_something_is_missing_then_file_and_line(folder: Path, tmp_path: Path, pair: Pair, words: str):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / f"{name}.png").symlink_to(folder / f"{name}.png")
    (tmp_path / "loose.png").symlink_to(folder / f"{NAMES[0]}.png")

    with pytest.raises(InputError, match=words):
        dataset(tmp_path, folder / "poses.jsonl", pair).check()


def test_dataset_when_a_photo_is_damaged_then_file_line_and_photo(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    pair = Pair(2, 3, NAMES[0], "a.png")

    with pytest.raises(InputError, match=r"test_pairs\.txt:3: .*a\.png: not a picture that can be decoded"):
        dataset(tmp_path, folder / "poses.jsonl", pair).source(pair)
