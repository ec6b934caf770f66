"""Writes a model repository: ONNX graphs, Triton's config.pbtxt beside each, and the manifest over all.

Does not trace (`export.to_onnx`), decide what lies where (`xmdpt.repository`), read back what it wrote
(`export.manifest`, `export.verify`) nor link it for other servers (`export.links`). The same networks give the same
bytes.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from onnx import ModelProto, TensorProto

from export.graphs import GRAPHS
from export.links import remove_links
from export.shared_weights import SharedWeights
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
    shared_weights_path,
)
from xmdpt.spec import GraphSpec, Variant, graph_specs


def build_repository(
    variant: Variant,
    networks: Callable[[], Networks],
    weights: WeightsOrigin,
    out: Path,
    report: Callable[[str], None],
    max_inline_bytes: int = MAX_INLINE_BYTES,
    bundle: Path | None = None,
) -> None:
    """Write every graph of a variant, and the manifest last.

    Args:
        variant: size of the model.
        networks: makes the networks with their weights, once a graph; those it does not need may stay unloaded.
        weights: where those came from.
        out: folder, made if need be; files of the same name are replaced.
        report: told one line at the beginning and one at the end of each graph.
        max_inline_bytes: weights beyond these go into a second file beside the graph.
        bundle: the file of all of the networks' weights; the repository gets it as it is, and the graphs point to it.
    """
    shared = _shared_weights(out, variant, bundle, report) if bundle else None
    entries = {}
    for name, spec in graph_specs(variant).items():
        start = time.monotonic()
        report(f"{name}: loading its networks and tracing")
        entries[name] = entry = _write_graph(out, spec, networks, max_inline_bytes, shared)
        size = entry["bytes"] + sum(file["bytes"] for file in entry["external"] if not shared)
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


def _shared_weights(out: Path, variant: Variant, bundle: Path, report: Callable[[str], None]) -> SharedWeights:
    place = out / shared_weights_path(variant.name)
    if not (place.exists() and place.samefile(bundle)):
        out.mkdir(parents=True, exist_ok=True)
        # Never written over: links to an earlier file would show half of this one.
        unfinished = place.with_name(f".{place.name}")
        shutil.copyfile(bundle, unfinished)
        unfinished.replace(place)
    report(f"{place.name}: {place.stat().st_size:,} bytes, sha256 {file_digest(place)[:12]}")
    return SharedWeights(place)


def _write_graph(
    out: Path,
    spec: GraphSpec,
    networks: Callable[[], Networks],
    max_inline_bytes: int,
    shared: SharedWeights | None,
) -> dict:
    path, data, config = (out / place(spec.name) for place in (graph_path, data_path, config_path))
    path.parent.mkdir(parents=True, exist_ok=True)
    data.unlink(missing_ok=True)
    remove_links(path.parent)
    model = to_onnx(GRAPHS[spec.name](networks()), spec, data, max_inline_bytes, shared)
    path.write_bytes(model.SerializeToString(deterministic=True))
    config.write_text(config_text(spec))
    return {
        "path": graph_path(spec.name),
        "sha256": file_digest(path),
        "bytes": path.stat().st_size,
        "external": [
            {"path": place, "sha256": file_digest(out / place), "bytes": (out / place).stat().st_size}
            for place in _further_weights(model, spec.name, shared)
        ],
        "opset": OPSET,
        "precision": "f32",
        "config_path": config_path(spec.name),
        "config_sha256": file_digest(config),
    }


def _further_weights(model: ModelProto, graph: str, shared: SharedWeights | None) -> list[str]:
    """Where in the repository the weights are that the graph's own file does not hold."""
    if all(tensor.data_location != TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return []
    return [shared.path.name if shared else data_path(graph)]
