"""Poses in the forms of other tools, between others, and moved: wherever a pose may stand, they are drawn alike."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from service.domain.inputs import unpack_inputs
from service.domain.pose import KeyPoints, Point
from service.domain.pose_interpolation import between
from service.domain.pose_moves import Moves, moved
from service.gateway.pose_presets import POSE_PRESETS
from service.gateway.poses import draw_pose
from tests.api.bad_inputs import GOOD_BODY, SOURCE, as_form, as_json, part
from tests.api.bad_poses import (
    ANNOTATION,
    COCO,
    COLUMNS,
    HALFWAY,
    OPENPOSE,
    ROW,
    STANDING,
    WALKING,
    a_document,
    a_field,
)
from tests.api.conftest import Edge
from tests.api.test_api_batches import send_lines, submit, until
from tests.fakes.real_queue import QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess

SQUARE = (256.0, 256.0)
POINTS: tuple[Point | None, ...] = tuple((100.0 + 5 * i, 40.0 + 9 * i) for i in range(18))
# COCO's points in our order; the neck is the middle of those that are its shoulders.
COCO_POINTS = tuple(
    (100.0 + 5 * 5.5, 40.0 + 9 * 5.5) if index is None else (100.0 + 5 * index, 40.0 + 9 * index)
    for index in (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
)
DEEPFASHION = KeyPoints(tuple((80.0 + 5 * i, 40.0 + 9 * i) for i in range(18)), (176.0, 256.0), (40.0, 0.0))
MIRRORED = Moves(is_mirrored=True)
ALL_MOVES = {"mirror": True, "fit": {"margin": 0.2}, "scale": 0.9, "shift": [10, -5]}
AFTER_ALL_MOVES = Moves(is_mirrored=True, margin=0.2, scale=0.9, shift=(10, -5))
OF_WALKING = POSE_PRESETS["walking"].key_points
OF_STANDING = POSE_PRESETS["standing"].key_points

# What a client sends as `pose`, and what is to be drawn.
FORMS: dict[str, tuple[dict[str, Any], KeyPoints]] = {
    "openpose": ({"openpose": OPENPOSE}, KeyPoints(POINTS, SQUARE)),
    "openpose with size": (
        {"openpose": OPENPOSE, "size": [300, 200], "origin": [5, 6]},
        KeyPoints(POINTS, (300.0, 200.0), (5.0, 6.0)),
    ),
    "openpose dropped": (OPENPOSE, KeyPoints(POINTS, SQUARE)),
    "openpose person": (OPENPOSE["people"][0] | {"size": [256, 256]}, KeyPoints(POINTS, SQUARE)),
    "openpose dropped and mirrored": (OPENPOSE | {"mirror": True}, moved(KeyPoints(POINTS, SQUARE), MIRRORED)),
    "openpose dropped with all that is written": (
        OPENPOSE | {"part_candidates": [{}], "animals": []}, KeyPoints(POINTS, SQUARE)
    ),
    "coco17": (COCO, KeyPoints(COCO_POINTS, SQUARE)),
    "coco17 annotation": (ANNOTATION | {"size": [256, 256]}, KeyPoints(COCO_POINTS, SQUARE)),
    "coco17 whole body": (
        ANNOTATION | {"size": [256, 256], "score": 0.9, "face_kpts": [], "lefthand_valid": True, "righthand_box": []},
        KeyPoints(COCO_POINTS, SQUARE),
    ),
    "deepfashion": ({"deepfashion": COLUMNS}, DEEPFASHION),
    "deepfashion row": ({"deepfashion": ROW}, DEEPFASHION),
    "deepfashion with size": (
        {"deepfashion": ROW, "size": [256, 256]},
        replace(DEEPFASHION, size=SQUARE, origin=(0.0, 0.0)),
    ),
    "mirror": (WALKING | {"mirror": True}, moved(OF_WALKING, MIRRORED)),
    "mirror off": (WALKING | {"mirror": False, "fit": False, "scale": 1, "shift": [0, 0]}, OF_WALKING),
    "fit": (WALKING | {"fit": True}, moved(OF_WALKING, Moves(margin=0.05))),
    "all moves": (WALKING | ALL_MOVES, moved(OF_WALKING, AFTER_ALL_MOVES)),
    "fit of what lies outside": (
        {"openpose": OPENPOSE, "size": [16, 16], "fit": True},
        moved(KeyPoints(POINTS, (16.0, 16.0)), Moves(margin=0.05)),
    ),
    "between": ({"between": HALFWAY}, between(OF_STANDING, OF_WALKING, 0.5)),
    "between of moved ones, moved": (
        {"between": {"from": OPENPOSE | {"fit": True}, "to": WALKING | ALL_MOVES, "at": 0.25}, "shift": [3, 4]},
        moved(
            between(moved(KeyPoints(POINTS, SQUARE), Moves(margin=0.05)), moved(OF_WALKING, AFTER_ALL_MOVES), 0.25),
            Moves(shift=(3, 4)),
        ),
    ),
}  # fmt: skip
NAMES = list(FORMS)


def skeleton_of_the_job(edge: Edge) -> bytes:
    (job,) = edge.intake.accepted
    return unpack_inputs(edge.blobs.get_input(job.id))[1]


@pytest.fixture
def queue(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url) as edge:
        yield edge


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/jobs"])
@pytest.mark.parametrize("name", NAMES)
def test_job_when_its_pose_has_this_form_then_it_gets_its_skeleton(edge: Edge, name: str, path: str) -> None:
    pose, expected = FORMS[name]

    response = edge.client.post(path, json=GOOD_BODY | {"pose": pose})

    assert response.is_success, response.text
    assert skeleton_of_the_job(edge) == draw_pose(expected)


@pytest.mark.parametrize("name", NAMES)
def test_job_when_the_pose_is_a_file_of_a_form_then_it_gets_its_skeleton(edge: Edge, name: str) -> None:
    pose, expected = FORMS[name]

    response = edge.client.post("/v1/jobs", **as_form(SOURCE, a_document(pose)))

    assert response.is_success, response.text
    assert skeleton_of_the_job(edge) == draw_pose(expected)


@pytest.mark.parametrize("name", NAMES)
def test_upload_when_the_pose_has_this_form_then_its_key_points_are_told(edge: Edge, name: str) -> None:
    pose, expected = FORMS[name]

    stored = edge.client.post("/v1/poses", json=pose)
    same = edge.client.post("/v1/poses", **as_form(a_document(pose)))

    assert (stored.status_code, same.status_code) == (httpx.codes.CREATED, httpx.codes.OK), stored.text + same.text
    points = [None if point is None else list(point) for point in expected.points]
    told = stored.json()
    assert (told["keypoints"], told["size"], told["origin"]) == (points, list(expected.size), list(expected.origin))
    assert same.json()["id"] == told["id"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([a_field("pose_preset", "walking"), a_field("pose_mirror", "true")], moved(OF_WALKING, MIRRORED)),
        ([a_field("pose_preset", "walking"), a_field("pose_mirror", "false")], OF_WALKING),
        ([a_field("pose_fit", "true"), a_document(OPENPOSE)], moved(KeyPoints(POINTS, SQUARE), Moves(margin=0.05))),
        ([a_document(ANNOTATION), a_field("pose_size", "256x256")], KeyPoints(COCO_POINTS, SQUARE)),
        ([part("params", json.dumps({"pose": WALKING}).encode(), is_file=False), a_field("pose_mirror", "true")],
         moved(OF_WALKING, MIRRORED)),
    ],
    ids=["mirror", "no mirror", "fit", "size", "mirror of params"],
)  # fmt: skip
def test_job_when_flat_fields_go_with_the_pose_then_they_hold(
    edge: Edge, fields: list[bytes], expected: KeyPoints
) -> None:
    response = edge.client.post("/v1/jobs", **as_form(SOURCE, *fields))

    assert response.is_success, response.text
    assert skeleton_of_the_job(edge) == draw_pose(expected)


@pytest.mark.parametrize("way", ["items", "lines", "matrix"])
def test_batch_when_its_poses_have_these_forms_then_each_job_gets_its_skeleton(queue: QueueEdge, way: str) -> None:
    source = {"id": queue.client.post("/v1/sources", json=GOOD_BODY["source"]).raise_for_status().json()["id"]}
    poses = [pose for pose, _ in FORMS.values()]
    items = [{"source": source, "pose": pose} for pose in poses]
    if way == "lines":
        batch = send_lines(queue, items).raise_for_status().json()
    else:
        body = {"items": items} if way == "items" else {"matrix": {"sources": [source], "poses": poses}}
        batch = submit(queue, body)

    drawn: dict[int, bytes] = {}
    for _ in FORMS:
        (job,) = until(lambda: queue.leases.claim(1, 0))
        name = queue.client.get(f"/v1/jobs/{job.id}").json()["custom_id"]
        drawn[int(name.rpartition("p")[2] if way == "matrix" else name.rpartition("-")[2])] = unpack_inputs(
            queue.blobs.get_input(job.id)
        )[1]
        queue.succeed(job)

    assert batch["request_counts"]["total"] == len(FORMS)
    assert drawn == {number: draw_pose(expected) for number, (_, expected) in enumerate(FORMS.values())}


def test_batch_when_a_pose_is_no_good_then_its_item_fails_alone(queue: QueueEdge) -> None:
    source = {"id": queue.client.post("/v1/sources", json=GOOD_BODY["source"]).raise_for_status().json()["id"]}
    poses = [WALKING, OPENPOSE | {"people": []}, {"between": HALFWAY | {"to": {"preset": "flying"}}}]
    batch = submit(queue, {"matrix": {"sources": [source], "poses": poses}})
    (job,) = until(lambda: queue.leases.claim(1, 0))
    queue.succeed(job)

    lines = until(lambda: len(found := _lines(queue, batch)) == 3 and found)

    failures = {line["custom_id"]: line["error"] for line in lines if line["status"] == "failed"}
    codes = {name: (error["code"], error["errors"][0]["pointer"]) for name, error in failures.items()}
    assert codes == {
        "s0-p1": ("no_person", "/pose/openpose/people"),
        "s0-p2": ("unknown_preset", "/pose/between/to/preset"),
    }


def _lines(queue: QueueEdge, batch: dict[str, Any]) -> list[dict[str, Any]]:
    text = queue.client.get(batch["urls"]["results"] + "?follow=false").raise_for_status().text
    return [json.loads(line) for line in text.splitlines() if line]


@pytest.mark.parametrize("count", [2, 5, 100])
def test_between_when_asked_for_so_many_then_they_are_the_poses_of_the_way(edge: Edge, count: int) -> None:
    body = {"from": STANDING, "to": WALKING | {"mirror": True}, "count": count}

    answer = edge.client.post("/v1/poses/between", json=body).raise_for_status().json()

    assert (answer["object"], answer["next_cursor"]) == ("list", None)
    assert [pose["at"] for pose in answer["data"]] == pytest.approx([index / (count - 1) for index in range(count)])
    last = moved(OF_WALKING, MIRRORED)
    for pose in answer["data"]:
        expected = between(OF_STANDING, last, pose["at"])
        assert pose["keypoints"] == [None if point is None else list(point) for point in expected.points]
        assert (pose["size"], pose["origin"]) == ([256, 256], [0, 0])
    assert edge.blobs.content == {}


def test_between_when_its_poses_are_sent_then_they_are_what_is_drawn(edge: Edge) -> None:
    answer = edge.client.post("/v1/poses/between", json={"from": STANDING, "to": OPENPOSE, "count": 3}).json()
    pose = {name: value for name, value in answer["data"][1].items() if name != "at"}

    edge.client.post("/v1/jobs", json=GOOD_BODY | {"pose": pose}).raise_for_status()

    assert skeleton_of_the_job(edge) == draw_pose(between(OF_STANDING, KeyPoints(POINTS, SQUARE), 0.5))


GOOD_WAY: dict[str, Any] = {"from": STANDING, "to": WALKING, "count": 8}


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (GOOD_WAY | {"count": 1}, 422, "validation", "/count"),
        (GOOD_WAY | {"count": 101}, 422, "validation", "/count"),
        (GOOD_WAY | {"count": "8"}, 422, "validation", "/count"),
        (GOOD_WAY | {"at": 0.5}, 422, "validation", "/at"),
        ({"from": STANDING, "count": 8}, 422, "validation", "/to"),
        (GOOD_WAY | {"from": {}}, 422, "validation", "/from"),
        (GOOD_WAY | {"from": 7}, 422, "validation", "/from"),
        (GOOD_WAY | {"from": {"id": "pos_" + "0" * 32}}, 422, "validation", "/from/id"),
        (GOOD_WAY | {"to": {"between": HALFWAY}}, 422, "validation", "/to/between"),
        (GOOD_WAY | {"to": {"preset": "flying"}}, 422, "unknown_preset", "/to/preset"),
        (GOOD_WAY | {"to": OPENPOSE | {"people": []}}, 422, "no_person", "/to/openpose/people"),
        (GOOD_WAY | {"to": WALKING | {"scale": 10}}, 422, "pose_out_of_frame", "/to/preset"),
        ([], 422, "validation", ""),
        (None, 422, "validation", ""),
    ],
)
def test_between_when_the_call_is_no_good_then_the_field_is_named(
    edge: Edge, body: Any, status: int, code: str, pointer: str
) -> None:
    problem = edge.client.post("/v1/poses/between", **as_json(json.dumps(body).encode())).json()

    assert (problem["status"], problem["code"], problem["errors"][0]["pointer"]) == (status, code, pointer)


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (as_form(a_field("count", "3")), 415, "media_type"),
        ({"content": b"{}"}, 415, "media_type"),
        (as_json(b"{"), 400, "malformed_request"),
        (as_json(b'{"from": "' + b"x" * 300_000 + b'"}'), 413, "body_too_large"),
        (as_json(b" " * 12_000_001), 413, "body_too_large"),
    ],
    ids=["form", "no type", "cut", "300 kB", "12 MB"],
)
def test_between_when_the_body_cannot_be_read_then_it_says_why(
    edge: Edge, sent: dict[str, Any], status: int, code: str
) -> None:
    problem = edge.client.post("/v1/poses/between", **sent).json()

    assert (problem["status"], problem["code"]) == (status, code)
