"""Writes the configurations of a repository and states their digests.

Does not word them (`export.triton_config`). Needs no torch, so that engines can be built where there is none.
"""

from collections.abc import Mapping
from pathlib import Path

from export.triton_config import ensemble_texts
from xmdpt.repository import ONNX, file_digest
from xmdpt.spec import ENSEMBLE, GraphSpec


def write_ensemble(
    out: Path, specs: Mapping[str, GraphSpec], entries: Mapping[str, Mapping], platform: str = ONNX
) -> list[dict]:
    """Write what Triton needs to run all graphs in a row; returns the manifest's list of configurations.

    Args:
        out: the repository's folder.
        specs: of all graphs.
        entries: the manifest's of all graphs.
        platform: of the repository.
    """
    version = out / ENSEMBLE / "1"
    version.mkdir(parents=True, exist_ok=True)
    # git keeps no empty folder, and Triton wants one for each version.
    (version / ".gitkeep").touch()
    max_rows = {name: entry["max_batch_size"] for name, entry in entries.items()}
    return write_configs(out, ensemble_texts(specs, max_rows, platform))


def write_configs(out: Path, texts: Mapping[str, str]) -> list[dict]:
    """Write configurations; returns their paths and digests as the manifest has them.

    Args:
        out: the repository's folder.
        texts: by path within it.
    """
    for path, text in texts.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text)
    return [{"path": path, "sha256": file_digest(out / path)} for path in texts]
