"""Arrays as requests of either client of Triton, and what comes back."""

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from numpy.typing import NDArray
from tritonclient.utils import np_to_triton_dtype

from tests.triton.running_triton import RunningTriton

Feeds = Mapping[str, NDArray[Any]]
PROTOCOLS = ("http", "grpc")


def inputs_of(feeds: Feeds, module: ModuleType = tritonclient.grpc) -> list[Any]:
    inputs = []
    for name, array in feeds.items():
        inputs.append(module.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    return inputs


def infer(triton: RunningTriton, protocol: str, model: str, feeds: Feeds, outputs: Iterable[str]) -> Sequence[NDArray]:
    """One request; every array as bytes, never as JSON."""
    client, module = getattr(triton, protocol), {"http": tritonclient.http, "grpc": tritonclient.grpc}[protocol]
    result = client.infer(model, inputs_of(feeds, module))
    return [np.asarray(result.as_numpy(name)) for name in outputs]


def rows(feeds: Feeds, first: int, end: int) -> Feeds:
    return {name: array[first:end] for name, array in feeds.items()}
