"""The files of a model repository and what its manifest states of them, for all who build, check or load one.

Opens no graph: whether one fits the contract is `export.manifest`'s or the runtime's to say. Needs the standard library
only.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from xmdpt.spec import ENSEMBLE, LOW_GRAPHS, LOW_STEP, VARIANTS, GraphSpec, Variant, graph_specs, low_specs

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 2
WEIGHTS_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's session option for what `weights_folder` returns; without it, it looks beside the graph alone."""

ONNX, TENSORRT = "onnxruntime_onnx", "tensorrt_plan"
"""What a repository's graphs are made for, in Triton's words."""
Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "bf16", "int8")
"""What the large products of a repository's graphs are computed in."""
_FILE_NAMES = {ONNX: "model.onnx", TENSORRT: "model.plan"}
GPU_CONFIG, CPU_CONFIG = "config.pbtxt", "configs/cpu.pbtxt"
"""Where in a graph's folder Triton looks for its description, without and with `--model-config-name=cpu`."""
_CONFIG_NAMES = {ONNX: (GPU_CONFIG, CPU_CONFIG), TENSORRT: (GPU_CONFIG,)}

# Eight graphs need 9 kB.
_MAX_MANIFEST_BYTES = 1_000_000
_REBUILD = "build it again with `python -m export build`"


class RepositoryError(ValueError):
    """A repository is not what its manifest or the contract says; one line names the file and what to do."""


def graph_path(graph: str, platform: str = ONNX) -> str:
    """Where servers look for a graph in a repository."""
    return f"{graph}/1/{_FILE_NAMES[platform]}"


def data_path(graph: str) -> str:
    """Where a graph's weights are that its own file does not hold; the graph itself names the last part."""
    return f"{graph_path(graph)}.data"


def shared_weights_path(variant_name: str) -> str:
    """Where the weights are that all graphs of a variant share; each of them names the file without a folder.

    In the root, where servers take folders for models and overlook files.
    """
    return f"{variant_name}.safetensors"


def config_paths(graph: str, platform: str = ONNX) -> tuple[str, ...]:
    """Where Triton looks for the descriptions of a graph or of the ensemble."""
    return tuple(f"{graph}/{name}" for name in _CONFIG_NAMES[platform])


def repository_digest(entries: Mapping[str, Mapping]) -> str:
    """`sha256:<hex>` over the manifest's entries of all graphs: what a picture depends on.

    One line `<graph> <sha256>` a graph and `<path> <sha256>` a further file of weights, sorted.
    """
    digests = {name: entry["sha256"] for name, entry in entries.items()}
    digests |= {file["path"]: file["sha256"] for entry in entries.values() for file in entry["external"]}
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def weights_folder(root: Path, manifest: Mapping, graph: str) -> Path:
    """The folder in which a graph's runtime finds the file that the graph takes further weights from, if any.

    Args:
        root: the repository's folder.
        manifest: of `load_manifest`.
        graph: its name.
    """
    external = manifest["graphs"][graph]["external"]
    return (root / (external[0]["path"] if external else manifest["graphs"][graph]["path"])).parent


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_manifest(root: Path) -> dict:
    """What a manifest states, complete and in accord with itself; the files it names are not looked at.

    Args:
        root: folder that holds `MANIFEST.json` and one folder a graph.

    Raises:
        RepositoryError: there is no manifest, it is not of the form that the exporter writes, names an unknown variant,
            other constants or graphs than the variant has, files in other places than servers look, or a digest over
            all graphs that is not theirs.
    """
    path = root / MANIFEST_NAME
    manifest = _read_json(path)
    try:
        variant = VARIANTS[manifest["variant"]]
        _check_constants(path, manifest, variant)
        _check_weights(path, manifest["weights"])
        entries, names = manifest["graphs"], tuple(graph_specs(variant))
        if set(entries) - set(LOW_GRAPHS) != set(names):
            raise RepositoryError(f"{path}: the graphs are not {', '.join(names)}; {_REBUILD}")
        if manifest["platform"] not in _FILE_NAMES:
            raise RepositoryError(f"{path}: platform is not one of {', '.join(_FILE_NAMES)}; {_REBUILD}")
        for name in manifest_specs(manifest):
            _check_entry(path, name, entries[name], shared_weights_path(variant.name), manifest["platform"])
        _check_precisions(path, manifest)
        _check_configs(path, ENSEMBLE, manifest["ensemble"], manifest["platform"])
        digest = repository_digest(entries)
        if manifest["model_digest"] != digest:
            raise RepositoryError(f"{path}: model_digest is not that of the graphs, {digest}; restore the manifest")
    except KeyError as error:
        raise RepositoryError(f"{path}: {error} is missing or unknown; {_REBUILD}") from None
    except (AttributeError, TypeError):
        raise RepositoryError(f"{path}: not of the form that `python -m export build` writes; {_REBUILD}") from None
    return manifest


def manifest_specs(manifest: Mapping) -> Mapping[str, GraphSpec]:
    """The contract of every graph that a manifest names, in their order: those of its variant, then the low ones."""
    variant = VARIANTS[manifest["variant"]]
    low = {name: spec for name, spec in low_specs(variant).items() if name in manifest["graphs"]}
    return {**graph_specs(variant), **low}


def write_manifest(root: Path, manifest: Mapping) -> None:
    """Write a repository's manifest, which makes it one: all of it or nothing.

    Raises:
        OSError: the repository cannot be written to.
    """
    unfinished = root / f".{MANIFEST_NAME}"
    unfinished.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    unfinished.replace(root / MANIFEST_NAME)


