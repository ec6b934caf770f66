"""Writes a model repository: ONNX graphs, Triton's config.pbtxt beside each, and the manifest over all.

Does not trace (`export.to_onnx`), decide what lies where (`xmdpt.repository`) nor read back what it wrote
(`export.manifest`, `export.verify`). The same networks give the same bytes.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from export.graphs import GRAPHS
from export.to_onnx import MAX_INLINE_BYTES, OPSET, to_onnx
from export.triton_config import config_text
from export.weights import WeightsOrigin
from xmdpt.nn.pipeline import Networks
from xmdpt.repository import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    config_path,
    data_path,
    file_digest,
    graph_path,
    repository_digest,
)
from xmdpt.spec import GraphSpec, Variant, graph_specs


def build_repository(
    variant: Variant,
    networks: Callable[[], Networks],
    weights: WeightsOrigin,
    out: Path,
    report: Callable[[str], None],
    max_inline_bytes: int = MAX_INLINE_BYTES,
) -> None:
    """Write every graph of a variant, and the manifest last.

    Args:
        variant: size of the model.
        networks: makes the networks with their weights, once a graph; those it does not need may stay unloaded.
        weights: where those came from.
        out: folder, made if need be; files of the same name are replaced.
        report: told one line at the beginning and one at the end of each graph.
        max_inline_bytes: weights beyond these go into a second file beside the graph.
    """
    entries = {}
    for name, spec in graph_specs(variant).items():
        start = time.monotonic()
        report(f"{name}: loading its networks and tracing")
        entries[name] = entry = _write_graph(out, spec, networks, max_inline_bytes)
        size = entry["bytes"] + sum(file["bytes"] for file in entry["external"])
        report(f"{name}: {size:,} bytes, sha256 {entry['sha256'][:12]}, {time.monotonic() - start:.1f} s")
    manifest = {
        "format": MANIFEST_FORMAT,
        "variant": variant.name,
        "model_digest": repository_digest(entries),
        "latent_scale": variant.latent_scale,
        "prediction": variant.prediction,
        "graphs": entries,
        "weights": asdict(weights),
    }
    (out / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def _write_graph(out: Path, spec: GraphSpec, networks: Callable[[], Networks], max_inline_bytes: int) -> dict:
    path, data, config = (out / place(spec.name) for place in (graph_path, data_path, config_path))
    path.parent.mkdir(parents=True, exist_ok=True)
    data.unlink(missing_ok=True)
    model = to_onnx(GRAPHS[spec.name](networks()), spec, data, max_inline_bytes)
    path.write_bytes(model.SerializeToString(deterministic=True))
    config.write_text(config_text(spec))
    external = [data_path(spec.name)] if data.exists() else []
    return {
        "path": graph_path(spec.name),
        "sha256": file_digest(path),
        "bytes": path.stat().st_size,
        "external": [
            {"path": place, "sha256": file_digest(out / place), "bytes": (out / place).stat().st_size}
            for place in external
        ],
        "opset": OPSET,
        "precision": "f32",
        "config_path": config_path(spec.name),
        "config_sha256": file_digest(config),
    }
