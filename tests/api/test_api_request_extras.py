"""`retention_s` and `metadata`: within their limits kept, returned, and part of what a repeat says."""

import json
from typing import Any

import pytest

from service.domain.job import DEFAULT_RETENTION_SECONDS
from tests.api.bad_inputs import GOOD_BODY, JSON_POSE, SOURCE, as_form, part
from tests.api.conftest import Edge

KEY = {"Idempotency-Key": "order-17"}
METADATA = {"sku": "A1", "note \N{SNOWMAN}": "{{7*7}}\r\n", "k" * 40: "x" * 500}


@pytest.mark.parametrize(
    ("asked", "kept_seconds"),
    [({}, DEFAULT_RETENTION_SECONDS), ({"retention_s": 60}, 60), ({"retention_s": 86_400}, 86_400)],
)
def test_submit_when_a_retention_is_asked_for_then_the_queue_learns_it(
    edge: Edge, asked: dict[str, int], kept_seconds: int
) -> None:
    fields = [part(name, str(value).encode(), is_file=False) for name, value in asked.items()]

    answers = [
        edge.client.post("/v1/jobs", json=GOOD_BODY | asked),
        edge.client.post("/v1/jobs", **as_form(SOURCE, JSON_POSE, *fields)),
    ]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert [job.retention_seconds for job in edge.intake.accepted] == [kept_seconds] * 2


def test_job_when_it_has_metadata_then_every_object_returns_it(edge: Edge) -> None:
    params = part("params", json.dumps({"metadata": METADATA}).encode(), is_file=False)
    by_json = edge.client.post("/v1/jobs", json=GOOD_BODY | {"metadata": METADATA}).json()
    by_form = edge.client.post("/v1/jobs", **as_form(SOURCE, JSON_POSE, params)).json()
    without = edge.client.post("/v1/jobs", json=GOOD_BODY).json()

    looked = edge.client.get(by_json["urls"]["self"]).json()

    assert [job["metadata"] for job in (by_json, by_form, looked, without)] == [METADATA] * 3 + [{}]


def test_submit_when_metadata_has_its_largest_size_then_it_is_taken(edge: Edge) -> None:
    metadata = {f"{number:040}": "\N{PILE OF POO}" * 500 for number in range(16)}

    response = edge.client.post("/v1/jobs", json=GOOD_BODY | {"metadata": metadata})

    assert (response.status_code, response.json()["metadata"]) == (202, metadata)


@pytest.mark.parametrize("change", [{"retention_s": 61}, {"metadata": {"sku": "A2"}}, {"metadata": {}}])
def test_submit_when_repeated_with_other_extras_then_it_is_another_request(edge: Edge, change: dict[str, Any]) -> None:
    body = GOOD_BODY | {"retention_s": 60, "metadata": {"sku": "A1"}}
    first = edge.client.post("/v1/jobs", json=body, headers=KEY)

    again, other = (edge.client.post("/v1/jobs", json=sent, headers=KEY) for sent in (body, body | change))

    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_submit_when_the_default_retention_is_named_then_it_is_a_repeat(edge: Edge) -> None:
    edge.client.post("/v1/jobs", json=GOOD_BODY, headers=KEY)

    again = edge.client.post("/v1/jobs", json=GOOD_BODY | {"retention_s": DEFAULT_RETENTION_SECONDS}, headers=KEY)

    assert again.headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("metadata", "detail"),
    [
        ({"k" * 100_000: "x"}, "each key: must have at most 40 characters"),
        ({"k" * 100_000: 1}, "must be a valid string"),
        ({"sku": "x" * 501}, "must have at most 500 characters"),
    ],
)
def test_submit_when_metadata_is_at_fault_then_the_limit_is_named_in_few_words(
    edge: Edge, metadata: dict[str, Any], detail: str
) -> None:
    response = edge.client.post("/v1/jobs", json=GOOD_BODY | {"metadata": metadata})

    assert detail in [issue["detail"] for issue in response.json()["errors"]]
    assert len(response.content) < 2000
