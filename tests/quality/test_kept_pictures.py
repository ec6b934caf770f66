"""The folder of generated pictures: nothing is drawn twice, nothing of one run is taken for another's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xmdpt.evaluation.generators import Model, Sampling
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.evaluation.pictures import Tally
from xmdpt.quality.held_out import HeldOutPairs
from xmdpt.quality.kept_pictures import KeptPictures


class SeedPainter:
    """A generator whose pictures have the colour of their seed."""

    def __init__(self, digest: str = "sha256:1") -> None:
        self.model = Model("tiny", "paint", digest, "none", False)
        self.seeds: list[int] = []

    def pictures(self, photos: np.ndarray, _skeletons: np.ndarray, seeds: list[int], _sampling: Sampling) -> np.ndarray:
        self.seeds += seeds
        return np.stack([np.full_like(photo, seed) for photo, seed in zip(photos, seeds, strict=True)])

    def source_vectors(self, photos: np.ndarray) -> np.ndarray:
        return np.zeros((len(photos), 8), np.float32)


def colours(pictures: np.ndarray) -> list[int]:
    return pictures[:, 0, 0, 0].tolist()


def test_pictures_when_drawn_then_each_has_its_own_seed(tmp_path: Path, pairs: HeldOutPairs) -> None:
    kept = KeptPictures(tmp_path, SeedPainter(), Sampling(), seed=40)

    pictures, tally = kept.pictures([5, 6, 7], pairs)

    assert colours(pictures) == [45, 46, 47]
    assert tally == Tally(num_made=3)
    assert sorted(path.name for path in kept.folder.iterdir()) == ["00005.png", "00006.png", "00007.png"]


def test_pictures_when_some_are_there_then_only_the_rest_is_drawn(tmp_path: Path, pairs: HeldOutPairs) -> None:
    first = KeptPictures(tmp_path, SeedPainter(), Sampling(), seed=0)
    first.pictures([0, 1, 2], pairs)
    (first.folder / "00001.png").unlink()
    painter = SeedPainter()

    pictures, tally = KeptPictures(tmp_path, painter, Sampling(), seed=0).pictures([0, 1, 2], pairs)

    assert painter.seeds == [1]
    assert colours(pictures) == [0, 1, 2]
    assert tally == Tally(num_made=1, num_kept=2)


@pytest.mark.parametrize(
    ("digest", "sampling", "seed"),
    [
        ("sha256:2", Sampling(), 0),
        ("sha256:1", Sampling(20), 0),
        ("sha256:1", Sampling(50, 3), 0),
        ("sha256:1", Sampling(), 1),
    ],
)
def test_pictures_when_the_run_is_another_then_its_folder_is_another(
    digest: str, sampling: Sampling, seed: int, tmp_path: Path
) -> None:
    first = KeptPictures(tmp_path, SeedPainter(), Sampling(), seed=0)

    assert KeptPictures(tmp_path, SeedPainter(digest), sampling, seed).folder != first.folder


def test_pictures_when_one_was_drawn_from_another_source_then_it_is_refused(
    tmp_path: Path, pairs: HeldOutPairs
) -> None:
    kept = KeptPictures(tmp_path, SeedPainter(), Sampling(), seed=0)
    kept.pictures([0, 1, 2], pairs)

    with pytest.raises(InputError, match=r"00000\.png: drawn with another"):
        kept.pictures([0, 1, 2], replace(pairs, sources=pairs.sources[::-1]))


def test_pictures_when_one_is_damaged_then_it_is_named(tmp_path: Path, pairs: HeldOutPairs) -> None:
    kept = KeptPictures(tmp_path, SeedPainter(), Sampling(), seed=0)
    (kept.folder / "00002.png").write_bytes(b"no picture")

    with pytest.raises(InputError, match=r"00002\.png"):
        kept.pictures([0, 1, 2], pairs)


def test_pictures_when_one_comes_from_elsewhere_then_it_is_taken_and_counted(
    tmp_path: Path, pairs: HeldOutPairs
) -> None:
    kept = KeptPictures(tmp_path, SeedPainter(), Sampling(), seed=0)
    Image.new("RGB", (256, 256), (77, 77, 77)).save(kept.folder / "00000.png")

    pictures, tally = kept.pictures([0, 1, 2], pairs)

    assert colours(pictures) == [77, 1, 2]
    assert tally == Tally(num_made=2, num_kept=1, num_foreign=1)


def test_folder_when_it_cannot_be_made_then_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunError, match="give another --out"):
        KeptPictures(tmp_path / "file", SeedPainter(), Sampling(), seed=0)
