"""Triton's description of one graph: the text of its config.pbtxt, and whether a text still fits the contract.

Does not write files (`export.repository`).
"""

from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from xmdpt.spec import GraphSpec, TensorSpec

_HEADER = "# Written by `python -m export build`; MANIFEST.json holds this file's digest.\n"
# Its classes are made when it is imported, so that no type checker knows them.
_pb: Any = model_config_pb2
# The denoiser's batches are slots of many jobs; pictures take far more memory each.
_MAX_BATCH_SIZES = {"source_encoder": 8, "pose_encoder": 8, "canet": 32, "tdnet_step": 32, "vae_decoder": 8}
_TRITON_TYPES = {"f32": _pb.TYPE_FP32, "u8": _pb.TYPE_UINT8}


def config_text(spec: GraphSpec) -> str:
    """Return the config.pbtxt of a graph."""
    return _HEADER + text_format.MessageToString(_config(spec))


def config_mistake(text: str, spec: GraphSpec) -> str:
    """Return what is wrong with a config.pbtxt; empty if it parses and describes this graph.

    Batch sizes, instances and queueing may be tuned: only what the graph itself decides is compared.
    """
    try:
        config = text_format.Parse(text, _pb.ModelConfig())
    except text_format.ParseError as error:
        return str(error)
    wanted = _config(spec)
    wrong = [name for name in ("name", "platform", "input", "output") if getattr(config, name) != getattr(wanted, name)]
    return f"`{wrong[0]}` is not what the graph has" if wrong else ""


def _config(spec: GraphSpec) -> Any:
    """Return the message.

    Batches form without delay: a step of the denoiser would pay one at each step. Instances are left to the server,
    which refuses GPU ones where it has no GPU.
    """
    return _pb.ModelConfig(
        name=spec.name,
        platform="onnxruntime_onnx",
        max_batch_size=_MAX_BATCH_SIZES[spec.name],
        input=[_pb.ModelInput(**_tensor(tensor)) for tensor in spec.inputs],
        output=[_pb.ModelOutput(**_tensor(tensor)) for tensor in spec.outputs],
        dynamic_batching=_pb.ModelDynamicBatching(),
    )


def _tensor(tensor: TensorSpec) -> dict[str, object]:
    return {"name": tensor.name, "data_type": _TRITON_TYPES[tensor.dtype], "dims": tensor.shape}
