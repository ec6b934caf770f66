"""Files of weights read with distrust: safetensors, or what `torch.save` wrote, never any other pickle.

Knows no keys (`xmdpt.nn.checkpoint`, `xmdpt.nn.encoder_files`): it says whether a file is a flat dict of tensors and
whether such a dict fits a network.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)
# Widening these to float32 loses nothing.
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


class CheckpointError(ValueError):
    """Weights do not fit the network; one line that names the file and the first offending key of each kind."""


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a flat dict of tensors. They are mapped from the file: it must stay as it is while they are used.

    Args:
        path: a safetensors file by its suffix, else a file of `torch.save`, of which only tensors are unpickled.

    Raises:
        CheckpointError: the file is cut short, of another format, or holds anything but tensors by name.
        OSError: the file cannot be read.
    """
    path.open("rb").close()  # What cannot be opened is not of a wrong format.
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:
        # Bytes that somebody else chose can make these readers raise anything.
        words = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: not a whole file of weights: {type(error).__name__}: {words}") from None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}, not tensors by name")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: its entry {name!r} is a {type(value).__name__}, not a tensor with a name")
    return dict(state)


def check_fit(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], path: Path | None = None) -> None:
    """Raise CheckpointError unless the tensors have exactly these names and shapes and are finite floating numbers.

    Args:
        expected: shape by name.
        given: tensor by name.
        path: the file to name.
    """
    misshaped = [
        f"{name} has shape {list(given[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in given and given[name].shape != shape
    ]
    problems = [
        found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
        for found in (
            [f"missing {name}" for name in expected if name not in given],
            [f"unexpected {name}" for name in given if name not in expected],
            misshaped,
        )
        if found
    ]
    if not problems:
        problems = [wrong for name, tensor in given.items() if (wrong := _wrong_numbers(name, tensor))][:1]
    if problems:
        prefix = f"{path}: " if path else ""
        raise CheckpointError(f"{prefix}the weights do not fit the network: {'; '.join(problems)}")


def assembled(make: Callable[[], Network], weights: Callable[[str, tuple[int, ...]], Tensor]) -> Network:
    """Return a network for inference that holds the given tensors themselves: nothing is drawn, nothing copied.

    Args:
        make: makes the network, of parameters only.
        weights: name and shape of a parameter to its value, float32.
    """
    with torch.device("meta"):
        network = make()
    state = {name: weights(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def shapes_of(make: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of a network's parameters by its name, without memory for them."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}


def _wrong_numbers(name: str, tensor: Tensor) -> str:
    if tensor.dtype not in _FLOATS:
        return f"{name} holds {str(tensor.dtype).removeprefix('torch.')} instead of float32"
    return "" if torch.isfinite(tensor).all() else f"{name} holds values that are not finite"
