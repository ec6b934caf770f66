"""The files of a model repository and what its manifest states of them, for all who build, check or load one.

Opens no graph: whether one fits the contract is `export.manifest`'s or the runtime's to say. Needs the standard library
only.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from xmdpt.spec import VARIANTS, Variant, graph_specs

MANIFEST_NAME = "MANIFEST.json"
MANIFEST_FORMAT = 1
WEIGHTS_FOLDER_OPTION = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's session option for what `weights_folder` returns; without it, it looks beside the graph alone."""

# Five graphs need 3 kB.
_MAX_MANIFEST_BYTES = 1_000_000
_REBUILD = "build it again with `python -m export build`"


class RepositoryError(ValueError):
    """A repository is not what its manifest or the contract says; one line names the file and what to do."""


def graph_path(graph: str) -> str:
    """Where servers look for a graph in a repository."""
    return f"{graph}/1/model.onnx"


def data_path(graph: str) -> str:
    """Where a graph's weights are that its own file does not hold; the graph itself names the last part."""
    return f"{graph_path(graph)}.data"


def shared_weights_path(variant_name: str) -> str:
    """Where the weights are that all graphs of a variant share; each of them names the file without a folder.

    In the root, where servers take folders for models and overlook files.
    """
    return f"{variant_name}.safetensors"


def config_path(graph: str) -> str:
    """Where Triton looks for a graph's description."""
    return f"{graph}/config.pbtxt"


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
    return (root / (external[0]["path"] if external else graph_path(graph))).parent


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
        if set(entries) != set(names):
            raise RepositoryError(f"{path}: the graphs are not {', '.join(names)}; {_REBUILD}")
        for name in names:
            _check_entry(path, name, entries[name], shared_weights_path(variant.name))
        digest = repository_digest(entries)
        if manifest["model_digest"] != digest:
            raise RepositoryError(f"{path}: model_digest is not that of the graphs, {digest}; restore the manifest")
    except KeyError as error:
        raise RepositoryError(f"{path}: {error} is missing or unknown; {_REBUILD}") from None
    except (AttributeError, TypeError):
        raise RepositoryError(f"{path}: not of the form that `python -m export build` writes; {_REBUILD}") from None
    return manifest


def check_files(root: Path, manifest: Mapping) -> None:
    """Hash every file that a manifest of `load_manifest` names: graphs, their further weights, configurations.

    Raises:
        RepositoryError: a file is missing or is not the manifest's.
    """
    stated = []
    for name, entry in manifest["graphs"].items():
        stated += [(file["path"], file["sha256"]) for file in (entry, *entry["external"])]
        stated.append((config_path(name), entry["config_sha256"]))
    # Each once: several graphs may name one file of weights.
    for path, digest in dict.fromkeys(stated):
        _check_digest(root / path, digest)


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


def _check_entry(manifest_path: Path, graph: str, entry: dict, shared: str) -> None:
    """A manifest must not lead out of its folder, nor to a file that the runtime would not take."""
    path, config, data = graph_path(graph), config_path(graph), data_path(graph)
    if (entry["path"], entry["config_path"]) != (path, config):
        hint = f"the files of {graph} are not {path} and {config}"
        raise RepositoryError(f"{manifest_path}: {hint}; restore the manifest")
    if [file["path"] for file in entry["external"]] not in ([], [data], [shared]):
        hint = f"further weights of {graph} can only be in {data} or {shared}"
        raise RepositoryError(f"{manifest_path}: {hint}; restore the manifest")
    digests = [entry["config_sha256"], *(file["sha256"] for file in (entry, *entry["external"]))]
    if not all(isinstance(digest, str) for digest in digests):
        raise RepositoryError(f"{manifest_path}: {graph} must state the digest of each file; {_REBUILD}")


def _check_digest(path: Path, stated: str) -> None:
    try:
        actual = file_digest(path)
    except OSError as error:
        raise RepositoryError(f"{path}: {error.strerror}, though {MANIFEST_NAME} names it; restore the file") from None
    if actual != stated:
        message = f"its SHA-256 is {actual[:12]}..., {MANIFEST_NAME} says {stated[:12]}..."
        raise RepositoryError(f"{path}: {message}; restore the file")
