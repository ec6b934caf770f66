"""Every setting of the service, in one class; this module alone reads the environment.

`docs/configuration.md` is generated from it. Parts of the service never see it: `service.bootstrap` hands each of
them a plain dataclass.
"""

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.domain.errors import ConfigurationError
from service.domain.execution import PROBE_SECONDS, Execution
from service.domain.job import DEFAULT_RETENTION_SECONDS, MAX_RETENTION_SECONDS, MIN_RETENTION_SECONDS
from service.picture_store_settings import PictureStoreSettings
from service.webhook_settings import WebhookSettings

PREFIX = "XMDPT_"
DEFAULT_MODEL_REPOSITORY = Path("model_repository")
_FROZEN = ConfigDict(frozen=True, extra="forbid")
_MAX_PORT = 65535
_MIN_HEARTBEAT_SECONDS = 0.05
# Who looks at a job sees its steps as of the last report.
_SHOWN_PROGRESS_SECONDS = 0.5
Port = Annotated[int, Field(ge=0, le=_MAX_PORT)]
_HOST_AND_PORT = re.compile(r"([^\s/:\[\]]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_COLLECTOR = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


class GatewaySettings(BaseModel):
    """The HTTP edge."""

    model_config = _FROZEN

    host: str = Field(
        default="127.0.0.1", description="Address to listen on; one that other computers reach needs API keys."
    )
    auth: Literal["auto", "keys", "off"] = Field(
        default="auto",
        description="`keys` lets in only callers with an API key (`xmdpt-serve keys create`), `off` everybody; `auto` "
        "is `keys` as soon as there is one at the start, and else serves this computer alone.",
    )
    docs: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether /docs shows the API as a page to try it on; `auto`: where this computer alone is served, "
        "without keys.",
    )
    pages: Literal["on", "off"] = Field(
        default="on",
        description="Whether /playground and /status are served; they hold nothing of anybody and ask for an API key.",
    )
    port: Port = Field(default=8080, description="Port of the API; 0 takes a free one and logs it.")
    max_body_bytes: int = Field(
        default=12_000_000, ge=1_000, le=100_000_000, description="Longest request body, bytes."
    )
    max_picture_bytes: int = Field(
        default=8_000_000, ge=1_000, le=50_000_000, description="Largest picture file, bytes."
    )
    max_side_px: int = Field(default=4096, ge=16, le=16384, description="Longest side of a picture, px.")
    max_pixels: int = Field(default=16_800_000, ge=256, le=89_000_000, description="Most pixels of a picture.")
    decoders: int = Field(
        default=2, ge=1, le=64, description="Processes that decode pictures; one picture in each at one time."
    )
    pose_processes: int = Field(
        default=1,
        ge=0,
        le=16,
        description="Processes that find the person in a photo, for poses taken from photos and for `crop`; they start "
        "with the first such photo, 0.15 GB each. 0: such requests are refused.",
    )
    max_wait_seconds: int = Field(
        default=60, ge=0, le=600, description="Longest time a call may wait for its job, seconds."
    )
    default_wait_seconds: int = Field(
        default=20, ge=0, le=600, description="How long a call waits that does not say, seconds."
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        le=600,
        description="After SIGTERM: time for answers in flight, seconds; calls that still wait then are told where "
        "their job is.",
    )
    max_connections: int = Field(
        default=1000, ge=1, le=100_000, description="Connections at one time; more are refused."
    )
    max_event_streams: int = Field(
        default=500, ge=1, le=100_000, description="Clients that follow a job at one time; more are refused."
    )
    hosts: str = Field(
        default="",
        description="Names and addresses that requests, those of probes too, may give as `Host`, such as "
        "`api.example.org,127.0.0.1`. Empty: any.",
    )

    @property
    def host_names(self) -> frozenset[str]:
        """`hosts` one by one."""
        return frozenset(name.strip().lower() for name in self.hosts.split(",") if name.strip())


