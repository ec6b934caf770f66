"""The backend that the settings name, opened and measured, and the model as clients see it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import service
from service.adapters.model_repository import ModelRepository, open_model_repository
from service.adapters.simulated_backend import SimulatedBackend, SimulatedTimes
from service.domain.capacity import Capacity
from service.domain.errors import ConfigurationError, ModelRepositoryError
from service.domain.execution import Execution
from service.engine.calibration import calibrate
from service.engine.warmup import stall_warning
from service.gateway.models import PresetQuality, ServedModel
from service.ports.backend import InferenceBackend
from service.settings import DEFAULT_MODEL_REPOSITORY, Settings, SimulatedSettings
from service.telemetry.logs import get_logger
from xmdpt.presets import Preset


def measure(settings: Settings, backend: InferenceBackend) -> Capacity:
    """Warm an open backend up and time it; how it is to work follows from that.

    Raises:
        BackendError: a graph can't run.
    """
    own = settings.worker
    capacity = calibrate(backend, own.max_batch, own.fixed_execution, own.max_slots or None, own.calibration_seconds)
    warning = stall_warning(capacity, settings.queue.stall_timeout_seconds)
    if warning:
        get_logger().warning(warning)
    return capacity


def open_backend(settings: Settings) -> InferenceBackend:
    """The runtime that the settings name; only its own library is imported, so that the others may be absent.

    Raises:
        ModelRepositoryError: a graph is missing, damaged or not of the contract.
        BackendUnavailableError: the server of the graphs is away.
        ConfigurationError: the runtime is not installed, or not for the device that is asked for.
    """
    own, triton = settings.worker, settings.triton
    execution = own.fixed_execution or Execution.STEPWISE
    try:
        if settings.backend == "simulated":
            return _simulated(settings.simulated)
        if settings.backend == "triton":
            from service.adapters.triton_backend import TritonBackend
            from service.adapters.triton_channel import TritonEndpoint
        else:
            from service.adapters.onnx_backend import OnnxBackend
    except (ImportError, RuntimeError) as error:  # RuntimeError: tritonclient without gRPC
        extra = {"onnx": "cpu", "triton": "triton"}[settings.backend]
        msg = f"XMDPT_BACKEND={settings.backend}: {error}; install xmdpt-serve[{extra}]"
        raise ConfigurationError(" ".join(msg.split())) from None
    repository = _open_repository(settings, has_files=settings.backend == "onnx")
    if settings.backend == "onnx":
        return OnnxBackend(repository, own.num_threads, execution, own.provider)
    server = TritonEndpoint(
        triton.url, triton.timeout_seconds, triton.startup_seconds, triton.tls, triton.root_certificates
    )
    return TritonBackend(repository, server, execution)


def served_model(settings: Settings) -> ServedModel:
    """What the workers of this deployment run: of the model repository only the manifest is read.

    Raises:
        ModelRepositoryError: the manifest is missing or not one of this version's.
    """
    if settings.backend == "simulated":
        backend = _simulated(settings.simulated)
        return ServedModel(
            backend.variant,
            backend.model_digest,
            False,
            "simulated: no network runs",
            backend.precision,
            backend.low_precision,
        )
    repository = _open_repository(settings, has_files=False)
    return ServedModel(
        repository.variant.name,
        repository.model_digest,
        repository.is_trained,
        repository.weights_origin,
        repository.precision,
        repository.low_precision,
        _quality(repository.verification),
    )


def _quality(verification: Mapping[str, Any]) -> Mapping[Preset, PresetQuality]:
    """Raises ModelRepositoryError: the manifest states something else of them."""
    try:
        return {Preset(name): PresetQuality(**figures) for name, figures in verification.get("presets", {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        hint = "record them again with `python -m export verify --record`"
        raise ModelRepositoryError(
            f"XMDPT_MODEL_REPOSITORY: its figures of presets are no such: {error}; {hint}"
        ) from None


def _open_repository(settings: Settings, *, has_files: bool) -> ModelRepository:
    folder = settings.model_repository
    if folder == DEFAULT_MODEL_REPOSITORY and not folder.exists():
        folder = _shipped_repository() or folder
    return open_model_repository(folder, has_files=has_files)


def _shipped_repository() -> Path | None:
    """The one beside this package, as a wheel installs it; None if there is none, as in a container's image."""
    folder = Path(service.__file__).resolve().parents[1] / DEFAULT_MODEL_REPOSITORY
    return folder if folder.is_dir() else None


def _simulated(own: SimulatedSettings) -> SimulatedBackend:
    milliseconds = own.step_ms, own.row_ms, own.encoder_ms, own.decoder_ms, own.call_ms
    times = SimulatedTimes(*(ms / 1000 for ms in milliseconds))
    return SimulatedBackend(own.variant, times, own.sizes)
