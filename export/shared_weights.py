"""The tensors of a safetensors file by their values, so that graphs point to them and hold no copies.

Does not make networks of the file (`xmdpt.nn.bundle`) nor decide how the rest of a graph's weights lie
(`export.storage`).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo

_LENGTH_BYTES = 8
_FLOAT16 = "F16"
_HELD_TYPES = (np.float32, np.float16)


@dataclass(frozen=True)
class SharedTensor:
    """A float16 tensor in the file.

    Attributes:
        name: its key.
        shape: of what the file holds.
        offset: of its first byte in the file.
        length: bytes.
        is_transposed: the values that were looked for are its transpose.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    length: int
    is_transposed: bool = False


class SharedWeights:
    """All float16 tensors of one safetensors file; of equal ones the first."""

    def __init__(self, path: Path) -> None:
        """Read and index the file, which `xmdpt.nn.bundle` has accepted."""
        self.path = path
        content = path.read_bytes()
        start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header = json.loads(content[_LENGTH_BYTES:start])
        self._tensors: dict[tuple[tuple[int, ...], bytes], SharedTensor] = {}
        for name, entry in header.items():
            if entry.get("dtype") == _FLOAT16:
                first, last = (start + offset for offset in entry["data_offsets"])
                tensor = SharedTensor(name, tuple(entry["shape"]), first, last - first)
                self._tensors.setdefault((tensor.shape, _digest(content[first:last])), tensor)

    def find(self, values: np.ndarray) -> SharedTensor | None:
        """Return the tensor that holds these values exactly, as they are or transposed; None if none does.

        Args:
            values: of any shape; float32, or float16 itself.
        """
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if values.dtype not in _HELD_TYPES or not np.array_equal(halves.astype(np.float32), values):
            return None
        if found := self._tensors.get((halves.shape, _digest(halves.tobytes()))):
            return found
        # Linear layers hold what a graph's matrix product takes the other way round.
        found = self._tensors.get((halves.T.shape, _digest(halves.T.tobytes()))) if halves.ndim == 2 else None
        return found and SharedTensor(found.name, found.shape, found.offset, found.length, is_transposed=True)


def with_weights_inside(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return a copy of a graph that holds the weights which it takes from a file, for onnx's checker.

    The checker looks for files beside the graph alone, and refuses those with several hard links.

    Raises:
        onnx.checker.ValidationError: the graph asks for bytes that the file does not have.
        OSError: the file cannot be read.
    """
    content, whole = path.read_bytes(), onnx.ModelProto()
    whole.CopyFrom(model)
    for tensor in whole.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.raw_data = _bytes_of(tensor, content)
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return whole


def _bytes_of(tensor: TensorProto, content: bytes) -> bytes:
    try:
        place = ExternalDataInfo(tensor)
    except ValueError as error:
        raise onnx.checker.ValidationError(str(error)) from None
    start, length = place.offset or 0, place.length or 0
    values = content[start : start + length]
    if not values or len(values) != length:
        raise onnx.checker.ValidationError(f"{tensor.name} would lie at {start}..{start + length}, behind the end")
    return values


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
