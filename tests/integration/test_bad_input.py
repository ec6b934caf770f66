"""The whole corpus against a real gateway: what is unusable costs it little, and it goes on as if nothing had been."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.api.bad_bytes import BYTES, BadBytes
from tests.api.bad_inputs import GOOD_BODY, INPUTS, BadInput
from tests.api.bad_pictures import HARMLESS, PICTURES, harmless_form
from tests.api.bad_poses import POSE_FORMS
from tests.api.test_api_connection import answer
from tests.integration.lone_gateway import LoneGateway, lone_gateway
from tests.integration.processes import command_line, wait_until

MAX_CPU_SECONDS = 2
MAX_GROWTH_BYTES = 300_000_000
# Written into logs and records by whoever would forge them.
TEXTS = {
    "emoji": "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "right-to-left": "\u202e\u05e9\u05dc\u05d5\u05dd",
    "nul": "a\0b",
    "line-ends": 'a\r\n{"event": "serving", "level": "info"}',
    "template": "{{7*7}}${7*7}",
    "format": "%s%n{0}",
    "markup": "<script>alert(1)</script>",
    "commands": "'; FLUSHALL; --",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneGateway]:
    with lone_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        wait_until(lambda: len(gateway.decoders) == 2, 20, "decoders")
        yield gateway
        lines = gateway.log.read_text().splitlines()
        events = [json.loads(line)["event"] for line in lines]
        assert set(events) <= {"serving", "the weights are untrained: every picture is noise until a checkpoint "
                               "replaces them", "decoder_died", "functions"}  # fmt: skip
        assert events.count("decoder_died") == 1, "that of the picture with 30,000 scans"
        assert list(gateway.temporary.iterdir()) == []


@contextmanager
def cheap(gateway: LoneGateway) -> Iterator[None]:
    """What is inside may cost the gateway only so much, and afterwards a good request is taken."""
    cpu_seconds, memory = gateway.cpu_seconds(), gateway.forget_peak()
    yield
    assert gateway.cpu_seconds() - cpu_seconds < MAX_CPU_SECONDS
    assert gateway.peak_bytes() - memory < MAX_GROWTH_BYTES
    # One key for all: the same way into the queue, but one job on the disk.
    good = gateway.client.post("/v1/jobs", json=GOOD_BODY, headers={"Idempotency-Key": "good"})
    assert good.status_code == httpx.codes.ACCEPTED
    assert gateway.process.poll() is None


# The shipped model offers every preset.
CASES = [case for case in [*PICTURES, *INPUTS, *POSE_FORMS] if case.code != "unavailable_preset"]


# First, as a call that waits for its picture is refused once the gateway has seen no worker for a minute.
@pytest.mark.parametrize("case", BYTES, ids=lambda case: case.name)
def test_gateway_when_bytes_are_bad_then_a_problem_says_why_and_the_connection_is_closed(
    gateway: LoneGateway, case: BadBytes
) -> None:
    with cheap(gateway):
        status, headers, code = answer(("127.0.0.1", gateway.port), case.content)

    assert (status, code) == (case.status, case.code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gateway_when_input_is_bad_then_it_costs_little(gateway: LoneGateway, case: BadInput) -> None:
    with cheap(gateway):
        response = gateway.client.post("/v1/jobs", content=case.content, headers=case.headers)

    assert (response.status_code, response.json()["code"]) == (case.status, case.code), response.text


@pytest.mark.parametrize("name", HARMLESS)
def test_gateway_when_a_picture_is_strange_but_good_then_it_costs_little(gateway: LoneGateway, name: str) -> None:
    with cheap(gateway):
        response = gateway.client.post("/v1/jobs", **harmless_form(name))

    assert response.status_code == httpx.codes.ACCEPTED, response.text


@pytest.mark.parametrize("name", TEXTS)
def test_gateway_when_a_text_is_odd_then_it_is_kept_as_it_is(gateway: LoneGateway, name: str) -> None:
    with cheap(gateway):
        made = gateway.client.post("/v1/jobs", json=GOOD_BODY | {"metadata": {"note": TEXTS[name]}})
        refused = gateway.client.post("/v1/jobs", json=GOOD_BODY | {"model": TEXTS[name]})

    assert gateway.client.get(made.headers["location"]).json()["metadata"] == {"note": TEXTS[name]}
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_model")


def test_gateway_when_it_is_killed_then_no_decoder_stays(tmp_path_factory: pytest.TempPathFactory) -> None:
    with lone_gateway(tmp_path_factory.mktemp("killed")) as gateway:
        wait_until(lambda: len(gateway.decoders) == 2, 20, "decoders")
        decoders = gateway.decoders
        assert all("pillow_process" in command_line(pid) for pid in decoders)
        gateway.process.kill()

        wait_until(lambda: not any(command_line(pid) for pid in decoders), 20, "they are gone")
