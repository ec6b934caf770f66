"""Changes to a repository's files after which its digests still agree, as if it had been built that way."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import onnx

from xmdpt.repository import repository_digest


def edit_graph(root: Path, name: str, change: Callable[[onnx.ModelProto], None]) -> None:
    path = root / name / "1" / "model.onnx"
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    sign(root)


def edit_manifest(root: Path, change: Callable[[dict], object]) -> None:
    path = root / "MANIFEST.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def sign(root: Path) -> None:
    """State the digests that the files have now."""

    def state_digests(manifest: dict) -> None:
        for entry in manifest["graphs"].values():
            entry["sha256"] = hashlib.sha256((root / entry["path"]).read_bytes()).hexdigest()
            entry["config_sha256"] = hashlib.sha256((root / entry["config_path"]).read_bytes()).hexdigest()
            for file in entry["external"]:
                file["sha256"] = hashlib.sha256((root / file["path"]).read_bytes()).hexdigest()
        manifest["model_digest"] = repository_digest(manifest["graphs"])

    edit_manifest(root, state_digests)
