"""Which TensorRT builds engines here, and what GPUs they are for.

NVIDIA's two packages have the same interface. The data-centre one builds for the GPU at hand; TensorRT for RTX builds
for kinds of GPUs by name, on any computer. Does not build (`export.to_tensorrt`).
"""

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

DATA_CENTRE, RTX = "tensorrt", "tensorrt_rtx"
PACKAGES = (DATA_CENTRE, RTX)
CURRENT = "current"
"""The target that means the GPU at hand."""

# PyPI's wheel of bindings alone, for the libraries that a container has, names its module otherwise.
_MODULES: Mapping[str, Sequence[str]] = MappingProxyType({DATA_CENTRE: ("tensorrt", "tensorrt_bindings"), RTX: (RTX,)})
_INSTALL = {
    DATA_CENTRE: "it is part of NVIDIA's container: deploy/tensorrt.Dockerfile",
    RTX: "pip install tensorrt-rtx-cu12==1.7.1.116",
}
# Set in NVIDIA's container of Triton.
_CONTAINER_VARIABLE = "NVIDIA_TRITON_SERVER_VERSION"


class TensorrtError(ValueError):
    """Engines cannot be built of this, or not here; one line says why."""


@dataclass(frozen=True)
class Toolkit:
    """A package and what it builds for.

    Attributes:
        package: `tensorrt` or `tensorrt_rtx`.
        version: of it.
        container: release of the Triton container that this runs in; empty outside of one.
        target: kinds of GPUs, or the very GPU, for people and for comparison.
        api: the package's module.
        capabilities: its constants for the targets; empty for the data-centre package, which asks the GPU.
    """

    package: str
    version: str
    container: str
    target: str
    api: Any
    capabilities: Sequence[Any]


def open_toolkit(package: str | None, targets: Sequence[str], gpu: str | None) -> Toolkit:
    """Load a package and see that it can build here.

    Args:
        package: one of `PACKAGES`; None takes the first that is installed.
        targets: kinds of GPUs such as sm80, or `current`; without any, the GPU at hand.
        gpu: of `export.gpu.gpu_at_hand`.

    Raises:
        TensorrtError: the package is not installed or does not load, has no such target, or there is no GPU to build
            for.
    """
    name, api = _load(package)
    wanted = list(dict.fromkeys(target.lower() for target in targets)) or [CURRENT]
    capabilities = []
    if name == RTX:
        capabilities = _capabilities(api, wanted)
    elif wanted != [CURRENT]:
        raise TensorrtError(f"{DATA_CENTRE} builds for the GPU at hand: leave --target out, or use --package {RTX}")
    if CURRENT in wanted and gpu is None:
        hint = f"name kinds with --target: {', '.join(_kinds(api))}" if name == RTX else f"use --package {RTX}"
        raise TensorrtError(f"{name} finds no GPU or no driver of one to build for; {hint}")
    target = " ".join(gpu if kind == CURRENT and gpu else kind for kind in wanted)
    return Toolkit(name, api.__version__, os.environ.get(_CONTAINER_VARIABLE, ""), target, api, capabilities)


def _load(package: str | None) -> tuple[str, Any]:
    names = [package] if package else PACKAGES
    for name in names:
        for module in _MODULES[name]:
            try:
                return name, importlib.import_module(module)
            except ModuleNotFoundError:
                continue
            except (ImportError, OSError) as error:
                reason = " ".join(str(error).split())
                raise TensorrtError(f"{module} is installed but does not load: {reason}") from None
    raise TensorrtError("; ".join(f"{name} is not installed: {_INSTALL[name]}" for name in names))


def _kinds(api: Any) -> list[str]:
    return [kind.lower() for kind in api.ComputeCapability.__members__ if kind.startswith("SM")]


def _capabilities(api: Any, targets: Sequence[str]) -> list[Any]:
    for target in targets:
        if target not in (CURRENT, *_kinds(api)):
            kinds = ", ".join(_kinds(api))
            raise TensorrtError(f"{RTX} {api.__version__} has no target {target}, it has {kinds} and {CURRENT}")
    return [api.ComputeCapability.__members__[target.upper()] for target in targets]
