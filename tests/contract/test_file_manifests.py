"""Manifests as files: whole or not there, read from any place, gone when told."""

import os
import stat
from pathlib import Path

import pytest

from service.adapters.file_manifests import FileManifests
from service.domain.errors import NotFoundError, StorageError
from service.ports.manifests import ManifestPlace

BATCH = f"bat_{1:032x}"
LINES = [b"{%d}" % number for number in range(10)]


@pytest.fixture
def manifests(tmp_path: Path) -> FileManifests:
    return FileManifests(tmp_path)


def test_manifest_when_stored_then_it_can_be_read_from_any_place(manifests: FileManifests) -> None:
    manifests.put(BATCH, iter(LINES))
    first, offset = manifests.read(BATCH, ManifestPlace(), 3)
    second, end = manifests.read(BATCH, ManifestPlace(offset, 2), 100)

    assert [line.rstrip(b"\n") for line in first] == LINES[:3]
    assert [line.rstrip(b"\n") for line in second] == LINES[5:]
    assert manifests.read(BATCH, ManifestPlace(end), 1) == ([], end)
    assert manifests.read(BATCH, ManifestPlace(0, 100), 1) == ([], end)


def test_manifest_when_stored_then_it_is_private_and_nothing_else_is_there(
    manifests: FileManifests, tmp_path: Path
) -> None:
    manifests.put(BATCH, LINES)
    (entry,) = (tmp_path / "batches").iterdir()

    assert entry.name == BATCH
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600


def test_manifest_when_its_lines_break_off_then_nothing_is_there(manifests: FileManifests, tmp_path: Path) -> None:
    def broken():
        yield b"{}"
        raise RuntimeError("the call broke off")

    with pytest.raises(RuntimeError):
        manifests.put(BATCH, broken())
    assert list((tmp_path / "batches").iterdir()) == []


def test_manifest_when_deleted_or_never_there_then_not_found(manifests: FileManifests) -> None:
    manifests.put(BATCH, LINES)
    manifests.delete(BATCH)
    manifests.delete(BATCH)

    with pytest.raises(NotFoundError):
        manifests.read(BATCH, ManifestPlace(), 1)


def test_manifest_when_the_folder_is_away_then_the_storage_is(manifests: FileManifests, tmp_path: Path) -> None:
    (tmp_path / "batches").rmdir()

    with pytest.raises(StorageError):
        manifests.read(BATCH, ManifestPlace(), 1)
    with pytest.raises(StorageError):
        manifests.put(BATCH, LINES)


def test_manifest_when_a_link_stands_in_its_place_then_it_is_not_followed(
    manifests: FileManifests, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "batches" / BATCH).symlink_to(tmp_path / "secret")

    with pytest.raises(StorageError):
        manifests.read(BATCH, ManifestPlace(), 1)


def test_sweep_when_a_manifest_is_old_then_it_goes(manifests: FileManifests, tmp_path: Path) -> None:
    young = f"bat_{2:032x}"
    for name in (BATCH, young):
        manifests.put(name, LINES)
    os.utime(tmp_path / "batches" / BATCH, (1, 1))

    assert manifests.sweep(1000) == 1
    assert [entry.name for entry in (tmp_path / "batches").iterdir()] == [young]


@pytest.mark.parametrize("name", ["", "bat_1", "../escape", f"job_{1:032x}", f"bat_{1:032x}/x"])
def test_manifest_when_its_name_is_no_batch_then_refused(manifests: FileManifests, name: str) -> None:
    with pytest.raises(ValueError, match="bat_ and 32"):
        manifests.put(name, LINES)
