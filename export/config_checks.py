"""Do the configurations of a repository say what its graphs are, and would Triton take them?

How requests queue, how many instances run, what warms them up and what is cached is an engineer's to tune: there only
mistakes are refused. All else must be what `export.triton_config` writes. The ensemble's steps are
`export.ensemble_checks`'s. Opens no graph (`export.manifest`) and changes nothing.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.ensemble_checks import ensemble_mistakes
from export.triton_config import ensemble_config, graph_config
from xmdpt.repository import CPU_CONFIG, MANIFEST_NAME, TENSORRT, RepositoryError, config_paths, manifest_specs
from xmdpt.spec import ENSEMBLE, GraphSpec

_pb: Any = model_config_pb2
_TUNABLE = {
    "dynamic_batching",
    "instance_group",
    "max_batch_size",
    "metric_tags",
    "model_metrics",
    "model_warmup",
    "optimization",
    "parameters",
    "response_cache",
}
_TUNABLE_OF_ENSEMBLE = {"ensemble_scheduling", "max_batch_size", "metric_tags", "parameters", "response_cache"}
_HINT = "correct it, or build the repository again with `python -m export build`"


def check_configs(root: Path, manifest: Mapping) -> None:
    """Read every configuration of a repository.

    Args:
        root: the repository's folder.
        manifest: of `xmdpt.repository.load_manifest`; its digests are not compared.

    Raises:
        RepositoryError: one is not Triton's, breaks the contract, or does not fit its graph or another configuration.
            The line names the file and the field.
    """
    specs, platform = manifest_specs(manifest), manifest["platform"]
    files = {name: config_paths(name, platform) for name in (*specs, ENSEMBLE)}
    # All for GPUs, then all for CPUs: an ensemble runs the graphs as the files of its own kind describe them.
    for index in range(len(files[ENSEMBLE])):
        configs = {name: _parsed(root / paths[index]) for name, paths in files.items()}
        for name, config in configs.items():
            path = files[name][index]
            if name == ENSEMBLE:
                mistakes = _mistakes_of_ensemble(config, configs, specs)
            else:
                mistakes = _mistakes_of_graph(config, specs[name], manifest["graphs"][name], platform, path)
            if mistake := next(iter(mistakes), None):
                raise RepositoryError(f"{root / path}: {mistake}; {_HINT}")


def _parsed(path: Path) -> Any:
    try:
        return text_format.Parse(path.read_bytes().decode(errors="replace"), _pb.ModelConfig())
    except OSError as error:
        raise RepositoryError(f"{path}: {error.strerror}; {_HINT}") from None
    except text_format.ParseError as error:
        raise RepositoryError(f"{path}: {' '.join(str(error).split())}; {_HINT}") from None


def _mistakes_of_graph(config: Any, spec: GraphSpec, entry: Mapping, platform: str, path: str) -> Iterable[str]:
    is_for_cpu = path.endswith(CPU_CONFIG)
    wanted = graph_config(spec, entry["max_batch_size"], entry["sha256"], platform, is_for_cpu=is_for_cpu)
    yield from _fixed_fields(config, wanted, _TUNABLE)
    if not 1 <= config.max_batch_size <= entry["max_batch_size"]:
        yield f"`max_batch_size` is {config.max_batch_size}, the graph takes 1 to {entry['max_batch_size']} rows"
    digest = config.parameters["sha256"].string_value if "sha256" in config.parameters else "missing"
    if digest != entry["sha256"]:
        yield f"`parameters.sha256` is {digest[:12]}, {MANIFEST_NAME} says {entry['sha256'][:12]} of {entry['path']}"
    num_profiles = len(entry["engine"]["batch_sizes"]) if platform == TENSORRT else 0
    yield from _instances(config, wanted.instance_group[0].kind, num_profiles)
    for graph in config.optimization.cuda.graph_spec:
        if graph.batch_size > config.max_batch_size:
            limit = f"max_batch_size {config.max_batch_size}"
            yield f"`optimization.cuda.graph_spec` is of {graph.batch_size} rows, {limit}"
    if config.HasField("dynamic_batching"):
        yield from _queueing(config.dynamic_batching, config.max_batch_size)
    for warmup in config.model_warmup:
        yield from _warmup(warmup, wanted.input, config.max_batch_size)


def _mistakes_of_ensemble(config: Any, configs: Mapping[str, Any], specs: Mapping[str, GraphSpec]) -> Iterable[str]:
    max_rows = {name: configs[name].max_batch_size for name in specs}
    yield from _fixed_fields(config, ensemble_config(specs, max_rows), _TUNABLE_OF_ENSEMBLE)
    yield from ensemble_mistakes(config, specs, max_rows)


def _fixed_fields(config: Any, wanted: Any, tunable: set[str]) -> Iterable[str]:
    found, right = (
        {field.name: value for field, value in message.ListFields() if field.name not in tunable}
        for message in (config, wanted)
    )
    for name in dict.fromkeys((*right, *found)):
        if name not in right:
            yield f"`{name}` must be left out"
        elif name not in found:
            yield f"`{name}` is missing"
        elif found[name] != right[name]:
            yield _difference(name, found[name], right[name])


def _difference(field: str, found: Any, wanted: Any) -> str:
    if isinstance(wanted, str):
        return f"`{field}` is {found!r}, it must be {wanted!r}"
    descriptions = [
        ", ".join(f"{tensor.name} {_tensor_type(tensor)}" for tensor in tensors) for tensors in (found, wanted)
    ]
    if descriptions[0] == descriptions[1]:
        return f"`{field}` must have no other fields than name, data_type and dims"
    return f"`{field}` is {descriptions[0]}, the graph's is {descriptions[1]}"


def _tensor_type(tensor: Any) -> str:
    return f"{_pb.DataType.Name(tensor.data_type)} {list(tensor.dims)}"


def _instances(config: Any, kind: int, num_profiles: int) -> Iterable[str]:
    if not config.instance_group:
        yield "`instance_group` is missing"
    for group in config.instance_group:
        if group.kind != kind:
            names = _pb.ModelInstanceGroup.Kind
            yield f"`instance_group.kind` is {names.Name(group.kind)}, in this file it must be {names.Name(kind)}"
        if group.count < 1:
            yield f"`instance_group.count` is {group.count}, it must be at least 1"
        if group.gpus and kind == _pb.ModelInstanceGroup.KIND_CPU:
            yield "`instance_group.gpus` must be left out in this file"
        if group.profile and not num_profiles:
            yield "`instance_group.profile` is for TensorRT only"
        for profile in group.profile if num_profiles else ():
            if profile not in map(str, range(num_profiles)):
                yield f"`instance_group.profile` {profile!r} is not within 0 to {num_profiles - 1}, the engine's"


def _queueing(batching: Any, max_rows: int) -> Iterable[str]:
    for size in batching.preferred_batch_size:
        if not 1 <= size <= max_rows:
            yield f"`dynamic_batching.preferred_batch_size` {size} is not within 1 to max_batch_size, {max_rows}"
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        yield f"`dynamic_batching.default_priority_level` {batching.default_priority_level} is not within 1 to {levels}"
    for level in sorted(batching.priority_queue_policy):
        if not 1 <= level <= levels:
            yield f"`dynamic_batching.priority_queue_policy` is of priority {level}, which is not within 1 to {levels}"
    if batching.preserve_ordering and levels > 1:
        yield "`dynamic_batching.preserve_ordering` contradicts several priority_levels"


def _warmup(warmup: Any, inputs: Iterable[Any], max_rows: int) -> Iterable[str]:
    here = f"`model_warmup` {warmup.name!r}"
    if not 1 <= warmup.batch_size <= max_rows:
        yield f"{here}: batch_size {warmup.batch_size} is not within 1 to max_batch_size, {max_rows}"
    wanted = {tensor.name: tensor for tensor in inputs}
    for name in sorted(wanted.keys() ^ warmup.inputs.keys()):
        yield f"{here}: input {name} is {'missing' if name in wanted else 'not one of the graph'}"
    open_sizes = set()
    for name in wanted.keys() & warmup.inputs.keys():
        given, right = warmup.inputs[name], wanted[name]
        sizes = list(zip(given.dims, right.dims, strict=False))
        open_sizes |= {size for size, declared in sizes if declared < 0}
        does_fit = len(given.dims) == len(right.dims) and all(
            size >= 1 if declared < 0 else size == declared for size, declared in sizes
        )
        if given.data_type != right.data_type or not does_fit:
            yield f"{here}: input {name} is {_tensor_type(given)}, the graph's is {_tensor_type(right)}"
        if not (given.zero_data or given.random_data):
            yield f"{here}: input {name} must be zero_data or random_data"
    if len(open_sizes) > 1:
        yield f"{here}: its inputs have different numbers of steps, {sorted(open_sizes)}"
