"""In which numbers training computes its products."""

from contextlib import AbstractContextManager

import torch


def mixed_precision(device: str = "cpu") -> AbstractContextManager[object]:
    """Return a context in which large products compute in bfloat16, where the device multiplies such numbers itself.

    A processor that doesn't imitates them, and may take a hundred times as long as in float32.

    Args:
        device: of torch; any but a CPU is taken to have such products.
    """
    kind = torch.device(device).type
    is_native = kind != "cpu" or any(
        has_it for name, has_it in torch.cpu.get_capabilities().items() if name.endswith("bf16")
    )
    return torch.autocast(kind, torch.bfloat16, enabled=is_native)
