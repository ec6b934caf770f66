"""The backend that the settings name, opened and measured, and the model as clients see it."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from types import NoneType
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
from xmdpt.repository import MANIFEST_NAME

_MISSING = object()
# Of a preset: decibels are null where pictures are equal.
_FIGURES: Mapping[str, tuple[type, ...]] = {
    "psnr_db": (int, float, NoneType),
    "least_psnr_db": (int, float, NoneType),
    "ssim": (int, float),
    "num_pictures": (int,),
}


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


def _quality(verification: Any) -> Mapping[Preset, PresetQuality]:
    """Figures of the presets that this version knows, whatever else a newer one recorded.

    Raises:
        ModelRepositoryError: one of these figures is missing or is none.
    """
    presets = verification.get("presets", {}) if isinstance(verification, Mapping) else None
    if not isinstance(presets, Mapping):
        raise _no_figures("presets")
    return {preset: _quality_of(preset, presets[preset]) for preset in Preset if preset in presets}


def _quality_of(preset: Preset, figures: Any) -> PresetQuality:
    found: dict[str, Any] = {}
    for name, kinds in _FIGURES.items():
        value = figures.get(name, _MISSING) if isinstance(figures, Mapping) else _MISSING
        is_odd = isinstance(value, bool) or (isinstance(value, float) and not isfinite(value))
        if is_odd or not isinstance(value, kinds):
            raise _no_figures(f"presets.{preset}.{name}")
        found[name] = value
    return PresetQuality(**found)


def _no_figures(place: str) -> ModelRepositoryError:
    return ModelRepositoryError(
        f"XMDPT_MODEL_REPOSITORY: {MANIFEST_NAME}: verification.{place} is missing or not what `python -m export "
        "verify --record` writes; record it again"
    )


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
