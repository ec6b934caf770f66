"""Triton's backend `onnxruntime` where the native one isn't there: a graph in ONNX Runtime on the CPU.

Triton queues requests, puts them together and counts them. Nothing here completes a configuration: inputs and outputs
must be written in full.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb  # pyright: ignore[reportMissingImports]  # The server brings it.

_DEFAULT_FILE_NAME = "model.onnx"
# What failed comes first, why it did last: a full memory among others.
_MAX_REASON_LENGTH = 2000


class TritonPythonModel:
    """One instance of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph; weights that it names but does not hold are taken from beside it.

        Args:
            args: Triton's: `model_config` as JSON, `model_repository` (the model's folder), `model_version`.

        Raises:
            pb.TritonModelException: the file is not the configuration's, or no graph; one line says why.
        """
        config = json.loads(args["model_config"])
        name = config.get("default_model_filename") or _DEFAULT_FILE_NAME
        path = Path(args["model_repository"], args["model_version"], name)
        _check_digest(path, _parameter(config, "sha256"))
        self._session = _open_session(path, int(_parameter(config, "intra_op_thread_count") or 0))
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._is_batched = config["max_batch_size"] > 0
        _check_names(path, "inputs", self._inputs, [tensor.name for tensor in self._session.get_inputs()])
        _check_names(path, "outputs", self._outputs, [tensor.name for tensor in self._session.get_outputs()])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Return a response a request, in order: its rows, or why there are none."""
        are_cancelled = [request.is_cancelled() for request in requests]
        kept = [request for request, is_cancelled in zip(requests, are_cancelled, strict=True) if not is_cancelled]
        answers = iter(self._answers(kept))
        return [
            _refusal("cancelled before it ran", pb.TritonError.CANCELLED) if is_cancelled else next(answers)
            for is_cancelled in are_cancelled
        ]

    def _answers(self, requests: list[Any]) -> list[Any]:
        if len(requests) > 1 and not self._is_batched:
            return self._answers_one_by_one(requests)
        try:
            return self._run(requests) if requests else []
        except Exception as error:
            # Whatever it is, the instance lives on.
            if len(requests) == 1:
                return [_refusal(f"ONNX Runtime could not run it: {_one_line(error)}", pb.TritonError.INTERNAL)]
            # A batch fails for one of its rows, or for their number.
            return self._answers_one_by_one(requests)

    def _answers_one_by_one(self, requests: list[Any]) -> list[Any]:
        return [answer for request in requests for answer in self._answers([request])]

    def _run(self, requests: list[Any]) -> list[Any]:
        """All requests in one call."""
        feeds = [
            {name: pb.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}
            for request in requests
        ]
        if len(feeds) == 1:
            return [self._response(self._session.run(self._outputs, feeds[0]))]
        together = {name: np.concatenate([feed[name] for feed in feeds]) for name in self._inputs}
        ends = np.cumsum([len(feed[self._inputs[0]]) for feed in feeds])
        arrays: Any = self._session.run(self._outputs, together)
        if any(len(array) != ends[-1] for array in arrays):
            raise ValueError(f"{ends[-1]} rows went in, {[len(array) for array in arrays]} came out")
        parts = zip(*(np.split(array, ends[:-1]) for array in arrays), strict=True)
        return [self._response(part) for part in parts]

    def _response(self, arrays: Any) -> Any:
        named = zip(self._outputs, arrays, strict=True)
        return pb.InferenceResponse([pb.Tensor(name, np.ascontiguousarray(array)) for name, array in named])


def _open_session(path: Path, num_threads: int) -> onnxruntime.InferenceSession:
    """Open a graph with so many threads, 0 for one a core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    # Each model has threads of its own: spinning for longer than an operation's pauses, or between runs, they would
    # take the cores from those of the model that runs.
    options.add_session_config_entry("session.intra_op.spin_duration_us", "20")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not _has_int8_instructions():
        # Sums of int8 products would overflow. Elsewhere it would make them 1.6 times as long for nothing.
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise pb.TritonModelException(f"{path}: ONNX Runtime refuses it: {_one_line(error)}") from None


def _has_int8_instructions() -> bool:
    """As `xmdpt.graph_session`, which is not installed here."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return not flags.isdisjoint({"avx512_vnni", "avx_vnni", "amx_int8"})


def _check_digest(path: Path, stated: str) -> None:
    """Refuse another file than the configuration was written for, if it names one."""
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise pb.TritonModelException(f"{path}: {error.strerror}") from None
    if stated and actual != stated:
        raise pb.TritonModelException(
            f"{path}: its SHA-256 is {actual[:12]}..., the configuration says {stated[:12]}...; restore the file"
        )


def _check_names(path: Path, kind: str, configured: list[str], found: list[str]) -> None:
    if sorted(configured) != sorted(found):
        names = ", ".join(configured)
        raise pb.TritonModelException(f"{path}: its {kind} are {', '.join(found)}, the configuration says {names}")


def _parameter(config: dict[str, Any], name: str) -> str:
    """A parameter of the configuration, empty if it is not there."""
    return config.get("parameters", {}).get(name, {}).get("string_value", "")


def _refusal(reason: str, code: int) -> Any:
    return pb.InferenceResponse(error=pb.TritonError(reason, code))


def _one_line(error: Exception) -> str:
    # It has no text of its own, or numpy's, which says it in other words.
    text = f"out of memory {error}" if isinstance(error, MemoryError) else str(error)
    return " ".join(text.split())[:_MAX_REASON_LENGTH] or type(error).__name__
