"""The exported graphs on disk, checked against their manifest before anything loads them.

It reads and hashes; it neither runs graphs nor builds them (`export` does).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import ModelRepositoryError
from xmdpt.spec import VARIANTS, GraphSpec, Variant, graph_specs

MANIFEST_NAME = "MANIFEST.json"
_MAX_MANIFEST_BYTES = 1_000_000


@dataclass(frozen=True)
class ModelRepository:
    """A repository whose files are what its manifest says.

    Attributes:
        variant: the network's shape and constants.
        model_digest: `sha256:<hex>` over all graphs; decides with the request what the picture is.
        graphs: path of each graph's ONNX file.
        specs: what each graph takes and gives.
        is_trained: False for the placeholder weights, whose pictures are noise.
        weights_origin: where the weights come from, for people.
    """

    variant: Variant
    model_digest: str
    graphs: Mapping[str, Path]
    specs: Mapping[str, GraphSpec]
    is_trained: bool
    weights_origin: str


def open_model_repository(root: Path) -> ModelRepository:
    """Read the manifest and hash every file that it names.

    Args:
        root: folder that holds `MANIFEST.json` and one folder a graph.

    Raises:
        ModelRepositoryError: the manifest is missing, names an unknown variant, lacks a graph of the contract, or a
            file differs from its digest. The message says which and what to do.
    """
    manifest = _read_manifest(root)
    try:
        variant = VARIANTS[manifest["variant"]]
        specs = graph_specs(variant)
        entries = {name: manifest["graphs"][name] for name in specs}
        paths = {name: root / entry["path"] for name, entry in entries.items()}
        for name, entry in entries.items():
            _check_places(root / MANIFEST_NAME, name, entry)
            # A graph of more than 2 GB has weights in a second file, which the runtime opens by itself.
            for file in (entry, *entry["external"]):
                _check_digest(root / file["path"], file["sha256"])
            _check_digest(root / entry["config_path"], entry["config_sha256"])
        weights = manifest["weights"]
        return ModelRepository(
            variant, manifest["model_digest"], paths, specs, bool(weights["is_trained"]), str(weights["origin"])
        )
    except KeyError as error:
        msg = f"{root / MANIFEST_NAME}: {error} is missing or unknown; build it again with `python -m export build`"
        raise ModelRepositoryError(msg) from None


def _read_manifest(root: Path) -> dict:
    path = root / MANIFEST_NAME
    try:
        if path.stat().st_size > _MAX_MANIFEST_BYTES:
            raise ModelRepositoryError(f"{path}: larger than {_MAX_MANIFEST_BYTES} bytes, this is no manifest")
        return json.loads(path.read_bytes())
    except OSError as error:
        msg = f"{path}: {error.strerror}; set XMDPT_MODEL_REPOSITORY or build one with `python -m export build`"
        raise ModelRepositoryError(msg) from None
    except ValueError:
        raise ModelRepositoryError(f"{path}: not JSON; build it again with `python -m export build`") from None


def _check_places(manifest_path: Path, graph: str, entry: dict) -> None:
    """A manifest must not lead out of its folder, nor to a file that the runtime would not take."""
    model, config = f"{graph}/1/model.onnx", f"{graph}/config.pbtxt"
    external = [file["path"] for file in entry["external"]]
    if (entry["path"], entry["config_path"]) != (model, config) or external not in ([], [f"{model}.data"]):
        msg = f"{manifest_path}: the files of {graph} are not {model}, {config} and {model}.data; restore the manifest"
        raise ModelRepositoryError(msg)


def _check_digest(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelRepositoryError(f"{path}: {error.strerror}, though {MANIFEST_NAME} names it") from None
    if actual != expected:
        msg = f"{path}: its SHA-256 is {actual[:12]}..., {MANIFEST_NAME} says {expected[:12]}...; restore the file"
        raise ModelRepositoryError(msg)
