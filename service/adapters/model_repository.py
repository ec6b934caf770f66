"""The exported graphs on disk, checked against their manifest before anything loads them.

It neither runs graphs nor builds them (`export` does); what is checked is `xmdpt.repository`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.errors import ModelRepositoryError
from xmdpt.repository import (
    RepositoryError,
    check_files,
    check_runs_here,
    load_manifest,
    manifest_specs,
    weights_folder,
)
from xmdpt.spec import LOW_STEP, VARIANTS, GraphSpec, Variant


@dataclass(frozen=True)
class ModelRepository:
    """A repository whose files are what its manifest says.

    Attributes:
        variant: the network's shape and constants.
        model_digest: `sha256:<hex>` over all graphs; decides with the request what the picture is.
        graphs: path of each graph's file.
        graph_digests: SHA-256 of each of these files, hexadecimal.
        weights_folders: where each graph finds the file of weights that it names, if it names one.
        specs: what each graph takes and gives.
        max_batch_sizes: most rows of one call of each graph, >= 1.
        is_trained: False for the placeholder weights, whose pictures are noise.
        weights_origin: where the weights come from, for people.
        precision: of its graphs' products, such as `fp32`.
        low_precision: of the graph for steps in low precision, such as `int8`; None if there is none.
        verification: what the last recorded one found, as the manifest has it; empty if there was none.
    """

    variant: Variant
    model_digest: str
    graphs: Mapping[str, Path]
    graph_digests: Mapping[str, str]
    weights_folders: Mapping[str, Path]
    specs: Mapping[str, GraphSpec]
    max_batch_sizes: Mapping[str, int]
    is_trained: bool
    weights_origin: str
    precision: str
    low_precision: str | None
    verification: Mapping[str, Any]


def open_model_repository(root: Path, *, has_files: bool = True) -> ModelRepository:
    """Read the manifest and hash every file that it names.

    Args:
        root: folder that holds `MANIFEST.json` and one folder a graph; the setting `XMDPT_MODEL_REPOSITORY`.
        has_files: False if only the manifest need be here, because the graphs run elsewhere.

    Raises:
        ModelRepositoryError: the manifest is missing, is not one of this version's, or a file differs from its digest.
            The message says which and what to do.
    """
    try:
        manifest = load_manifest(root)
        if has_files:
            check_runs_here(root, manifest)
            check_files(root, manifest)
    except RepositoryError as error:
        raise ModelRepositoryError(f"XMDPT_MODEL_REPOSITORY: {error}") from None
    variant, weights, entries = VARIANTS[manifest["variant"]], manifest["weights"], manifest["graphs"]
    specs = manifest_specs(manifest)
    low = entries.get(LOW_STEP)
    return ModelRepository(
        variant,
        manifest["model_digest"],
        {name: root / entries[name]["path"] for name in specs},
        {name: entries[name]["sha256"] for name in specs},
        {name: weights_folder(root, manifest, name) for name in specs},
        specs,
        {name: entries[name]["max_batch_size"] for name in specs},
        weights["is_trained"],
        weights["origin"],
        manifest["precision"],
        low and low["precision"],
        manifest.get("verification", {}),
    )
