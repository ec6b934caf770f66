"""A request's webhook: taken with what it wants to be told, or refused with the rule that it breaks."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.domain.webhook import DEFAULT_EVENTS, Webhook, WebhookEvent
from service.gateway.receivers import Receivers
from tests.api.bad_inputs import GOOD_BODY, GOOD_PNG
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.running_gateway import running_gateway
from tests.fakes.scripted_names import ScriptedNames

URL = "https://hooks.example/xmdpt"
PUBLIC = ["93.184.216.34", "2606:4700::1111"]


class Edge:
    """A gateway whose names are scripted."""

    def __init__(self, client: httpx.Client, intake: FakeIntake, names: ScriptedNames) -> None:
        self.client, self.intake, self.names = client, intake, names

    def submit(self, webhook: Any, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/jobs", json=GOOD_BODY | {"webhook": webhook} | fields)

    def refusal(self, webhook: Any, **fields: Any) -> tuple[str, str, str]:
        """Code, pointer and detail; nothing is kept."""
        num_accepted = len(self.intake.accepted)
        answer = self.submit(webhook, **fields)
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY, answer.text
        assert len(self.intake.accepted) == num_accepted
        problem = answer.json()
        return problem["code"], problem["errors"][0]["pointer"], problem["detail"]


def _edge(*, is_development: bool) -> Iterator[Edge]:
    intake, names = FakeIntake(), ScriptedNames(PUBLIC)
    receivers = Receivers(names, is_development=is_development)
    with running_gateway(intake, MemoryBlobs(), receivers=receivers) as gateway:
        yield Edge(gateway.client, intake, names)


@pytest.fixture(scope="module")
def _served() -> Iterator[Edge]:
    yield from _edge(is_development=False)


@pytest.fixture
def edge(_served: Edge) -> Edge:
    _served.names.answers[:], _served.names.asked[:] = [PUBLIC], []
    return _served


@pytest.fixture(scope="module")
def development() -> Iterator[Edge]:
    yield from _edge(is_development=True)


def test_webhook_when_its_address_is_public_then_it_is_part_of_the_job(edge: Edge) -> None:
    assert edge.submit({"url": URL}).status_code == httpx.codes.ACCEPTED
    assert edge.intake.accepted[-1].webhook == Webhook(URL, DEFAULT_EVENTS)
    events = [event.value for event in WebhookEvent]
    assert edge.submit({"url": URL, "events": events}).status_code == httpx.codes.ACCEPTED
    assert edge.intake.accepted[-1].webhook == Webhook(URL, tuple(WebhookEvent))
    assert edge.names.asked == [("hooks.example", 443)] * 2
    assert edge.submit(None).status_code == httpx.codes.ACCEPTED
    assert edge.intake.accepted[-1].webhook is None


def test_webhook_when_it_comes_in_a_form_then_as_part_of_params(edge: Edge) -> None:
    files = {"source": ("a.png", GOOD_PNG), "pose": ("p.json", json.dumps(GOOD_BODY["pose"]), "application/json")}
    params = json.dumps({"webhook": {"url": URL, "events": ["job.started"]}})

    answer = edge.client.post("/v1/jobs", files=files, data={"params": params})

    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    assert edge.intake.accepted[-1].webhook == Webhook(URL, (WebhookEvent.JOB_STARTED,))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hooks.example",
            "http://hooks.example/",
            "http://127.0.0.1/",
            "ftp://hooks.example/",
            "file:///etc/passwd",
        ),
        *("https://user@hooks.example/", "https://hooks.example:9000/", "https:///", "https://hooks.example/#a"),
        *("https://127.1/", "https://0x7f.1/", "https://2130706433/", "https://127\u30020\u30020\u30021/"),
        *("https://hooks.example/\u00e9", "https://hooks.example/\r\nX: y", "https://" + "a" * 2041),
    ],
)
def test_webhook_when_its_address_breaks_a_rule_of_form_then_no_name_is_asked_for(edge: Edge, url: str) -> None:
    code, pointer, _ = edge.refusal({"url": url})

    assert (code, pointer) == ("webhook_url", "/webhook/url")
    assert edge.names.asked == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["::1", "93.184.216.34"],
        ["169.254.169.254"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["2001:0:808:808::80ff:fffe"],
        [],
    ],
)
def test_webhook_when_any_address_of_its_name_is_not_public_then_it_is_refused_and_none_is_told(
    edge: Edge, addresses: list[str]
) -> None:
    edge.names.answers[:] = [addresses]

    code, pointer, detail = edge.refusal({"url": URL})

    assert (code, pointer) == ("webhook_url", "/webhook/url")
    assert not any(address in detail for address in addresses)


def test_webhook_when_its_name_cannot_be_looked_up_now_then_that_is_told_and_the_same_call_is_taken_later(
    edge: Edge,
) -> None:
    edge.names.answers[:] = [None, PUBLIC]
    num_accepted = len(edge.intake.accepted)

    answer = edge.submit({"url": URL})

    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    problem = answer.json()
    assert (problem["code"], problem["retryable"]) == ("overloaded", True)
    assert "can't be looked up at present; nothing was kept" in problem["detail"]
    assert answer.headers["Retry-After"] == "5"
    assert len(edge.intake.accepted) == num_accepted
    assert edge.submit({"url": URL}).status_code == httpx.codes.ACCEPTED


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({}, "/webhook/url"),
        ([], "/webhook"),
        ("https://hooks.example/", "/webhook"),
        ({"url": 7}, "/webhook/url"),
        ({"url": URL, "events": []}, "/webhook/events"),
        ({"url": URL, "events": ["job.queued"]}, "/webhook/events/0"),
        ({"url": URL, "events": "job.started"}, "/webhook/events"),
        ({"url": URL, "events": ["job.started"] * 6}, "/webhook/events"),
        ({"url": URL, "secret": "x"}, "/webhook/secret"),
    ],
)
def test_webhook_when_a_field_is_wrong_then_it_is_named(edge: Edge, webhook: Any, pointer: str) -> None:
    assert edge.refusal(webhook)[:2] == ("validation", pointer)


def test_webhook_when_the_metadata_would_not_fit_into_a_call_then_it_is_refused(edge: Edge) -> None:
    long = {str(number): "\U0001f642" * 500 for number in range(8)}

    assert edge.refusal({"url": URL}, metadata=long)[:2] == ("validation", "/metadata")
    assert edge.submit(None, metadata=long).status_code == httpx.codes.ACCEPTED


def test_webhook_when_this_is_development_then_this_computer_may_be_named(development: Edge) -> None:
    for url in ("http://127.0.0.1:9000/hook", "http://[::1]/"):
        assert development.submit({"url": url}).status_code == httpx.codes.ACCEPTED
    for url in ("http://localhost:9000/", "http://10.0.0.1/", "https://hooks.example:9000/"):
        assert development.refusal({"url": url})[:2] == ("webhook_url", "/webhook/url")
    assert development.names.asked == []


def test_idempotency_key_when_the_webhook_differs_then_it_is_another_request(edge: Edge) -> None:
    def status(webhook: Any) -> int:
        body = GOOD_BODY | {"webhook": webhook, "seed": 5}
        return edge.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "webhook"}).status_code

    assert [status({"url": URL}), status({"url": URL, "events": [*DEFAULT_EVENTS]})] == [202, 202]
    assert [status({"url": URL + "2"}), status({"url": URL, "events": ["job.started"]}), status(None)] == [422] * 3


def test_webhook_when_the_deployment_calls_nobody_then_it_is_refused() -> None:
    intake = FakeIntake()
    with running_gateway(intake, MemoryBlobs()) as gateway:
        answer = gateway.client.post("/v1/jobs", json=GOOD_BODY | {"webhook": {"url": URL}})

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["pointer"] == "/webhook"