def check_files(root: Path, manifest: Mapping) -> None:
    """Hash every file that a manifest of `load_manifest` names: graphs, their further weights, configurations.

    Raises:
        RepositoryError: a file is missing or is not the manifest's.
    """
    files = [*manifest["ensemble"]["configs"]]
    for entry in manifest["graphs"].values():
        files += [entry, *entry["external"], *entry["configs"]]
    # Each once: several graphs may name one file of weights.
    for path, digest in dict.fromkeys((file["path"], file["sha256"]) for file in files):
        _check_digest(root / path, digest)


def check_runs_here(root: Path, manifest: Mapping) -> None:
    """Refuse a repository of engines, for runtimes that take ONNX graphs.

    Raises:
        RepositoryError: it is one.
    """
    if manifest["platform"] != ONNX:
        hint = "a Triton server runs them; here name the repository of graphs that they were made of"
        raise RepositoryError(f"{root}: holds TensorRT engines; {hint}")


def _read_json(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        hint = "build a repository with `python -m export build` or name another"
        raise RepositoryError(f"{path}: {error.strerror}; {hint}") from None
    if len(content) > _MAX_MANIFEST_BYTES:
        raise RepositoryError(f"{path}: larger than {_MAX_MANIFEST_BYTES} bytes, this is no manifest; {_REBUILD}")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RepositoryError(f"{path}: not JSON ({error}); {_REBUILD}") from None


def _check_constants(path: Path, manifest: dict, variant: Variant) -> None:
    wanted = {"format": MANIFEST_FORMAT, "latent_scale": variant.latent_scale, "prediction": variant.prediction}
    for name, value in wanted.items():
        if manifest[name] != value:
            raise RepositoryError(f"{path}: {name} is {manifest[name]!r:.80}, not {value}; {_REBUILD}")


def _check_weights(path: Path, weights: dict) -> None:
    claims = (weights["is_trained"], weights["is_rounded"])
    if not isinstance(weights["origin"], str) or not all(isinstance(claim, bool) for claim in claims):
        hint = "weights must state an origin and whether they are trained and rounded"
        raise RepositoryError(f"{path}: {hint}; {_REBUILD}")
    if not all(isinstance(file["sha256"], str) for file in weights["files"].values()):
        raise RepositoryError(f"{path}: weights must state the digest of each file; {_REBUILD}")


def _check_precisions(path: Path, manifest: dict) -> None:
    """A graph computes in the repository's precision or, where nothing of it may be low, in float32.

    But for the low graphs, which all compute in one low precision where the others compute in float32; the low step is
    always among them.
    """
    precision = manifest["precision"]
    if precision not in PRECISIONS:
        raise RepositoryError(f"{path}: precision is not one of {', '.join(PRECISIONS)}; {_REBUILD}")
    for name, entry in manifest["graphs"].items():
        if name in LOW_GRAPHS:
            low = manifest["graphs"][LOW_STEP]["precision"]
            if precision != PRECISIONS[0] or low not in PRECISIONS[1:] or entry["precision"] != low:
                hint = f"must be in {' or '.join(PRECISIONS[1:])}, as {LOW_STEP} is, beside graphs in {PRECISIONS[0]}"
                raise RepositoryError(f"{path}: {name} {hint}; {_REBUILD}")
        elif entry["precision"] not in (precision, PRECISIONS[0]):
            raise RepositoryError(f"{path}: {name} must be in {precision} or {PRECISIONS[0]}; {_REBUILD}")


def _check_entry(manifest_path: Path, graph: str, entry: dict, shared: str, platform: str) -> None:
    """A manifest must not lead out of its folder, nor to a file that the runtime would not take."""
    path, data = graph_path(graph, platform), data_path(graph)
    if entry["path"] != path:
        raise RepositoryError(f"{manifest_path}: the file of {graph} is not {path}; restore the manifest")
    allowed = {ONNX: ([], [data], [shared]), TENSORRT: ([],)}[platform]
    if [file["path"] for file in entry["external"]] not in allowed:
        hint = f"further weights of {graph} can only be in {data} or {shared}, those of an engine nowhere"
        raise RepositoryError(f"{manifest_path}: {hint}; restore the manifest")
    if not all(isinstance(file["sha256"], str) for file in (entry, *entry["external"])):
        raise RepositoryError(f"{manifest_path}: {graph} must state the digest of each file; {_REBUILD}")
    if type(entry["max_batch_size"]) is not int or entry["max_batch_size"] < 1:
        raise RepositoryError(f"{manifest_path}: max_batch_size of {graph} must be an integer from 1; {_REBUILD}")
    _check_configs(manifest_path, graph, entry, platform)


def _check_configs(manifest_path: Path, graph: str, entry: dict, platform: str) -> None:
    paths = config_paths(graph, platform)
    if tuple(file["path"] for file in entry["configs"]) != paths:
        hint = f"the configurations of {graph} are not {' and '.join(paths)}"
        raise RepositoryError(f"{manifest_path}: {hint}; restore the manifest")
    if not all(isinstance(file["sha256"], str) for file in entry["configs"]):
        raise RepositoryError(f"{manifest_path}: {graph} must state the digest of each configuration; {_REBUILD}")


def _check_digest(path: Path, stated: str) -> None:
    try:
        actual = file_digest(path)
    except OSError as error:
        raise RepositoryError(f"{path}: {error.strerror}, though {MANIFEST_NAME} names it; restore the file") from None
    if actual != stated:
        message = f"its SHA-256 is {actual[:12]}..., {MANIFEST_NAME} says {stated[:12]}..."
        raise RepositoryError(f"{path}: {message}; restore the file")
