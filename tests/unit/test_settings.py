"""Settings are read from the environment alone, and a mistake names its variable."""

from pathlib import Path
from typing import get_args

import pytest

from service.configuration_page import configuration_page
from service.domain.errors import ConfigurationError
from service.domain.execution import Execution
from service.settings import SimulatedSettings, load_settings
from xmdpt.spec import VARIANTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("XMDPT_GATEWAY__PORT", "no number", "XMDPT_GATEWAY__PORT"),
        ("XMDPT_GATEWAY__PORT", "70000", "65535"),
        ("XMDPT_GATEWAY__PROT", "80", "XMDPT_GATEWAY__PROT"),
        ("XMDPT_NONSENSE", "1", "there is no such setting"),
        ("XMDPT_REDIS_URL", "redis://queue", "there is no such setting"),
        ("XMDPT_LOG_LEVEL__X", "info", "there is no such setting"),
        ("XMDPT_GATEWAY", "{}", "there is no such setting"),
        ("XMDPT_WORKER__EXECUTION", "by step", "'auto', 'stepwise' or 'whole_loop'"),
        ("XMDPT_GATEWAY__DECODERS", "0", "greater than or equal to 1"),
        ("XMDPT_GATEWAY__POSE_PROCESSES", "-1", "greater than or equal to 0"),
        ("XMDPT_GATEWAY__POSE_PROCESSES", "17", "less than or equal to 16"),
        ("XMDPT_BACKEND", "tensorrt", "'onnx', 'triton' or 'simulated'"),
        ("XMDPT_BACKEND", "triton", "XMDPT_TRITON__URL"),
        ("XMDPT_TRITON__URL", "http://triton:8001", "is not host:port"),
        ("XMDPT_TRITON__URL", "triton", "is not host:port"),
        ("XMDPT_TRITON__URL", "triton:", "is not host:port"),
        ("XMDPT_TRITON__URL", "triton:0", "is not host:port"),
        ("XMDPT_TRITON__URL", "triton:65536", "is not host:port"),
        ("XMDPT_TRITON__URL", "::1:8001", "is not host:port"),
        ("XMDPT_TRITON__URL", "triton:8001\n", "is not host:port"),
        ("XMDPT_TRITON__TIMEOUT_SECONDS", "0", "XMDPT_TRITON__TIMEOUT_SECONDS"),
        ("XMDPT_TRITON__ROOT_CERTIFICATES", "roots.pem", "XMDPT_TRITON__TLS"),
        ("XMDPT_WORKER__NAME", "pod:1", "XMDPT_WORKER__NAME"),
        ("XMDPT_WORKER__MAX_BATCH", "0", "XMDPT_WORKER__MAX_BATCH"),
        ("XMDPT_WORKER__MAX_SLOTS", "-1", "XMDPT_WORKER__MAX_SLOTS"),
        ("XMDPT_WORKER__HEARTBEAT_SECONDS", "4", "a quarter of XMDPT_QUEUE__LEASE_SECONDS=15"),
        ("XMDPT_WORKER__HEARTBEAT_SECONDS", "0.05", "must be above 0.05, or 0 for a quarter of the lease"),
        ("XMDPT_SIMULATED__STEP_MS", "-1", "XMDPT_SIMULATED__STEP_MS"),
        ("XMDPT_SIMULATED__VARIANT", "huge", "XMDPT_SIMULATED__VARIANT"),
        ("XMDPT_SIMULATED__PROFILE_SIZES", "2,4", "'2,4' is not a list of growing numbers from 1"),
        ("XMDPT_SIMULATED__PROFILE_SIZES", "1,4,4", "growing numbers"),
        ("XMDPT_SIMULATED__PROFILE_SIZES", "1,two", "growing numbers"),
        ("XMDPT_SIMULATED__PROFILE_SIZES", "1,", "growing numbers"),
        ("XMDPT_QUEUE__MAX_LIVE_PER_TENANT", "0", "XMDPT_QUEUE__MAX_LIVE_PER_TENANT"),
        ("XMDPT_QUEUE__LEASE_SECONDS", "40", "XMDPT_QUEUE__STALL_TIMEOUT_SECONDS"),
        ("XMDPT_GATEWAY__MAX_WAIT_SECONDS", "5", "XMDPT_GATEWAY__DEFAULT_WAIT_SECONDS"),
        ("XMDPT_TRACING__ENDPOINT", "collector:4317", "not an http or https address"),
        ("XMDPT_TRACING__ENDPOINT", "http://", "not an http or https address"),
        ("XMDPT_TRACING__ENDPOINT", "http://collector:4318?key=1", "not an http or https address"),
        ("XMDPT_TRACING__ENDPOINT", "http://me:secret@collector:4318", "not an http or https address"),
        ("XMDPT_TRACING__SAMPLE_RATIO", "1.5", "less than or equal to 1"),
        ("XMDPT_TRACING__SERVICE_NAME", "", "at least 1 character"),
    ],
)
def test_settings_when_wrong_then_the_start_stops_with_the_variable_or_limit(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as error:
        load_settings()

    assert words in error.value.detail
    assert "\n" not in error.value.detail


@pytest.mark.parametrize(
    "url", ["triton:8001", "127.0.0.1:8001", "[::1]:8001", "triton-0.models.svc.cluster.local:65535"]
)
def test_triton_when_only_its_address_is_set_then_that_is_enough(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("XMDPT_BACKEND", "triton")
    monkeypatch.setenv("XMDPT_TRITON__URL", url)

    settings = load_settings()

    assert (settings.backend, settings.triton.url, settings.triton.tls) == ("triton", url, False)


def test_triton_when_a_call_may_outlast_the_patience_with_a_job_then_the_start_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XMDPT_TRITON__TIMEOUT_SECONDS", "28")
    assert load_settings().triton.timeout_seconds == 28, "without Triton it is of no matter"
    monkeypatch.setenv("XMDPT_BACKEND", "triton")
    monkeypatch.setenv("XMDPT_TRITON__URL", "triton:8001")

    with pytest.raises(ConfigurationError, match=r"XMDPT_TRITON__TIMEOUT_SECONDS=28.0 must be more than 2 s below"):
        load_settings()

    monkeypatch.setenv("XMDPT_TRITON__TIMEOUT_SECONDS", "27.9")
    assert load_settings().triton.timeout_seconds == 27.9


@pytest.mark.parametrize(
    ("lease", "heartbeat", "interval"),
    [("15", None, 0.5), ("1", None, 0.25), ("0.2", None, 0.05), ("15", "0.5", 0.5), ("2", "0.5", 0.5)],
)
def test_heartbeat_when_it_is_not_set_then_it_is_a_quarter_of_the_lease_or_soon_enough_to_watch(
    monkeypatch: pytest.MonkeyPatch, lease: str, heartbeat: str | None, interval: float
) -> None:
    monkeypatch.setenv("XMDPT_QUEUE__LEASE_SECONDS", lease)
    if heartbeat:
        monkeypatch.setenv("XMDPT_WORKER__HEARTBEAT_SECONDS", heartbeat)

    assert load_settings().heartbeat_seconds == interval


@pytest.mark.parametrize(
    ("value", "execution"),
    [("auto", None), ("stepwise", Execution.STEPWISE), ("whole_loop", Execution.WHOLE_LOOP)],
)
def test_execution_when_it_is_auto_then_nothing_is_fixed(
    monkeypatch: pytest.MonkeyPatch, value: str, execution: Execution | None
) -> None:
    assert load_settings().worker.fixed_execution is None
    monkeypatch.setenv("XMDPT_WORKER__EXECUTION", value)

    assert load_settings().worker.fixed_execution is execution


@pytest.mark.parametrize(("value", "sizes"), [("", ()), ("1", (1,)), ("1,2,4,8", (1, 2, 4, 8))])
def test_profile_sizes_when_set_then_they_are_numbers(
    monkeypatch: pytest.MonkeyPatch, value: str, sizes: tuple[int, ...]
) -> None:
    monkeypatch.setenv("XMDPT_SIMULATED__PROFILE_SIZES", value)

    assert load_settings().simulated.sizes == sizes


@pytest.mark.parametrize(
    ("value", "names"), [("", set()), ("API.example.org, 127.0.0.1,", {"api.example.org", "127.0.0.1"})]
)
def test_hosts_when_set_then_they_are_names_in_lower_case(
    monkeypatch: pytest.MonkeyPatch, value: str, names: set[str]
) -> None:
    monkeypatch.setenv("XMDPT_GATEWAY__HOSTS", value)

    assert load_settings().gateway.host_names == names


def test_settings_when_one_of_a_group_is_set_then_the_others_keep_their_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XMDPT_GATEWAY__PORT", "9000")
    monkeypatch.setenv("REDIS_URL", "redis://queue:6379")

    settings = load_settings()

    assert (settings.gateway.port, settings.gateway.host) == (9000, "127.0.0.1")
    assert settings.redis_url == "redis://queue:6379"


def test_configuration_page_when_compared_with_the_committed_one_then_equal() -> None:
    committed = (ROOT / "docs/configuration.md").read_text()

    assert committed == configuration_page(), "run `make docs`"


def test_simulated_variants_when_compared_with_the_models_then_equal() -> None:
    assert get_args(SimulatedSettings.model_fields["variant"].annotation) == tuple(VARIANTS)
