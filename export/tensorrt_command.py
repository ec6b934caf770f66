"""What `python -m export tensorrt` takes and says.

Only words; the work is in `export.tensorrt_repository` and `export.tensorrt_package`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from export.endings import fail, refuse
from export.tensorrt_package import PACKAGES, RTX, TensorrtError, open_toolkit
from xmdpt.whole_numbers import whole_number

_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_MAX_STEPS = 1000


def add_tensorrt(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser(
        "tensorrt", help="build TensorRT engines of a repository, for the GPU at hand or for kinds by name"
    )
    command.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="of ONNX graphs (default: model_repository)"
    )
    command.add_argument("--out", type=Path, required=True, help="folder for the repository of engines")
    command.add_argument(
        "--package", choices=PACKAGES, help="data-centre TensorRT or TensorRT for RTX (default: the first there is)"
    )
    command.add_argument(
        "--target",
        nargs="+",
        default=[],
        metavar="SM",
        help="kinds of GPUs for TensorRT for RTX, such as sm80 sm89, or current (default: the GPU at hand)",
    )
    command.add_argument(
        "--batch-sizes",
        type=whole_number(1, 1024),
        nargs="+",
        default=list(_BATCH_SIZES),
        metavar="N",
        help="to tune for; a call takes up to the largest, or to the graph's own limit (default: 1 2 4 8 16 32)",
    )
    command.add_argument(
        "--max-steps",
        type=whole_number(1, 1000),
        default=_MAX_STEPS,
        metavar="N",
        help="most denoising steps of one call of the sampler (default: 1000)",
    )


def run_tensorrt(options: argparse.Namespace) -> int:
    """Build; returns the exit status: 0, 1 for a repository or graph that is refused, 2 for a mistake in the call."""
    from export.gpu import gpu_at_hand
    from export.tensorrt_repository import EngineSizes, build_engines, read_source
    from xmdpt.repository import MANIFEST_NAME, RepositoryError

    start, source, out = time.monotonic(), options.repository, options.out
    try:
        toolkit = open_toolkit(options.package, options.target, gpu_at_hand())
        manifest = read_source(source, out)
    except TensorrtError as error:
        return refuse(error)
    except RepositoryError as error:
        return fail(error)
    made_with = f"{toolkit.package} {toolkit.version} for {toolkit.target}"
    print(f"{source}: {manifest['variant']} in {manifest['precision']}, {made_with}", flush=True)
    sizes = EngineSizes(options.batch_sizes, options.max_steps)
    try:
        build_engines(source, manifest, out, toolkit, sizes, lambda line: print(line, flush=True))
    except TensorrtError as error:
        return fail(error)
    except OSError as error:
        return refuse(f"{error.filename}: {error.strerror}; name another --out")
    if toolkit.package == RTX:
        print("these are for programs with TensorRT for RTX; Triton runs engines of the package tensorrt", flush=True)
    print(f"wrote {out}/{MANIFEST_NAME} after {time.monotonic() - start:.1f} s", flush=True)
    return 0