class WorkerSettings(BaseModel):
    """The engine."""

    model_config = _FROZEN

    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="Who this worker is across its restarts, such as its pod's name; up to 100 letters, digits, dots, "
        "dashes and underscores. At its start, the jobs of an earlier process of that name wait again at once, not "
        "when their leases run out. No two workers that live may share it. Empty: nobody's successor; `xmdpt-serve "
        "all` names its worker by itself.",
    )
    ops_host: str = Field(default="127.0.0.1", description="Address of the worker's health and metrics port.")
    ops_port: Port = Field(
        default=8082, description="Port of the worker's /livez, /readyz and /metrics; 0 takes a free one."
    )
    execution: Literal["auto", "stepwise", "whole_loop"] = Field(
        default="auto",
        description="`stepwise` makes one backend call a denoising step, which jobs of any steps share; `whole_loop` "
        "one for all steps, which jobs of equal steps share: for a backend whose calls cost much next to a step. "
        "`auto` measures at the start which is faster; `xmdpt-serve calibrate` shows the figures.",
    )
    max_batch: int = Field(
        default=16,
        ge=1,
        le=64,
        description="Most rows of one backend call; fewer if more bring nothing or don't fit. Where calls have fixed "
        "sizes, on a GPU powers of two, the next one below counts: 12 means 8.",
    )
    max_slots: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Most pictures in flight in one worker, but that an empty one takes a job of any number; 0 follows "
        "from what the start measures. With `whole_loop` let it be several batches, so that jobs of equal steps meet.",
    )
    calibration_seconds: float = Field(
        default=2.0,
        ge=0.1,
        le=600,
        description="How long the start may measure steps, seconds; two batch sizes are timed whatever that takes.",
    )
    num_threads: int = Field(
        default=0, ge=0, le=256, description="Threads of one graph run; 0 takes the physical cores."
    )
    provider: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="What ONNX Runtime runs graphs on in this process. `auto`: CUDA where it loads, else the CPU; "
        "`cuda` refuses to start without it.",
    )
    heartbeat_seconds: float = Field(
        default=0.0,
        ge=0,
        le=30,
        description="Time between reports to the queue, seconds, above 0.05; 0 is a quarter of the lease, at most 0.5.",
    )
    drain_seconds: float = Field(
        default=25.0, ge=0, le=600, description="After SIGTERM: time to finish or hand back, seconds."
    )
    provenance: bool = Field(
        default=True,
        description="Write into each picture's file that it is generated, by which version, seed and model.",
    )

    @property
    def fixed_execution(self) -> Execution | None:
        """None if it is to be measured."""
        return None if self.execution == "auto" else Execution(self.execution)

    @field_validator("heartbeat_seconds")
    @classmethod
    def _check_heartbeat(cls, seconds: float) -> float:
        if 0 < seconds <= _MIN_HEARTBEAT_SECONDS:
            raise ValueError(f"{seconds:g} must be above {_MIN_HEARTBEAT_SECONDS}, or 0 for a quarter of the lease")
        return seconds


