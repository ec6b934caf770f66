"""Poses that have names: their list, their pictures, and jobs that ask for them."""

import io
import re

import httpx
import numpy as np
import pytest
from PIL import Image

from service.domain.inputs import unpack_inputs
from service.gateway.pose_presets import POSE_PRESETS
from tests.api.bad_inputs import GOOD_BODY, SKELETON, SOURCE, as_form, as_json, part
from tests.api.conftest import Edge
from xmdpt.persons.render import render_pair

# Where the key points come from: the first picture of the person of this seed.
SEEDS = {
    "standing": 1071,
    "three_quarter": 1037,
    "hand_on_hip": 1067,
    "hand_at_chin": 1070,
    "arms_raised": 1055,
    "sitting": 1045,
    "foot_on_step": 1018,
    "walking": 1046,
    "walking_to_the_front": 1050,
    "striding": 1042,
    "side": 1056,
    "back": 1039,
    "back_hands_on_hips": 1014,
}


def skeleton_of_the_job(edge: Edge) -> bytes:
    (job,) = edge.intake.accepted
    return unpack_inputs(edge.blobs.get_input(job.id))[1]


def a_preset(name: str) -> bytes:
    return part("pose_preset", name.encode(), is_file=False)


def test_list_when_read_then_each_preset_has_key_points_and_a_picture_of_them(edge: Edge) -> None:
    found = edge.client.get("/v1/poses/presets").json()

    assert (found["object"], found["next_cursor"]) == ("list", None)
    assert [preset["name"] for preset in found["data"]] == list(SEEDS)
    for preset in found["data"]:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", preset["name"])
        picture = edge.client.get(preset["image"])
        assert picture.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(picture.content)) as image:
            assert np.asarray(image).tobytes() == POSE_PRESETS[preset["name"]].skeleton
        body = GOOD_BODY | {"pose": {name: preset[name] for name in ("keypoints", "size", "origin")}}
        edge.intake.clear()
        assert edge.client.post("/v1/jobs", json=body).status_code == httpx.codes.ACCEPTED
        assert skeleton_of_the_job(edge) == POSE_PRESETS[preset["name"]].skeleton, "the key points are another pose"


@pytest.mark.parametrize("name", SEEDS)
def test_preset_when_compared_with_its_person_then_the_key_points_are_that_persons(name: str) -> None:
    view = render_pair(SEEDS[name], num_views=1).views[0]

    points = POSE_PRESETS[name].key_points.points

    assert [point is not None for point in points] == view.visible.tolist()
    seen = np.array([point for point in points if point is not None])
    assert np.abs(seen - view.key_points[view.visible]).max() <= 0.051


def test_presets_when_compared_then_no_two_are_alike() -> None:
    assert len({preset.skeleton for preset in POSE_PRESETS.values()}) == len(SEEDS)


@pytest.mark.parametrize(
    "request_body",
    [as_json(GOOD_BODY | {"pose": {"preset": "back"}}), as_form(SOURCE, a_preset("back"))],
    ids=["json", "form"],
)
def test_job_when_it_names_a_preset_then_it_gets_its_skeleton(edge: Edge, request_body: dict) -> None:
    response = edge.client.post("/v1/jobs", **request_body)

    assert response.status_code == httpx.codes.ACCEPTED, response.text
    assert skeleton_of_the_job(edge) == POSE_PRESETS["back"].skeleton


@pytest.mark.parametrize(
    ("request_body", "code", "pointer"),
    [
        (as_json(GOOD_BODY | {"pose": {"preset": "flying"}}), "unknown_preset", "/pose/preset"),
        (as_json(GOOD_BODY | {"pose": {"preset": ""}}), "unknown_preset", "/pose/preset"),
        (as_json(GOOD_BODY | {"pose": {"preset": 7}}), "validation", "/pose/preset"),
        (as_json(GOOD_BODY | {"pose": {"preset": "x" * 65}}), "validation", "/pose/preset"),
        (as_json(GOOD_BODY | {"pose": GOOD_BODY["pose"] | {"preset": "back"}}), "validation", "/pose"),
        (as_json(GOOD_BODY | {"pose": {"preset": "back", "size": [256, 256]}}), "validation", "/pose"),
        (as_form(SOURCE, a_preset("flying")), "unknown_preset", "/pose/preset"),
        (as_form(SOURCE, SKELETON, a_preset("back")), "validation", "/pose"),
    ],
    ids=["absent", "empty", "number", "long", "and key points", "and size", "absent in a form", "and a picture"],
)
def test_preset_when_it_is_unusable_then_it_is_named(edge: Edge, request_body: dict, code: str, pointer: str) -> None:
    problem = edge.client.post("/v1/jobs", **request_body).json()

    assert (problem["status"], problem["code"], problem["errors"][0]["pointer"]) == (422, code, pointer)
    if code == "unknown_preset":
        assert "walking" in problem["detail"]
    assert edge.intake.accepted == []


@pytest.mark.parametrize("name", ["flying", "..", "%2e%2e", "STANDING", "x" * 5000])
def test_picture_when_there_is_no_such_preset_then_404(edge: Edge, name: str) -> None:
    assert edge.client.get(f"/v1/poses/presets/{name}/image").json()["code"] == "not_found"
