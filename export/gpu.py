"""Which GPU this computer has, asked of NVIDIA's driver.

Needs the standard library only; does not use the GPU.
"""

import ctypes
from typing import Any

_DRIVER = "libcuda.so.1"
# CUdevice_attribute: compute capability, major and minor.
_MAJOR, _MINOR = 75, 76
_NAME_BYTES = 256


def gpu_at_hand() -> str | None:
    """Compute capability and name of the first GPU, as in `sm90 NVIDIA H200`; None without one or its driver."""
    try:
        return describe_gpu(ctypes.CDLL(_DRIVER))
    except OSError:
        return None


def describe_gpu(driver: Any) -> str | None:
    """Return what `gpu_at_hand` returns.

    Args:
        driver: its library.
    """
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return None
    capability = [ctypes.c_int(), ctypes.c_int()]
    for number, attribute in zip(capability, (_MAJOR, _MINOR), strict=True):
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
    driver.cuDeviceGetName(name, _NAME_BYTES, device)
    return f"sm{capability[0].value}{capability[1].value} {name.value.decode()}"
