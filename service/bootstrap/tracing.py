"""The process's tracer, if traces are switched on."""

from service.bootstrap.process import VERSION
from service.domain.errors import ConfigurationError
from service.settings import TracingSettings
from service.telemetry.spans import Tracer


def open_tracer(settings: TracingSettings, role: str) -> Tracer | None:
    """None if the settings name no collector; whoever opens it closes it.

    Raises:
        ConfigurationError: they do, and the packages for that are not installed.
    """
    if not settings.endpoint:
        return None
    try:
        from service.telemetry.tracing import OtlpTracer
    except ModuleNotFoundError as error:
        remedy = "pip install 'xmdpt-serve[tracing]', or leave it empty"
        raise ConfigurationError(f"XMDPT_TRACING__ENDPOINT needs {error.name}, which is not here: {remedy}") from error
    return OtlpTracer(settings.endpoint, f"{settings.service_name}-{role}", VERSION, settings.sample_ratio)