class TritonSettings(BaseModel):
    """The Triton server, with `XMDPT_BACKEND=triton`."""

    model_config = _FROZEN

    url: str = Field(default="", description="`host:port` of its gRPC endpoint, such as `127.0.0.1:8001`.")
    timeout_seconds: float = Field(
        default=20.0,
        ge=0.1,
        le=3600,
        description="Longest time of one backend call, seconds; a server that is away for less is waited for.",
    )
    startup_seconds: float = Field(
        default=60.0, ge=0, le=3600, description="How long a start waits for the server and its models, seconds."
    )
    tls: bool = Field(default=False, description="Encrypt, and check the server's certificate.")
    root_certificates: str = Field(
        default="", description="PEM file of who may have signed that certificate. Empty: gRPC's own list."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        match = _HOST_AND_PORT.fullmatch(url)
        if url and not (match and 0 < int(match["port"]) <= _MAX_PORT):
            raise ValueError(f"{url!r} is not host:port, such as 127.0.0.1:8001 or [::1]:8001")
        return url


class SimulatedSettings(BaseModel):
    """No model at all, with `XMDPT_BACKEND=simulated`: for trying queue, engine and limits."""

    model_config = _FROZEN

    step_ms: float = Field(
        default=1.0, ge=0, le=60_000, description="Time of a denoising step but for its rows, milliseconds."
    )
    row_ms: float = Field(default=0.05, ge=0, le=60_000, description="What each row adds to a step, milliseconds.")
    encoder_ms: float = Field(
        default=10.0, ge=0, le=60_000, description="Time of a call of either encoder, milliseconds."
    )
    decoder_ms: float = Field(default=5.0, ge=0, le=60_000, description="Time of a call of the decoder, milliseconds.")
    call_ms: float = Field(
        default=0.0, ge=0, le=60_000, description="What every call costs on top, milliseconds; a whole loop is one."
    )
    variant: Literal["tiny", "demo", "s", "b", "l", "xl"] = Field(
        default="tiny", description="Size of the model that it pretends to be."
    )
    profile_sizes: str = Field(
        default="",
        description="Numbers of rows that a call may have, from 1 and growing, such as `1,2,4,8`. Empty: any.",
    )

    @property
    def sizes(self) -> tuple[int, ...]:
        """`profile_sizes` as numbers."""
        return tuple(int(size) for size in self.profile_sizes.split(",") if self.profile_sizes)

    @field_validator("profile_sizes")
    @classmethod
    def _check_profile_sizes(cls, text: str) -> str:
        sizes = text.split(",")
        are_numbers = all(size.isascii() and size.isdigit() for size in sizes)
        if text and not (are_numbers and sizes[0] == "1" and all(int(a) < int(b) for a, b in pairwise(sizes))):
            raise ValueError(f"{text!r} is not a list of growing numbers from 1, such as 1,2,4,8")
        return text


class QueueSettings(BaseModel):
    """The queue's bounds and times."""

    model_config = _FROZEN

    prefix: str = Field(
        default="{xmdpt}:", min_length=1, max_length=64, description="Prefix of every key; one per model."
    )
    lease_seconds: float = Field(
        default=15.0, ge=0.2, le=600, description="How long a silent worker keeps its jobs, seconds."
    )
    max_live: int = Field(
        default=2000, ge=1, le=1_000_000, description="Jobs accepted and not ended; more are refused."
    )
    max_live_per_tenant: int = Field(
        default=500, ge=1, le=1_000_000, description="Of these, most of one tenant; more are refused."
    )
    max_vectors: int = Field(
        default=10_000,
        ge=0,
        le=1_000_000,
        description="Vectors of photos and poses that are kept for the next job with the same picture.",
    )
    max_pictures_per_tenant: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Sources and poses that a tenant may keep for later jobs, 200 kB of disk each; more are refused.",
    )
    max_deliveries: int = Field(default=5, ge=1, le=100, description="Times a job is handed out before it fails.")
    max_failures: int = Field(default=3, ge=1, le=100, description="Times a job may raise before it fails.")
    stall_timeout_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        description="Longest time without progress, seconds; a `whole_loop` shows none before its end.",
    )
    retention_seconds: int = Field(
        default=DEFAULT_RETENTION_SECONDS,
        ge=MIN_RETENTION_SECONDS,
        le=MAX_RETENTION_SECONDS,
        description="How long a picture is kept whose request does not say, seconds.",
    )
    allow_unsafe_server: bool = Field(
        default=False,
        description="Start on a Redis that may evict keys or has no append-only file: accepted jobs may be lost.",
    )


class TracingSettings(BaseModel):
    """Traces for an OpenTelemetry collector."""

    model_config = _FROZEN

    endpoint: str = Field(
        default="",
        description="Address of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; spans go to "
        "`/v1/traces` below it. Empty: nothing is traced.",
    )
    sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the traces that begin here which are recorded; a caller's `traceparent` says so itself.",
    )
    service_name: str = Field(
        default="xmdpt",
        min_length=1,
        max_length=64,
        description="First part of the names under which traces show the processes: `xmdpt-gateway`, `xmdpt-worker`.",
    )

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, url: str) -> str:
        if url and not _COLLECTOR.fullmatch(url):
            # Not repeated here: somebody may have put a password into it.
            raise ValueError("is not an http or https address without user and query, such as http://127.0.0.1:4318")
        return url


