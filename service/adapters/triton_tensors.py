"""Arrays as Triton's messages and back, and what a server says of a graph against what it must be.

It sends nothing (`service.adapters.triton_channel`). What is wrong is told as ValueError; who reads it knows the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2, service_pb2

from xmdpt.spec import STEPS_AXIS, GraphSpec, TensorSpec

# Their classes are made when they are imported, so that no type checker knows them.
_config_pb: Any = model_config_pb2
_pb: Any = service_pb2
_NUMPY_TYPES = {"f32": np.dtype("<f4"), "u8": np.dtype("u1")}
_WIRE_TYPES = {"f32": "FP32", "u8": "UINT8"}
_CONFIG_TYPES = {"f32": _config_pb.TYPE_FP32, "u8": _config_pb.TYPE_UINT8}
GRAPH_VERSION = "1"
"""The only one in a repository: a newer one beside it would be another graph under the same digest."""


def infer_requests(spec: GraphSpec, feeds: Mapping[str, NDArray[Any]], max_rows: int) -> list[Any]:
    """Write all rows as `ModelInferRequest`s of at most max_rows rows each, in order.

    Args:
        spec: of the graph.
        feeds: one array an input.
        max_rows: >= 1.

    Raises:
        ValueError: an input is missing, of another type than the graph takes, or has other rows than the rest.
    """
    arrays = {tensor.name: _input_array(tensor, feeds) for tensor in spec.inputs}
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"the inputs have {sorted(counts)} rows")
    return [
        _infer_request(spec, {name: array[first : first + max_rows] for name, array in arrays.items()})
        for first in range(0, counts.pop(), max_rows)
    ]


def output_arrays(spec: GraphSpec, responses: Sequence[Any], num_rows: Sequence[int]) -> list[NDArray[Any]]:
    """Read `ModelInferResponse`s as one array an output, in the order of the spec.

    Args:
        spec: of the graph.
        responses: at least one, in the order of their rows.
        num_rows: of each response.

    Raises:
        ValueError: an output is missing or unknown, has another type or shape than the graph gives, or holds numbers
            that are not finite.
    """
    parts = [_outputs(spec, response, rows) for response, rows in zip(responses, num_rows, strict=True)]
    return parts[0] if len(parts) == 1 else [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]


def check_config(spec: GraphSpec, digest: str, config: Any) -> None:
    """Compare a `ModelConfig` as the server holds it with the graph that we want to call.

    Args:
        spec: of the graph.
        digest: SHA-256 of its file by the manifest; the configuration's parameter `sha256` must be this.
        config: of the server.

    Raises:
        ValueError: they differ; one line.
    """
    for kind, found, wanted in (("inputs", config.input, spec.inputs), ("outputs", config.output, spec.outputs)):
        described = {(t.name, t.data_type, tuple(t.dims)) for t in found}
        if described != {(t.name, _CONFIG_TYPES[t.dtype], _dims(t)) for t in wanted}:
            listed = ", ".join(f"{t.name} {_config_pb.DataType.Name(t.data_type)} {list(t.dims)}" for t in found)
            raise ValueError(f"its {kind} are {listed or 'none'}")
    if config.max_batch_size < 1:
        raise ValueError("its max_batch_size is 0, so it takes no rows")
    served = config.parameters["sha256"].string_value if "sha256" in config.parameters else ""
    if served != digest:
        raise ValueError(f"its parameter sha256 is {served[:12] or 'missing'}, MANIFEST.json says {digest[:12]}")


def _dims(tensor: TensorSpec) -> tuple[int, ...]:
    return tuple(-1 if size == STEPS_AXIS else int(size) for size in tensor.shape)


def _input_array(tensor: TensorSpec, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The array of one input; Triton takes bytes as what we say they are, so their type is checked here."""
    array = feeds.get(tensor.name)
    if not isinstance(array, np.ndarray) or array.dtype != _NUMPY_TYPES[tensor.dtype] or array.ndim < 1:
        raise ValueError(f"{tensor.name} is no array of {tensor.dtype}")
    return array


def _infer_request(spec: GraphSpec, arrays: Mapping[str, NDArray[Any]]) -> Any:
    request = _pb.ModelInferRequest(model_name=spec.name, model_version=GRAPH_VERSION)
    for tensor in spec.inputs:
        array = arrays[tensor.name]
        request.inputs.add(name=tensor.name, datatype=_WIRE_TYPES[tensor.dtype], shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    return request


def _outputs(spec: GraphSpec, response: Any, num_rows: int) -> list[NDArray[Any]]:
    if len(response.outputs) != len(response.raw_output_contents):
        raise ValueError(f"{len(response.raw_output_contents)} contents for {len(response.outputs)} outputs")
    contents = {
        output.name: (output, content)
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    names = sorted(output.name for output in response.outputs)
    if names != sorted(tensor.name for tensor in spec.outputs):
        raise ValueError(f"the outputs are {', '.join(names) or 'none'}")
    return [_output_array(tensor, *contents[tensor.name], num_rows) for tensor in spec.outputs]


def _output_array(tensor: TensorSpec, output: Any, content: bytes, num_rows: int) -> NDArray[Any]:
    shape, dtype = tensor.sizes(num_rows), _NUMPY_TYPES[tensor.dtype]
    if output.datatype != _WIRE_TYPES[tensor.dtype] or tuple(output.shape) != shape:
        raise ValueError(f"{tensor.name} is {output.datatype} {list(output.shape)}, not {tensor.dtype} {list(shape)}")
    # Refused if the bytes are too few or too many.
    array = np.frombuffer(content, dtype).reshape(shape)
    if tensor.dtype == "f32" and not np.isfinite(array).all():
        raise ValueError(f"{tensor.name} holds values that are not finite")
    return array
