"""Hard links to the weights that graphs share, for servers such as Triton that look for files beside a graph alone.

Our own runtimes need none: they are told the folder (`xmdpt.repository.weights_folder`). git keeps no links, so they
are made where they are needed. Needs the standard library only.
"""

import os
import shutil
from pathlib import Path

from xmdpt.repository import check_files, graph_path, load_manifest, shared_weights_path


def link_weights(root: Path) -> list[Path]:
    """Link the shared weights of a repository into the folder of each graph that takes weights from them.

    Where links are not possible, as between file systems, the file is copied. What lies there is replaced, unless it is
    the same file already.

    Args:
        root: the repository's folder.

    Returns:
        What lies beside the graphs now; empty if this repository's graphs hold their weights themselves.

    Raises:
        RepositoryError: the repository is not what its manifest says.
        OSError: the repository cannot be written to.
    """
    manifest = load_manifest(root)
    check_files(root, manifest)
    weights = root / shared_weights_path(manifest["variant"])
    links = []
    for name, entry in manifest["graphs"].items():
        if weights.name in [file["path"] for file in entry["external"]]:
            links.append((root / graph_path(name)).with_name(weights.name))
            _link(weights, links[-1])
    return links


def remove_links(folder: Path) -> None:
    """Remove a graph's links to shared weights, which a new graph would read at wrong places."""
    for path in folder.glob("*.safetensors"):
        path.unlink()


def _link(weights: Path, link: Path) -> None:
    if link.exists() and link.samefile(weights):
        return
    unfinished = link.with_name(f".{link.name}")
    unfinished.unlink(missing_ok=True)
    try:
        os.link(weights, unfinished)
    except OSError:
        shutil.copyfile(weights, unfinished)
    unfinished.replace(link)
