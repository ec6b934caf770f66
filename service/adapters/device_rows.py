"""Arrays on ONNX Runtime's device, of which some rows can be written, read or bound by themselves.

ONNX Runtime gives no part of a value away; DLPack, through which it shares values with others, lets one be described
anew. So rows are copied by ONNX Runtime's own means on every device, without CUDA's libraries or another package.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import OrtValue

_CAPSULE_NAME = b"dltensor"
_FLOAT_BYTES = 4


class _DLTensor(ctypes.Structure):
    """DLPack's view of a tensor: `data` plus `byte_offset` bytes is where it begins."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype", ctypes.c_uint32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class DeviceRows:
    """[rows, ...] float32 on a device, zero at first."""

    def __init__(self, num_rows: int, row_shape: tuple[int, ...], device: str, device_id: int = 0) -> None:
        """Allocate; addresses stay as long as this does.

        Args:
            num_rows: >= 1.
            row_shape: of one row.
            device: as ONNX Runtime names it, "cpu" or "cuda".
            device_id: which one of these.
        """
        self._shape, self._device = (num_rows, *row_shape), (device, device_id)
        # Of ONNX Runtime's own memory: one made of an array would be that array's on the CPU, and gone with it.
        self._value = OrtValue.ortvalue_from_shape_and_type(list(self._shape), np.float32, device, device_id)
        self._value.update_inplace(np.zeros(self._shape, np.float32))
        self._row_size = int(np.prod(row_shape))
        self._rows = [self.part(row, 1) for row in range(num_rows)]

    def bind(self, bind: Callable[..., None], name: str, shape: tuple[int, ...], first_number: int) -> None:
        """Let a graph read or write so many numbers from one on, which whoever runs it must keep in memory.

        They are bound by address. For ONNX Runtime a value that DLPack has described may lie on another device than the
        graph: it would bind a copy then, which a captured graph would read at every run.

        Args:
            bind: `bind_input` or `bind_output` of an IOBinding.
            name: of the graph's input or output.
            shape: of all that is bound.
            first_number: counted through all rows.
        """
        bind(name, *self._device, np.float32, shape, self._value.data_ptr() + first_number * _FLOAT_BYTES)

    def part(self, first: int, count: int) -> OrtValue:
        """Rows first .. first + count - 1 in the same memory, to copy."""
        return self.view(first * self._row_size, (count, *self._shape[1:]))

    def view(self, first_number: int, shape: tuple[int, ...]) -> OrtValue:
        """So many numbers from one on, in the same memory and in any shape; it keeps that memory alive."""
        capsule = self._value._ortvalue.to_dlpack()
        tensor = _DLTensor.from_address(_capsule_pointer(capsule))
        sizes = (ctypes.c_int64 * len(shape))(*shape)
        tensor.ndim = len(shape)
        tensor.shape = ctypes.cast(sizes, ctypes.POINTER(ctypes.c_int64))
        tensor.strides = None  # Rows lie behind one another.
        tensor.data = (tensor.data or 0) + first_number * _FLOAT_BYTES
        return OrtValue.from_dlpack(capsule)

    def write(self, row: int, values: NDArray[np.float32]) -> None:
        """Copy [...] from here to a row."""
        self._rows[row].update_inplace(values[None])

    def read(self, row: int) -> NDArray[np.float32]:
        """A row's values [...], copied here."""
        return np.array(self._rows[row].numpy()[0])

    def move(self, row: int, to_row: int) -> None:
        """Copy a row over another one, on the device."""
        self._rows[to_row].update_inplace(self._rows[row])


def _capsule_pointer(capsule: Any) -> int:
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    return get_pointer(capsule, _CAPSULE_NAME)
