"""The files of a model repository: ONNX graphs, Triton's config.pbtxt beside each, and the manifest over all.

Does not trace (`export.to_onnx`) nor read back what it wrote (`export.manifest`, `export.verify`). Layout:
`<graph>/1/model.onnx`, beside it `model.onnx.data` if the weights are too many for one file, `<graph>/config.pbtxt`,
`MANIFEST.json`. The same networks give the same bytes.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from export.graphs import GRAPHS
from export.to_onnx import MAX_INLINE_BYTES, OPSET, to_onnx
from export.triton_config import config_text
from export.weights import WeightsOrigin, file_digest
from xmdpt.nn.pipeline import Networks
from xmdpt.spec import GraphSpec, Variant, graph_specs

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 1


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


def repository_digest(entries: dict[str, dict]) -> str:
    """`sha256:<hex>` over the manifest's entries of all graphs: what a picture depends on.

    One line `<graph> <sha256>` a graph and `<path> <sha256>` a further file of weights, sorted.
    """
    digests = {name: entry["sha256"] for name, entry in entries.items()}
    digests |= {file["path"]: file["sha256"] for entry in entries.values() for file in entry["external"]}
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def graph_path(graph: str) -> str:
    """Where servers look for a graph in a repository."""
    return f"{graph}/1/model.onnx"


def data_path(graph: str) -> str:
    """Where a graph's weights are that its own file does not hold; the graph itself names the last part."""
    return f"{graph_path(graph)}.data"


def config_path(graph: str) -> str:
    """Where Triton looks for a graph's description."""
    return f"{graph}/config.pbtxt"


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
