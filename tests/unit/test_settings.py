"""Settings are read from the environment alone, and a mistake names its variable."""

from pathlib import Path

import pytest

from service.domain.errors import ConfigurationError
from service.settings import configuration_page, load_settings

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
        ("XMDPT_WORKER__EXECUTION", "by step", "'stepwise' or 'whole_loop'"),
        ("XMDPT_BACKEND", "tensorrt", "'onnx' or 'triton'"),
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
        ("XMDPT_WORKER__MAX_SLOTS", "2", "XMDPT_WORKER__MAX_BATCH"),
        ("XMDPT_QUEUE__LEASE_SECONDS", "1", "XMDPT_WORKER__HEARTBEAT_SECONDS"),
        ("XMDPT_QUEUE__LEASE_SECONDS", "40", "XMDPT_QUEUE__STALL_TIMEOUT_SECONDS"),
        ("XMDPT_GATEWAY__MAX_WAIT_SECONDS", "5", "XMDPT_GATEWAY__DEFAULT_WAIT_SECONDS"),
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
