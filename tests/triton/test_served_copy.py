"""Which folder a Triton is started on: the user's own, which is never written to, or a copy by links."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.triton.served_copy import servable
from tests.export.repository_edits import edit_manifest, sign
from tests.triton.lab_repository import MANIFEST, SHIPPED
from xmdpt.repository import MANIFEST_NAME, RepositoryError, graph_path


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Sizes and times of all files."""
    files = {path.relative_to(root).as_posix(): path.stat() for path in root.rglob("*") if path.is_file()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in files.items()}


def test_repository_when_its_graphs_share_weights_then_a_copy_is_served_and_itself_is_not_touched(
    tmp_path: Path,
) -> None:
    root, copy = tmp_path / "models", tmp_path / "copy"
    shutil.copytree(
        SHIPPED, root, ignore=lambda folder, _names: ["demo.safetensors"] if Path(folder).name == "1" else []
    )
    before = listing(root)

    served = servable(root, copy)

    assert listing(root) == before
    shared = {file["path"] for entry in MANIFEST["graphs"].values() for file in entry["external"]}
    assert served == (copy if shared else root)
    for name in MANIFEST["graphs"]:
        for file in shared:
            assert (copy / graph_path(name)).with_name(file).samefile(root / file)


def test_repository_when_it_has_symbolic_links_then_the_copy_has_the_files(tmp_path: Path) -> None:
    root, graph, elsewhere = tmp_path / "models", graph_path("canet"), tmp_path / "elsewhere"
    shutil.copytree(SHIPPED, root)
    (root / graph).rename(elsewhere)
    (root / graph).symlink_to("../../../elsewhere")

    served = servable(root, tmp_path / "copy")

    assert not (served / graph).is_symlink()
    assert (served / graph).samefile(elsewhere)


def with_weights_inside(root: Path) -> None:
    """A manifest of graphs that take no weights from other files."""

    def forget(manifest: dict) -> None:
        for entry in manifest["graphs"].values():
            entry["external"] = []

    edit_manifest(root, forget)
    sign(root)


def test_repository_when_its_graphs_hold_their_weights_then_it_is_served_itself(tmp_path: Path) -> None:
    root = tmp_path / "models"
    shutil.copytree(SHIPPED, root)
    with_weights_inside(root)

    assert servable(root, tmp_path / "copy") == root
    assert not (tmp_path / "copy").exists()


def not_as_stated_and_served_itself(root: Path) -> None:
    with_weights_inside(root)
    not_as_stated(root)


def not_as_stated(root: Path) -> None:
    with (root / graph_path("canet")).open("ab") as file:
        file.write(b"more")


def for_tensorrt(root: Path) -> None:
    manifest = (root / MANIFEST_NAME).read_text()
    (root / MANIFEST_NAME).write_text(manifest.replace("onnxruntime_onnx", "tensorrt_plan").replace(".onnx", ".plan"))


@pytest.mark.parametrize("spoil", [not_as_stated, not_as_stated_and_served_itself, for_tensorrt])
def test_repository_when_it_is_not_what_its_manifest_says_then_it_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    root = tmp_path / "models"
    shutil.copytree(SHIPPED, root)
    spoil(root)

    with pytest.raises(RepositoryError):
        servable(root, tmp_path / "copy")