class Settings(BaseSettings):
    """Everything that can be configured: `XMDPT_` + name, groups joined by `__`."""

    model_config = SettingsConfigDict(
        env_prefix="XMDPT_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    redis_url: str = Field(
        default="",
        validation_alias="REDIS_URL",
        description="`redis://`, `rediss://` or `unix://` address of Redis >= 7.0.15 or Valkey. "
        "Empty: `xmdpt-serve all` runs its own.",
    )
    model_repository: Path = Field(
        default=DEFAULT_MODEL_REPOSITORY,
        description="Folder of the exported graphs; where there is none of that name, the one that was installed. "
        "The gateway reads `MANIFEST.json` of it alone.",
    )
    backend: Literal["onnx", "triton", "simulated"] = Field(
        default="onnx",
        description="`onnx` runs the graphs in the worker; `triton` in a server, and of the folder above only "
        "`MANIFEST.json` is read; `simulated` waits instead, draws coloured squares and reads nothing.",
    )
    data_dir: Path = Field(
        default=Path(".data"),
        description="Folder of pictures, unless a bucket is named, and of the embedded queue's log.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="`auto` writes JSON unless standard error is a terminal."
    )
    gateway: GatewaySettings = GatewaySettings()
    worker: WorkerSettings = WorkerSettings()
    triton: TritonSettings = TritonSettings()
    simulated: SimulatedSettings = SimulatedSettings()
    queue: QueueSettings = QueueSettings()
    webhooks: WebhookSettings = WebhookSettings()
    pictures: PictureStoreSettings = PictureStoreSettings()
    tracing: TracingSettings = TracingSettings()

    @property
    def heartbeat_seconds(self) -> float:
        """Time between a worker's reports to the queue."""
        return self.worker.heartbeat_seconds or min(_SHOWN_PROGRESS_SECONDS, self.queue.lease_seconds / 4)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.heartbeat_seconds > self.queue.lease_seconds / 4:
            msg = (
                f"XMDPT_WORKER__HEARTBEAT_SECONDS={self.worker.heartbeat_seconds} must be at most a quarter of "
                f"XMDPT_QUEUE__LEASE_SECONDS={self.queue.lease_seconds}, or a healthy worker may lose its jobs"
            )
            raise ValueError(msg)
        if self.queue.stall_timeout_seconds < self.queue.lease_seconds:
            msg = (
                f"XMDPT_QUEUE__STALL_TIMEOUT_SECONDS={self.queue.stall_timeout_seconds} must be at least "
                f"XMDPT_QUEUE__LEASE_SECONDS={self.queue.lease_seconds}"
            )
            raise ValueError(msg)
        if self.gateway.default_wait_seconds > self.gateway.max_wait_seconds:
            msg = "XMDPT_GATEWAY__DEFAULT_WAIT_SECONDS must be at most XMDPT_GATEWAY__MAX_WAIT_SECONDS"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_triton(self) -> Self:
        if self.triton.root_certificates and not self.triton.tls:
            raise ValueError("XMDPT_TRITON__ROOT_CERTIFICATES needs XMDPT_TRITON__TLS=true")
        if self.backend == "triton":
            if not self.triton.url:
                raise ValueError("XMDPT_BACKEND=triton needs XMDPT_TRITON__URL, such as 127.0.0.1:8001")
            if self.triton.timeout_seconds + PROBE_SECONDS >= self.queue.stall_timeout_seconds:
                msg = (
                    f"XMDPT_TRITON__TIMEOUT_SECONDS={self.triton.timeout_seconds} must be more than "
                    f"{PROBE_SECONDS:g} s below "
                    f"XMDPT_QUEUE__STALL_TIMEOUT_SECONDS={self.queue.stall_timeout_seconds}, or jobs are taken away "
                    "before a call has failed"
                )
                raise ValueError(msg)
        return self


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: a value is missing, unknown or out of range; one line names each variable and its limit.
    """
    mistakes = [f"{name}: there is no such setting" for name in sorted(os.environ) if _is_unknown(name)]
    if not mistakes:
        try:
            return Settings()
        except ValidationError as error:
            mistakes = [f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors()]
    raise ConfigurationError(f"{'; '.join(mistakes)} (docs/configuration.md lists every setting)")


def _is_unknown(name: str) -> bool:
    """A variable of our prefix that no field reads: pydantic overlooks these at the top level."""
    first, *rest = name.removeprefix(PREFIX).lower().split("__")
    field = Settings.model_fields.get(first)
    if field is None or field.validation_alias:
        return name.startswith(PREFIX)
    return bool(rest) != isinstance(field.default, BaseModel)


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable behind a pydantic error location."""
    names = [str(part) for part in location]
    if not names:
        return "settings"
    return names[0] if names[0] == "REDIS_URL" else PREFIX + "__".join(names).upper()
