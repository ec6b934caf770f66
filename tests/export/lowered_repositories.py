"""Repositories in low precision, each built once a run; not to be written to."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from export.repository import build_repository
from export.weights import networks_of, read_origin
from xmdpt.nn.loading import WeightPaths
from xmdpt.repository import Precision
from xmdpt.spec import VARIANTS

_SHIPPED = Path(__file__).resolve().parents[2] / "model_repository" / "demo.safetensors"


@cache
def lowered_repository(kind: str, precision: Precision) -> Path:
    """About 10 s.

    Args:
        kind: `tiny` by rule, or `shipped`: demo with the project's weights.
        precision: of its large products.
    """
    variant, file = (VARIANTS["demo"], _SHIPPED) if kind == "shipped" else (VARIANTS[kind], None)
    paths, out = WeightPaths(file), _folder() / f"{kind}-{precision}"
    build_repository(
        variant,
        lambda: networks_of(variant, paths),
        read_origin(variant, paths),
        out,
        lambda _line: None,
        bundle=file,
        precision=precision,
    )
    return out


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="xmdpt-lowered-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
