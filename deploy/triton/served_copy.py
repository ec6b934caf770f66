"""A model repository as Triton can load it: each graph with its weights beside it, the user's own folder untouched."""

import os
import shutil
from pathlib import Path

from export.links import link_weights
from xmdpt.repository import MANIFEST_NAME, ONNX, RepositoryError, check_files, load_manifest, shared_weights_path


def servable(repository: Path, copy: Path) -> Path:
    """Return the repository itself, or a copy by hard links where its graphs share weights.

    Args:
        repository: may be read-only. Without a manifest it is taken as it is.
        copy: where the copy would be; must not exist.

    Raises:
        RepositoryError: there is none, it is not what its manifest says, or its graphs are no ONNX.
        OSError: the copy could not be made.
    """
    if not repository.is_dir():
        raise RepositoryError(f"{repository}: no such folder; name one with --repository")
    if not (repository / MANIFEST_NAME).exists():
        return repository
    manifest = load_manifest(repository)
    if manifest["platform"] != ONNX:
        raise RepositoryError(f"{repository}: made for {manifest['platform']}, which only NVIDIA's container runs")
    shared = shared_weights_path(manifest["variant"])
    if not any(file["path"] == shared for entry in manifest["graphs"].values() for file in entry["external"]):
        check_files(repository, manifest)
        return repository
    shutil.copytree(repository, copy, copy_function=_link_or_copy)
    # The folders have the rights of the originals, which may be read-only.
    for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    link_weights(copy)
    return copy


def _link_or_copy(source: str, target: str) -> None:
    try:
        # What a symbolic link leads to: Triton follows none out of a folder.
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)
