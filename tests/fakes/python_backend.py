"""What Triton's Python backend gives to a model, as far as ours uses it, so that it can be tried without a server."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray


class TritonModelException(Exception):
    """Says why a model can't be loaded."""


class TritonError:
    """Why a request is not answered."""

    INTERNAL = 1
    CANCELLED = 6

    def __init__(self, message: str, code: int = INTERNAL) -> None:
        self.message, self.code = message, code


@dataclass
class Tensor:
    name: str
    array: NDArray[Any]

    def as_numpy(self) -> NDArray[Any]:
        return self.array


@dataclass
class InferenceResponse:
    output_tensors: list[Tensor] = field(default_factory=list)
    error: TritonError | None = None


@dataclass
class Request:
    """Arrays by input; whether the client has gone."""

    arrays: dict[str, NDArray[Any]]
    has_gone: bool = False

    def is_cancelled(self) -> bool:
        return self.has_gone


def get_input_tensor_by_name(request: Request, name: str) -> Tensor | None:
    return Tensor(name, np.asarray(request.arrays[name])) if name in request.arrays else None


MODULE = SimpleNamespace(
    InferenceResponse=InferenceResponse,
    Tensor=Tensor,
    TritonError=TritonError,
    TritonModelException=TritonModelException,
    get_input_tensor_by_name=get_input_tensor_by_name,
)
"""In the place of `triton_python_backend_utils`."""
