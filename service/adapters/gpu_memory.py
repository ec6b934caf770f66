"""How full the worker's GPU is, from NVIDIA's management library, which comes with the driver.

It computes nothing on the GPU and takes no memory there. Not yet run on a GPU.
"""

import ctypes
import os

_LIBRARY = "libnvidia-ml.so.1"
_SUCCESS = 0


class _Memory(ctypes.Structure):
    """nvmlMemory_t, bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class GpuMemory:
    """Of one device, for any thread."""

    def __init__(self, library: ctypes.CDLL, device: ctypes.c_void_p) -> None:
        self._library, self._device = library, device

    def memory_bytes(self) -> tuple[int, int]:
        """Used by every process, and in all; (0, 0) if the device does not say."""
        memory = _Memory()
        if self._library.nvmlDeviceGetMemoryInfo(self._device, ctypes.byref(memory)) != _SUCCESS:
            return 0, 0
        return memory.used, memory.total


def open_gpu(library: ctypes.CDLL | None = None) -> GpuMemory | None:
    """The first device that CUDA would take, by CUDA_VISIBLE_DEVICES; None where there is none."""
    try:
        library = library or ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    name = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    device = ctypes.c_void_p()
    if library.nvmlInit_v2() != _SUCCESS:
        return None
    if name.isdecimal():
        status = library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(device))
    else:
        status = library.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(device))
    return GpuMemory(library, device) if status == _SUCCESS else None
