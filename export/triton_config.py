"""Triton's descriptions of the graphs and of the ensemble of them: the texts of their config.pbtxt.

What may be tuned in them is `export.triton_policy`'s. Does not write files (`export.config_files`) nor judge what
somebody made of them (`export.config_checks`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.triton_policy import profile_sizes, set_for_cpu, set_for_gpu
from xmdpt.repository import CPU_CONFIG, ONNX, TENSORRT, Precision, config_paths
from xmdpt.spec import LOW_DECODER, LOW_STEP, STEPS_AXIS, GraphSpec, TensorSpec, ensemble_spec

_HEADER = """\
# Written by `python -m export {command}`; MANIFEST.json holds this file's digest. To be tuned: batching, queues,
# instances, warm-up, caching, and max_batch_size downwards. `python -m export seal` checks it and takes it up.
"""
# Its classes are made when it is imported, so that no type checker knows them.
_pb: Any = model_config_pb2
# The denoiser's batches are slots of many jobs; pictures take far more memory each.
_MAX_BATCH_SIZES = {
    "source_encoder": 8,
    "pose_encoder": 8,
    "canet": 32,
    "tdnet_step": 32,
    LOW_STEP: 32,
    "sampler": 32,
    "vae_decoder": 8,
    LOW_DECODER: 8,
}
_TRITON_TYPES = {"f32": _pb.TYPE_FP32, "u8": _pb.TYPE_UINT8}


def max_batch_size(graph: str, precision: Precision) -> int:
    """Most rows of one call of a graph.

    One of an int8 graph: it takes the scale of its activations from all rows of a call, and a picture must not depend
    on its neighbours.
    """
    return 1 if precision == "int8" else _MAX_BATCH_SIZES[graph]


def config_texts(
    spec: GraphSpec, max_rows: int, sha256: str, platform: str = ONNX, batch_sizes: Sequence[int] | None = None
) -> dict[str, str]:
    """Return the configurations of a graph by their paths.

    Args:
        spec: of the graph.
        max_rows: most rows of one call.
        sha256: digest of the graph's file, so that a server can tell which one it has loaded.
        platform: `ONNX` or `TENSORRT`.
        batch_sizes: that an engine was tuned for, one profile each, rising; without it those of `profile_sizes`.
    """
    texts = {}
    for path in config_paths(spec.name, platform):
        is_for_cpu = path.endswith(CPU_CONFIG)
        config = graph_config(spec, max_rows, sha256, platform, batch_sizes, is_for_cpu=is_for_cpu)
        texts[path] = _text(config, platform)
    return texts


def ensemble_texts(specs: Mapping[str, GraphSpec], max_rows: Mapping[str, int], platform: str = ONNX) -> dict[str, str]:
    """Return the configurations of the ensemble by their paths.

    Args:
        specs: of all graphs, in the order in which one request passes them.
        max_rows: most rows of one call of each graph.
        platform: of the repository.
    """
    config = ensemble_config(specs, max_rows)
    return {path: _text(config, platform) for path in config_paths(config.name, platform)}


def graph_config(
    spec: GraphSpec,
    max_rows: int,
    sha256: str,
    platform: str,
    batch_sizes: Sequence[int] | None = None,
    *,
    is_for_cpu: bool,
) -> Any:
    """Return the description of a graph."""
    config = _pb.ModelConfig(**_contract(spec, platform, max_rows))
    config.parameters["sha256"].string_value = sha256
    if is_for_cpu:
        set_for_cpu(config)
    else:
        set_for_gpu(config, (batch_sizes or profile_sizes(max_rows)) if platform == TENSORRT else ())
    return config


def ensemble_config(specs: Mapping[str, GraphSpec], max_rows: Mapping[str, int]) -> Any:
    """Return the description of all graphs in a row: a step for each whose inputs are there by their names."""
    ensemble = ensemble_spec()
    available, steps = {tensor.name for tensor in ensemble.inputs}, []
    for spec in specs.values():
        inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (spec.inputs, spec.outputs))
        if available.issuperset(inputs):
            available.update(outputs)
            step = _pb.ModelEnsembling.Step(model_name=spec.name, model_version=-1)
            step.input_map.update({name: name for name in inputs})
            step.output_map.update({name: name for name in outputs})
            steps.append(step)
    return _pb.ModelConfig(
        **_contract(ensemble, "ensemble", min(max_rows[step.model_name] for step in steps)),
        ensemble_scheduling=_pb.ModelEnsembling(step=steps),
    )


def _contract(spec: GraphSpec, platform: str, max_rows: int) -> dict[str, object]:
    """What is true of a graph, whoever runs it."""
    return {
        "name": spec.name,
        "platform": platform,
        "max_batch_size": max_rows,
        "input": [_pb.ModelInput(**_tensor(tensor)) for tensor in spec.inputs],
        "output": [_pb.ModelOutput(**_tensor(tensor)) for tensor in spec.outputs],
        "default_model_filename": "model.plan" if platform == TENSORRT else "",
    }


def _tensor(tensor: TensorSpec) -> dict[str, object]:
    dims = [-1 if size == STEPS_AXIS else size for size in tensor.shape]
    return {"name": tensor.name, "data_type": _TRITON_TYPES[tensor.dtype], "dims": dims}


def _text(config: Any, platform: str) -> str:
    header = _HEADER.format(command="tensorrt" if platform == TENSORRT else "build")
    return header + text_format.MessageToString(config, use_short_repeated_primitives=True)
