"""Writes a model repository: ONNX graphs, Triton's config.pbtxt beside each, and the manifest over all.

Does not trace (`export.to_onnx`), decide what lies where (`xmdpt.repository`), read back what it wrote
(`export.manifest`, `export.verify`) nor link it for other servers (`export.links`). The same networks give the same
bytes.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from onnx import ModelProto, TensorProto

from export.config_files import write_configs, write_ensemble
from export.graphs import module_of
from export.links import remove_links
from export.loop import sampler_model
from export.precision import parts_to_lower
from export.shared_weights import SharedWeights
from export.to_onnx import MAX_INLINE_BYTES, to_onnx
from export.triton_config import config_texts, max_batch_size
from export.weights import WeightsOrigin
from xmdpt.nn.pipeline import Networks
from xmdpt.repository import (
    MANIFEST_FORMAT,
    ONNX,
    Precision,
    data_path,
    file_digest,
    graph_path,
    repository_digest,
    shared_weights_path,
    write_manifest,
)
from xmdpt.spec import LOW_GRAPHS, GraphSpec, Variant, graph_specs, low_specs


def build_repository(
    variant: Variant,
    networks: Callable[[], Networks],
    weights: WeightsOrigin,
    out: Path,
    report: Callable[[str], None],
    max_inline_bytes: int = MAX_INLINE_BYTES,
    bundle: Path | None = None,
    precision: Precision = "fp32",
    low_precision: Precision | None = None,
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
        precision: of the large products of the graphs that have any.
        low_precision: of two more graphs, a step and a decoder that may be less exact; only beside float32. None for
            neither.

    Raises:
        ValueError: low_precision is float32, or beside another precision.
    """
    if low_precision is not None and (precision != "fp32" or low_precision == "fp32"):
        raise ValueError(f"graphs in {low_precision} beside graphs in {precision}: low precision goes beside fp32 only")
    shared = _shared_weights(out, variant, bundle, report) if bundle else None
    specs = graph_specs(variant)
    entries, builder = {}, _GraphBuilder(out, networks, max_inline_bytes, shared, precision, low_precision)
    low = low_specs(variant) if low_precision else {}
    for name in LOW_GRAPHS.keys() - low.keys():
        # A server that looks at folders, not at the manifest, would load what an earlier build has left.
        shutil.rmtree(out / name, ignore_errors=True)
    for name, spec in {**specs, **low}.items():
        start = time.monotonic()
        report(f"{name}: loading its networks and tracing")
        entries[name] = entry = builder.write(spec)
        size = entry["bytes"] + sum(file["bytes"] for file in entry["external"] if not shared)
        report(f"{name}: {size:,} bytes, sha256 {entry['sha256'][:12]}, {time.monotonic() - start:.1f} s")
    manifest = {
        "format": MANIFEST_FORMAT,
        "variant": variant.name,
        "model_digest": repository_digest(entries),
        "latent_scale": variant.latent_scale,
        "prediction": variant.prediction,
        "platform": ONNX,
        "precision": precision,
        "graphs": entries,
        "ensemble": {"configs": write_ensemble(out, specs, entries)},
        "weights": asdict(weights),
    }
    write_manifest(out, manifest)


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


class _GraphBuilder:
    """Writes graph after graph of one repository."""

    def __init__(
        self,
        out: Path,
        networks: Callable[[], Networks],
        max_inline_bytes: int,
        shared: SharedWeights | None,
        precision: Precision,
        low_precision: Precision | None,
    ) -> None:
        self._out, self._networks, self._max_inline_bytes = out, networks, max_inline_bytes
        self._shared = shared
        self._precision: Precision = precision
        self._low_precision: Precision | None = low_precision
        self._step: ModelProto | None = None
        self._step_precision: Precision = "fp32"

    def write(self, spec: GraphSpec) -> dict:
        """Write one graph and its configurations; returns the manifest's entry. `tdnet_step` before `sampler`."""
        path, data = (self._out / place(spec.name) for place in (graph_path, data_path))
        path.parent.mkdir(parents=True, exist_ok=True)
        data.unlink(missing_ok=True)
        remove_links(path.parent)
        model, precision = self._model(spec, data)
        path.write_bytes(model.SerializeToString(deterministic=True))
        digest, max_rows = file_digest(path), max_batch_size(spec.name, precision)
        return {
            "path": graph_path(spec.name),
            "sha256": digest,
            "bytes": path.stat().st_size,
            "external": [
                {"path": place, "sha256": file_digest(self._out / place), "bytes": (self._out / place).stat().st_size}
                for place in _further_weights(model, spec.name, self._shared)
            ],
            "opset": model.opset_import[0].version,
            "precision": precision,
            "max_batch_size": max_rows,
            "configs": write_configs(self._out, config_texts(spec, max_rows, digest)),
        }

    def _model(self, spec: GraphSpec, data: Path) -> tuple[ModelProto, Precision]:
        if spec.name == "sampler":
            return self._sampler(spec, data), self._step_precision
        graph = module_of(spec.name)(self._networks())
        if spec.name in LOW_GRAPHS and self._low_precision:
            precision: Precision = self._low_precision
        else:
            precision = self._precision if parts_to_lower(graph, self._precision) else "fp32"
        model = to_onnx(graph, spec, data, self._max_inline_bytes, self._shared, precision)
        if spec.name == "tdnet_step":
            self._step, self._step_precision = model, precision
        return model, precision

    def _sampler(self, spec: GraphSpec, data: Path) -> ModelProto:
        """The loop around the step, with the weights of the step."""
        if self._step is None:
            raise ValueError("the sampler is made of tdnet_step, which must be written before it")
        step_data = self._out / data_path("tdnet_step")
        if step_data.exists():
            shutil.copyfile(step_data, data)
        return sampler_model(self._step, spec)


def _further_weights(model: ModelProto, graph: str, shared: SharedWeights | None) -> list[str]:
    """Where in the repository the weights are that the graph's own file does not hold."""
    if all(tensor.data_location != TensorProto.EXTERNAL for tensor in model.graph.initializer):
        return []
    return [shared.path.name if shared else data_path(graph)]
