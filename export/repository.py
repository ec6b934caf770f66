"""The files of a model repository: ONNX graphs, Triton's config.pbtxt beside each, and the manifest over all.

Does not trace (`export.to_onnx`) nor compare numbers (`export.verify`). Layout: `<graph>/1/model.onnx`,
`<graph>/config.pbtxt`, `MANIFEST.json`. The same networks give the same bytes.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from export.graphs import GRAPHS
from export.to_onnx import OPSET, to_onnx
from export.triton_config import config_text
from export.weights import WeightsOrigin
from xmdpt.nn.pipeline import Pipeline
from xmdpt.spec import GraphSpec, graph_specs

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 1


def build_repository(pipeline: Pipeline, weights: WeightsOrigin, out: Path, report: Callable[[str], None]) -> None:
    """Write every graph of a pipeline, and the manifest last.

    Args:
        pipeline: networks with their weights.
        weights: where those came from.
        out: folder, made if need be; files of the same name are replaced.
        report: told one line a graph.
    """
    variant = pipeline.variant
    entries = {}
    for name, spec in graph_specs(variant).items():
        report(f"{name}: tracing")
        model = to_onnx(GRAPHS[name](pipeline), spec).SerializeToString(deterministic=True)
        entries[name] = _write_graph(out, spec, model)
        report(f"{name}: {entries[name]['bytes']:,} bytes, sha256 {entries[name]['sha256'][:12]}")
    manifest = {
        "format": MANIFEST_FORMAT,
        "variant": variant.name,
        "model_digest": model_digest({name: entry["sha256"] for name, entry in entries.items()}),
        "latent_scale": variant.latent_scale,
        "prediction": variant.prediction,
        "graphs": entries,
        "weights": {"origin": weights.origin, "is_trained": weights.is_trained},
    }
    (out / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")


def model_digest(graph_digests: dict[str, str]) -> str:
    """`sha256:<hex>` over one line `<graph> <sha256>` per graph, sorted: what a picture depends on."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(graph_digests.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _write_graph(out: Path, spec: GraphSpec, model: bytes) -> dict:
    path, config_path = Path(spec.name, "1", "model.onnx"), Path(spec.name, "config.pbtxt")
    config = config_text(spec).encode()
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    (out / path).write_bytes(model)
    (out / config_path).write_bytes(config)
    return {
        "path": path.as_posix(),
        "sha256": hashlib.sha256(model).hexdigest(),
        "bytes": len(model),
        "opset": OPSET,
        "precision": "f32",
        "config_path": config_path.as_posix(),
        "config_sha256": hashlib.sha256(config).hexdigest(),
    }
