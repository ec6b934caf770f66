"""Changes to a repository's files after which its digests still agree, as if it had been built that way."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import onnx

from xmdpt.repository import file_digest, repository_digest


def edit_graph(root: Path, name: str, change: Callable[[onnx.ModelProto], None]) -> None:
    path = root / name / "1" / "model.onnx"
    before = file_digest(path)
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    for config in (root / name).rglob("*.pbtxt"):
        config.write_text(config.read_text().replace(before, file_digest(path)))
    sign(root)


def edit_manifest(root: Path, change: Callable[[dict], object]) -> None:
    path = root / "MANIFEST.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def replace_text(path: str, old: str, new: str, root: Path) -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


def sign(root: Path) -> None:
    """State the digests that the files have now."""

    def state_digests(manifest: dict) -> None:
        files = [*manifest["ensemble"]["configs"]]
        for entry in manifest["graphs"].values():
            files += [entry, *entry["external"], *entry["configs"]]
        for file in files:
            file["sha256"] = hashlib.sha256((root / file["path"]).read_bytes()).hexdigest()
        manifest["model_digest"] = repository_digest(manifest["graphs"])

    edit_manifest(root, state_digests)
