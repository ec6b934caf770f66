"""What `Accept` and `output.format` make of an answer, and which pairs of them contradict each other."""

import hashlib

import httpx
import pytest

from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge


@pytest.mark.parametrize(
    ("accept", "asked", "content_type"),
    [
        ("*/*", None, "image/png"),
        ("image/*", None, "image/png"),
        ("image/webp", None, "image/webp"),
        ("image/jpeg;q=0.5, image/webp;q=0.9", None, "image/webp"),
        ("image/*;q=0.9, image/jpeg", None, "image/jpeg"),
        ("image/avif, image/webp, image/*, */*;q=0.8", None, "image/webp"),
        ("*/*", "jpeg", "image/jpeg"),
        ("image/webp, */*;q=0.1", "jpeg", "image/jpeg"),
        ("application/json", None, "application/json"),
        ("application/json, image/png;q=0.9", None, "application/json"),
        ("image/png;q=0, */*", "png", "application/json"),
        ("text/html, application/json;q=0.1", None, "application/json"),
    ],
)
def test_generate_when_accept_is_given_then_the_best_form_is_answered(
    edge: Edge, accept: str, asked: str | None, content_type: str
) -> None:
    body = GOOD_BODY | ({"output": {"format": asked}} if asked else {})

    response = edge.client.post("/v1/generate", json=body, headers={"Accept": accept})

    assert (response.status_code, response.headers["content-type"]) == (200, content_type), response.text


def test_generate_when_accept_stands_in_two_lines_then_they_are_one_list(edge: Edge) -> None:
    headers = httpx.Headers([("Accept", "image/png;q=0.1"), ("Accept", "image/jpeg")])

    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers=headers)

    assert response.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("accept", "asked"),
    [("text/html", None), ("image/gif", None), ("image/webp", "png"), ("image/png;q=0", "png"), ("*/*;q=0", None)],
)
def test_generate_when_nothing_acceptable_is_left_then_406_and_nothing_is_kept(
    edge: Edge, accept: str, asked: str | None
) -> None:
    body = GOOD_BODY | ({"output": {"format": asked}} if asked else {})

    response = edge.client.post("/v1/generate", json=body, headers={"Accept": accept})

    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert response.headers["content-type"] == "application/problem+json"
    assert edge.intake.jobs == {}
    assert edge.blobs.content == {}


def test_generate_when_json_is_accepted_then_the_job_object_tells_of_the_picture(edge: Edge) -> None:
    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Accept": "application/json"})

    (job_id,) = edge.intake.jobs
    content = edge.blobs.content[f"out/{job_id}.1"]
    job = response.json()
    assert response.headers["content-location"] == f"/v1/jobs/{job_id}"
    assert response.headers["x-xmdpt-job-id"] == job_id
    assert (job["id"], job["object"], job["status"]) == (job_id, "job", "succeeded")
    expected = {
        "model": "tiny",
        "seed": 1,
        "num_images": 1,
        "preset": "exact",
        "steps": 50,
        "guidance": 2.0,
        "sampler": "ddim",
        "format": "png",
        "pose": None,
    }
    assert job["request"] == expected
    assert job["outputs"] == [
        {
            "index": 0,
            "url": f"/v1/jobs/{job_id}/result",
            "content_type": "image/png",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "seed": 1,
            "data": None,
        }
    ]
    assert job["progress"] == {"stage": None, "step": 50, "steps": 50, "ratio": 1.0}
    assert job["timings_ms"] == {"queue": 12.0, "tdnet_step": 250.0, "total": 262.0}
    assert job["engine"] == {"runtime": "fake", "model_digest": "sha256:" + "ab" * 32, "precision": "int8"}
    assert job["cache"] == {"source": "hit", "pose": "miss"}
    assert job["eta"] is None
    assert job["error"] is None


def test_generate_when_quality_is_given_then_it_needs_a_format_that_loses_something(edge: Edge) -> None:
    body = GOOD_BODY | {"output": {"quality": 50}}

    as_png = edge.client.post("/v1/generate", json=body, headers={"Accept": "image/png"})
    as_webp = edge.client.post("/v1/generate", json=body, headers={"Accept": "image/webp"})

    assert (as_png.status_code, as_png.json()["errors"][0]["pointer"]) == (422, "/output/quality")
    assert (as_webp.status_code, as_webp.headers["content-type"]) == (200, "image/webp")
