"""One graph of a model repository in ONNX Runtime, in this process.

Checks neither files (`xmdpt.repository`) nor what comes out, and lets ONNX Runtime's exceptions pass, which share no
base: what they mean is the caller's to say.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from xmdpt.repository import WEIGHTS_FOLDER_OPTION

RUNTIME = f"onnxruntime-{onnxruntime.__version__}"
Device = Literal["cpu", "cuda"]
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SPIN_US = "20"
_CPU_INFO = Path("/proc/cpuinfo")
_INT8_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}
# What goes wrong is an exception already; but that CUDA leaves a part of a graph to the CPU is a warning.
_WARNINGS, _ERRORS = 2, 3


def has_cuda() -> bool:
    """Whether the installed package was built for CUDA, whatever this computer has."""
    return _CUDA in onnxruntime.get_available_providers()


@cache
def cuda_fault() -> str:
    """Why graphs can't run on CUDA, in one line; empty if they can."""
    # CUDA's libraries are packages of Python, where the system's loader does not look. Before anything is asked: a
    # provider that is a plugin may be there only with them. A package without CUDA has nothing to load.
    onnxruntime.preload_dlls()
    if not has_cuda():
        version = onnxruntime.__version__
        return f"onnxruntime {version} is installed without CUDA: install xmdpt-serve[gpu] in the place of [cpu]"
    try:
        onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32), "cuda", 0)
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0][:300]
    return ""


@cache
def has_int8_instructions() -> bool:
    """Whether this computer's processor says that it sums products of bytes without overflow (VNNI, AMX)."""
    try:
        flags = set(_CPU_INFO.read_text().split())
    except OSError:
        return False
    return not flags.isdisjoint(_INT8_FLAGS)


class GraphSession:
    """A loaded graph.

    Attributes:
        session: ONNX Runtime's.
        device: where it runs.
    """

    def __init__(
        self,
        model: Path | bytes,
        weights_folder: Path,
        max_rows: int,
        *,
        num_threads: int = 0,
        device: Device | None = None,
        captures: bool = False,
    ) -> None:
        """Load a graph.

        Args:
            model: path of its file, or what would be in it.
            weights_folder: where the file of weights is that it names, if it names one.
            max_rows: most rows of one call, >= 1.
            num_threads: of one run on CPUs; 0 takes the physical cores.
            device: "cuda" must load; None takes it where it does, else the CPU.
            captures: on CUDA, record what a run launches and launch it at once from then on. Runs must bind all
                arrays on the device, each set of them under a `gpu_graph_id` of its own.

        Raises:
            RuntimeError: the device is CUDA, and it does not load. What CUDA has no kernel for runs on the CPU: ONNX
                Runtime warns of it in the log, and refuses a graph that captures.
        """
        self.device: Device = device or ("cpu" if cuda_fault() else "cuda")
        if self.device == "cuda" and (fault := cuda_fault()):
            raise RuntimeError(fault)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        # To wake a thread takes longer than most of a small graph's operations. Threads that spin for longer than their
        # pauses, or between runs, take the cores from whoever shares them.
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN_US)
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if not has_int8_instructions():
            # Sums of int8 products would overflow. Elsewhere it would make them 1.6 times as long for nothing.
            options.add_session_config_entry("session.x64quantprecision", "1")
        # Graphs that share a file of weights name it without its folder, which is not theirs.
        options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(weights_folder))
        options.log_severity_level = _WARNINGS if self.device == "cuda" else _ERRORS
        # Float32 means float32: TF32 would round timesteps and modulations, which stay float32 in every precision.
        # A rule chooses convolutions: the default is documented to time them, so that two starts could differ in bits.
        settings = {
            "use_tf32": "0",
            "enable_cuda_graph": str(int(captures)),
            "cudnn_conv_algo_search": "HEURISTIC",
        }
        # What CUDA has no kernel for, ONNX Runtime puts on the CPU.
        cuda = [(_CUDA, settings)] if self.device == "cuda" else []
        # Without its fallback, which after a fault of the GPU would go on on the CPU and tell nobody.
        self.session = onnxruntime.InferenceSession(model, options, providers=[*cuda, _CPU], enable_fallback=False)
        if cuda and _CUDA not in self.session.get_providers():
            raise RuntimeError("CUDA does not load for this graph")
        self._max_rows = max_rows

    def run(self, feeds: Mapping[str, NDArray]) -> list[NDArray]:
        """Return the outputs in order; rows beyond what a call of the graph may have take further calls.

        Args:
            feeds: inputs by name, each with the same number of rows.

        Raises:
            ValueError: there are no rows, or not as many in each input.
        """
        counts = {len(rows) for rows in feeds.values()}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(f"inputs must have the same number of rows, one at least, not {sorted(counts)}")
        (num_rows,) = counts
        calls: list[Sequence[Any]] = [
            self.session.run(None, {name: rows[first : first + self._max_rows] for name, rows in feeds.items()})
            for first in range(0, num_rows, self._max_rows)
        ]
        if len(calls) == 1:
            return list(calls[0])
        return [np.concatenate(parts) for parts in zip(*calls, strict=True)]
