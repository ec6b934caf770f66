"""Writes a model repository of TensorRT engines, made of one of ONNX graphs.

Does not build the engines (`export.to_tensorrt`) nor word their configurations (`export.triton_config`). Needs no
torch: it runs in the container that serves the engines.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.config_files import write_configs, write_ensemble
from export.manifest import read_manifest
from export.tensorrt_package import TensorrtError, Toolkit
from export.to_tensorrt import ReadGraph, profiles
from export.triton_config import config_texts
from xmdpt.repository import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    TENSORRT,
    RepositoryError,
    check_runs_here,
    file_digest,
    graph_path,
    load_manifest,
    repository_digest,
    weights_folder,
    write_manifest,
)
from xmdpt.spec import VARIANTS, GraphSpec, graph_specs


@dataclass(frozen=True)
class EngineSizes:
    """What engines are made for.

    Attributes:
        batch_sizes: that each is tuned for, and the largest is the most that it takes; for a graph that takes fewer
            rows they end at those.
        max_steps: most denoising steps of one call of the sampler.
    """

    batch_sizes: Sequence[int]
    max_steps: int

    def of_graph(self, max_rows: int) -> list[int]:
        """Batch sizes for a graph that takes so many rows, rising."""
        return sorted({min(size, max_rows) for size in self.batch_sizes})


def read_source(source: Path, out: Path) -> dict:
    """Return the manifest of a repository that engines can be made of.

    Args:
        source: its folder.
        out: folder for the engines.

    Raises:
        RepositoryError: it is not what its manifest says, or holds engines already.
        TensorrtError: TensorRT has no use for it, or the folder for the engines holds something else.
    """
    manifest = read_manifest(source)
    check_runs_here(source, manifest)
    if manifest["precision"] == "int8":
        hint = "build it with --precision bf16 or fp16"
        raise TensorrtError(f"{source}: its int8 takes scales from each call, which only CPUs run; {hint}")
    if (out / MANIFEST_NAME).exists() and not (found := _contents(out)).endswith(TENSORRT):
        raise TensorrtError(f"{out}: holds {found}; engines need a folder of their own")
    return manifest


def build_engines(
    source: Path, manifest: Mapping, out: Path, toolkit: Toolkit, sizes: EngineSizes, report: Callable[[str], None]
) -> None:
    """Write the engine of every graph, and the manifest last; engines that are there already are kept.

    Args:
        source: folder of the ONNX repository.
        manifest: of `read_source`.
        out: folder, made if need be.
        toolkit: package and targets.
        sizes: that the engines are for.
        report: told one line at the beginning and one at the end of each graph.

    Raises:
        TensorrtError: TensorRT does not take a graph. The manifest that was there stays, and engines that were built
            before count as damaged.
        OSError: the folder cannot be written to.
    """
    specs = graph_specs(VARIANTS[manifest["variant"]])
    earlier, entries = _earlier_entries(out), {}
    for name, spec in specs.items():
        entry = manifest["graphs"][name]
        batch_sizes = sizes.of_graph(entry["max_batch_size"])
        engine = _description(name, entry, toolkit, batch_sizes, sizes.max_steps)
        plan = out / graph_path(name, TENSORRT)
        if _is_there(plan, earlier.get(name), engine):
            report(f"{name}: kept, it was built of the same for the same")
        else:
            start = time.monotonic()
            report(f"{name}: building for batches of {', '.join(map(str, batch_sizes))}")
            graph = ReadGraph(toolkit, source / entry["path"], weights_folder(source, manifest, name), spec)
            _write(plan, graph.build(profiles(spec, batch_sizes, sizes.max_steps)))
            seconds = time.monotonic() - start
            report(f"{name}: {plan.stat().st_size:,} bytes, sha256 {file_digest(plan)[:12]}, {seconds:.1f} s")
        entries[name] = _entry(out, spec, plan, entry, engine)
    write_manifest(
        out,
        {
            "format": MANIFEST_FORMAT,
            "variant": manifest["variant"],
            "model_digest": repository_digest(entries),
            "source_digest": manifest["model_digest"],
            "latent_scale": manifest["latent_scale"],
            "prediction": manifest["prediction"],
            "platform": TENSORRT,
            "precision": manifest["precision"],
            "graphs": entries,
            "ensemble": {"configs": write_ensemble(out, specs, entries, TENSORRT)},
            "weights": manifest["weights"],
        },
    )


def _description(
    name: str, entry: Mapping, toolkit: Toolkit, batch_sizes: Sequence[int], max_steps: int
) -> dict[str, Any]:
    """All that an engine depends on."""
    return {
        "package": toolkit.package,
        "version": toolkit.version,
        "container": toolkit.container,
        "target": toolkit.target,
        "batch_sizes": list(batch_sizes),
        "max_steps": max_steps,
        # Of the graph and its further weights.
        "source": repository_digest({name: entry}),
    }


def _is_there(plan: Path, earlier: Mapping | None, engine: Mapping) -> bool:
    if earlier is None or earlier.get("engine") != engine:
        return False
    return plan.is_file() and file_digest(plan) == earlier["sha256"]


def _write(plan: Path, content: Any) -> None:
    """All of it or nothing."""
    plan.parent.mkdir(parents=True, exist_ok=True)
    unfinished = plan.with_name(f".{plan.name}")
    unfinished.write_bytes(content)
    unfinished.replace(plan)


def _entry(out: Path, spec: GraphSpec, plan: Path, source: Mapping, engine: Mapping) -> dict[str, Any]:
    digest, batch_sizes = file_digest(plan), engine["batch_sizes"]
    texts = config_texts(spec, batch_sizes[-1], digest, TENSORRT, batch_sizes)
    return {
        "path": graph_path(spec.name, TENSORRT),
        "sha256": digest,
        "bytes": plan.stat().st_size,
        "external": [],
        "precision": source["precision"],
        "max_batch_size": batch_sizes[-1],
        "engine": engine,
        "configs": write_configs(out, texts),
    }


def _contents(root: Path) -> str:
    try:
        return f"a repository for {load_manifest(root)['platform']}"
    except RepositoryError:
        return f"a {MANIFEST_NAME} that is none of this version's"


def _earlier_entries(out: Path) -> Mapping[str, Mapping]:
    return load_manifest(out)["graphs"] if (out / MANIFEST_NAME).exists() else {}
