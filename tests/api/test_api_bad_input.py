"""Every unusable request is refused by name and leaves nothing behind; what it costs, a process of its own tells."""

import random

import httpx
import pytest

from tests.api import pictures
from tests.api.bad_inputs import GOOD_BODY, INPUTS, JSON_POSE, BadInput, as_form, part
from tests.api.bad_pictures import HARMLESS, PICTURES, harmless_form
from tests.api.bad_poses import POSE_FORMS
from tests.api.conftest import Edge


@pytest.mark.parametrize("case", [*PICTURES, *INPUTS, *POSE_FORMS], ids=lambda case: case.name)
def test_generate_when_input_is_bad_then_problem_names_it_and_nothing_is_kept(edge: Edge, case: BadInput) -> None:
    # A picture that holds a decoder until its time is over takes the longest.
    response = edge.client.post("/v1/generate", content=case.content, headers=case.headers, timeout=120)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (case.status, case.code), response.text
    assert problem["status"] == case.status
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["instance"] == response.headers["x-request-id"]
    pointers = [issue["pointer"] for issue in problem.get("errors", [])]
    assert case.pointer in (pointers or [None])
    assert len(response.content) < 5000
    assert edge.intake.jobs == {}
    assert edge.blobs.content == {}
    assert edge.gateway.metrics.input_rejected.labels(case.code)._value.get() >= 1
    assert edge.client.post("/v1/generate", json=GOOD_BODY).status_code == httpx.codes.OK


def test_generate_when_both_pictures_are_bad_then_the_source_is_named(edge: Edge) -> None:
    bad = pictures.png()[:-20]

    response = edge.client.post("/v1/generate", files={"source": ("a.png", bad), "pose": ("b.png", bad)})

    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert [issue["pointer"] for issue in response.json()["errors"]] == ["/source"]


@pytest.mark.parametrize("name", HARMLESS)
def test_generate_when_a_picture_is_strange_but_good_then_it_is_taken(edge: Edge, name: str) -> None:
    response = edge.client.post("/v1/generate", **harmless_form(name))

    assert response.status_code == httpx.codes.OK, response.text


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_generate_when_a_bit_of_the_picture_flips_then_it_is_taken_or_refused_by_name(edge: Edge, name: str) -> None:
    good, choose = getattr(pictures, name)(), random.Random(7)
    places = [choose.randrange(8 * len(good)) for _ in range(170)]
    seen = set()
    for place in places:
        content = bytearray(good)
        content[place // 8] ^= 1 << place % 8
        response = edge.client.post("/v1/generate", **as_form(part("source", bytes(content)), JSON_POSE))
        seen.add("taken" if response.status_code == httpx.codes.OK else response.json()["code"])

    assert seen <= {"taken", "image_type", "image_invalid", "image_too_large", "image_too_small", "image_animated"}
    assert "image_invalid" in seen
    # Every chunk of a PNG has a checksum.
    assert ("taken" in seen) == (name != "png")
