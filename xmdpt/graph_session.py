"""One graph of a model repository in ONNX Runtime, in this process.

Checks neither files (`xmdpt.repository`) nor what comes out, and lets ONNX Runtime's exceptions pass, which share no
base: what they mean is the caller's to say.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from xmdpt.repository import WEIGHTS_FOLDER_OPTION

RUNTIME = f"onnxruntime-{onnxruntime.__version__}"
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")
# What goes wrong is an exception already.
_ERRORS_ONLY = 3


class GraphSession:
    """A loaded graph, on CUDA where the installed package has it.

    Attributes:
        session: ONNX Runtime's.
    """

    def __init__(
        self,
        model: Path | bytes,
        weights_folder: Path,
        max_rows: int,
        *,
        num_threads: int = 0,
        is_alone: bool = True,
        on_cpu: bool = False,
    ) -> None:
        """Load a graph.

        Args:
            model: path of its file, or what would be in it.
            weights_folder: where the file of weights is that it names, if it names one.
            max_rows: most rows of one call, >= 1.
            num_threads: of one run on CPUs; 0 takes the physical cores.
            is_alone: nobody else wants the cores, so threads may wait by spinning.
            on_cpu: not on CUDA even where it is there.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(is_alone)))
        # Graphs that share a file of weights name it without its folder, which is not theirs.
        options.add_session_config_entry(WEIGHTS_FOLDER_OPTION, str(weights_folder))
        options.log_severity_level = _ERRORS_ONLY
        available = _PROVIDERS[1:] if on_cpu else onnxruntime.get_available_providers()
        providers = [name for name in _PROVIDERS if name in available]
        self.session = onnxruntime.InferenceSession(model, options, providers=providers)
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
