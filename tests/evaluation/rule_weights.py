"""Weights of metric networks by a rule, so that another implementation's figures can be pinned."""

import numpy as np
import torch
from torch import nn

from xmdpt.nn.untrained import seeded_normal


def rule_weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A state dict that follows from the keys and shapes alone and keeps activations at about unit size."""
    return {name: _values(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()}


def _values(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    values = seeded_normal(name, shape)
    if name.startswith("lin"):
        values = np.abs(values)
    elif len(shape) > 1:
        values = values * (2 / np.prod(shape[1:])) ** 0.5
    elif name.endswith("running_var"):
        values = np.exp(values * 0.2)
    else:
        values = name.endswith("bn.weight") + values * 0.1
    return torch.from_numpy(values.astype(np.float32))
