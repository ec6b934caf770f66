"""What graphs run on: chosen, refused with a reason, or warned of; with too little memory, a smaller batch may fit."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from service.adapters import onnx_backend
from service.adapters.model_repository import open_model_repository
from service.adapters.onnx_backend import OnnxBackend, low_step_warning, sampler_fault, usable_device
from service.domain.errors import ConfigurationError, ResourceExhaustedError
from service.domain.execution import Execution
from tests.contract.test_onnx_backend import SHIPPED
from xmdpt.graph_session import Device, GraphSession, cuda_fault

_WARNING = 2


@dataclass
class RecordedSession:
    """What a session was asked for."""

    options: onnxruntime.SessionOptions
    providers: list[Any]
    enable_fallback: bool = True

    def get_providers(self) -> list[str]:
        """All that were asked for."""
        return [provider if isinstance(provider, str) else provider[0] for provider in self.providers]


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is installed here was built without it."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    cuda_fault.cache_clear()
    yield
    cuda_fault.cache_clear()


def test_cuda_when_its_provider_comes_with_the_libraries_then_these_are_loaded_before_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    available = ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: available.append("CUDAExecutionProvider"))
    cuda_fault.cache_clear()

    fault = cuda_fault()

    cuda_fault.cache_clear()
    assert "without CUDA" not in fault


@pytest.mark.usefixtures("no_cuda")
def test_provider_when_cuda_is_asked_for_and_is_not_there_then_refused_with_a_reason() -> None:
    with pytest.raises(ConfigurationError, match=r"XMDPT_WORKER__PROVIDER=cuda: .* without CUDA"):
        usable_device("cuda")


@pytest.mark.usefixtures("no_cuda")
def test_provider_when_auto_and_there_is_no_cuda_then_the_cpu() -> None:
    assert usable_device("auto") == usable_device("cpu") == "cpu"


@pytest.mark.usefixtures("no_cuda")
def test_graph_when_it_must_run_on_cuda_and_would_not_then_it_does_not_run_elsewhere() -> None:
    repository = open_model_repository(SHIPPED)

    with pytest.raises(RuntimeError, match="without CUDA"):
        GraphSession(repository.graphs["canet"], repository.weights_folders["canet"], 1, device="cuda")


def test_graph_when_loaded_on_cuda_then_nothing_may_happen_in_silence_and_convolutions_are_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sessions: list[RecordedSession] = []

    def record(_: object, options: onnxruntime.SessionOptions, **words: Any) -> RecordedSession:
        sessions.append(RecordedSession(options, **words))
        return sessions[-1]

    monkeypatch.setattr("xmdpt.graph_session.cuda_fault", lambda: "")
    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    GraphSession(b"", Path(), 1, device="cuda")

    (session,) = sessions
    assert session.enable_fallback is False
    assert session.options.log_severity_level == _WARNING
    assert dict(session.providers[0][1]) == {
        "use_tf32": "0",
        "enable_cuda_graph": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
    }


@pytest.mark.parametrize(
    ("device", "low_precision", "is_warned"),
    [("cuda", "int8", True), ("cuda", "fp16", False), ("cuda", None, False), ("cpu", "int8", False)],
)
def test_low_precision_when_it_is_not_made_for_the_device_then_the_start_says_so(
    device: Device, low_precision: str | None, is_warned: bool
) -> None:
    assert bool(low_step_warning(device, low_precision)) == is_warned


def test_graph_when_there_is_no_memory_to_load_it_then_that_is_said_and_not_that_it_is_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(
            "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 1048576"
        )

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)

    with pytest.raises(ResourceExhaustedError, match="not enough memory to load it"):
        OnnxBackend(open_model_repository(SHIPPED), 1, Execution.STEPWISE, "cpu")


@pytest.mark.parametrize(
    ("device", "precision", "has_instructions", "is_faulty"),
    [
        ("cpu", "int8", False, True),
        ("cpu", "int8", True, False),
        ("cpu", "fp32", False, False),
        ("cuda", "int8", False, False),
    ],
)
def test_sampler_when_its_int8_products_would_overflow_then_whole_loops_are_refused(
    device: Device,
    precision: str,
    has_instructions: bool,
    is_faulty: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(onnx_backend, "has_int8_instructions", lambda: has_instructions)

    assert bool(sampler_fault(device, precision)) == is_faulty


def test_backend_when_whole_loops_would_be_wrong_here_then_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_backend, "sampler_fault", lambda device, precision: f"{precision} on {device}: not here")

    with pytest.raises(ConfigurationError, match=r"fp32 on cpu: not here"):
        OnnxBackend(open_model_repository(SHIPPED), execution=Execution.WHOLE_LOOP, provider="cpu")
