"""Sources and poses that are uploaded once: their routes over a real queue, and jobs that name them."""

import base64
import hashlib
import io
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.adapters.redis_keys import RedisKeys
from service.adapters.redis_vectors import RedisVectorCache
from service.domain.digest import vector_key
from service.domain.inputs import unpack_inputs
from service.gateway.pose_presets import POSE_PRESETS
from service.ports.vectors import VectorWish
from tests.api import pictures
from tests.api.bad_inputs import GOOD_BODY, GOOD_PNG, JSON_POSE, POSE, SKELETON, SOURCE, as_form, as_json, part
from tests.fakes.real_queue import QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess
from tests.fakes.running_gateway import MODEL

WEEK_SECONDS = 7 * 86_400
MAX_PICTURES = 4


@pytest.fixture
def edge(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url, max_pictures=MAX_PICTURES) as edge:
        yield edge


def in_json(content: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(content).decode()}


def upload(edge: QueueEdge, kind: str = "source", body: dict[str, Any] | None = None) -> dict[str, Any]:
    response = edge.client.post(f"/v1/{kind}s", json=body or GOOD_BODY[kind])
    return response.raise_for_status().json()


def inputs_of_the_job(edge: QueueEdge, job: dict[str, Any]) -> tuple[bytes, bytes]:
    return unpack_inputs(edge.blobs.get_input(job["id"]))


def stored(edge: QueueEdge) -> set[str]:
    """Pictures of the library of which there are pixels."""
    return {name.removeprefix("lib/") for name in edge.blobs.content if name.startswith("lib/")}


def seconds_between(picture: dict[str, Any]) -> float:
    first, last = (datetime.fromisoformat(picture[name]) for name in ("created_at", "expires_at"))
    return (last - first).total_seconds()


@pytest.mark.parametrize(
    "sent",
    [as_json(in_json(pictures.jpeg(90, 120))), as_form(part("source", pictures.jpeg(90, 120)))],
    ids=["json", "form"],
)
def test_source_when_uploaded_then_it_is_told_and_found_again(edge: QueueEdge, sent: dict[str, Any]) -> None:
    response = edge.client.post("/v1/sources", **sent)

    picture = response.json()
    assert response.status_code == httpx.codes.CREATED, response.text
    assert response.headers["location"] == f"/v1/sources/{picture['id']}"
    assert (picture["object"], picture["width"], picture["height"]) == ("source", 90, 120)
    pixels = edge.blobs.get_picture(picture["id"])
    assert picture["sha256"] == hashlib.sha256(pixels).hexdigest()
    assert seconds_between(picture) == WEEK_SECONDS
    looked = edge.client.get(response.headers["location"])
    assert (looked.status_code, looked.json() | {"expires_at": ""}) == (200, picture | {"expires_at": ""})


POSES = {
    "key points": (as_json(POSE), [list(map(float, point)) for point in POSE["keypoints"]]),
    "key points in a form": (as_form(JSON_POSE), [list(map(float, point)) for point in POSE["keypoints"]]),
    "preset": (as_json({"preset": "back"}), [p and list(p) for p in POSE_PRESETS["back"].key_points.points]),
    "preset in a form": (
        as_form(part("pose_preset", b"back", is_file=False)),
        [p and list(p) for p in POSE_PRESETS["back"].key_points.points],
    ),
    "drawing": (as_json({"skeleton": in_json(GOOD_PNG)}), None),
    "drawing in a form": (as_form(SKELETON), None),
}


@pytest.mark.parametrize(("sent", "key_points"), POSES.values(), ids=POSES)
def test_pose_when_uploaded_then_it_is_told_drawn_and_found_again(
    edge: QueueEdge, sent: dict[str, Any], key_points: list[Any] | None
) -> None:
    response = edge.client.post("/v1/poses", **sent)

    pose = response.json()
    assert response.status_code == httpx.codes.CREATED, response.text
    assert response.headers["location"] == f"/v1/poses/{pose['id']}"
    assert (pose["object"], pose["width"], pose["height"]) == ("pose", 256, 256)
    assert pose["keypoints"] == key_points
    assert pose["size"] == ([256, 256] if key_points else None)
    assert pose["origin"] == ([0, 0] if key_points else None)
    image = edge.client.get(pose["image"])
    with Image.open(io.BytesIO(image.content)) as drawn:
        assert np.asarray(drawn).tobytes() == edge.blobs.get_picture(pose["id"])
    looked = edge.client.get(response.headers["location"]).json()
    assert looked | {"expires_at": ""} == pose | {"expires_at": ""}


def test_pose_when_its_key_points_are_sent_again_then_it_is_the_same_pose(edge: QueueEdge) -> None:
    body = POSE | {"size": [300, 400], "origin": [-10.5, 3]}
    first = upload(edge, "pose", body)

    again = edge.client.post("/v1/poses", json={name: first[name] for name in ("keypoints", "size", "origin")})

    assert (again.status_code, again.json()["id"]) == (200, first["id"])


@pytest.mark.parametrize("kind", ["source", "pose"])
def test_upload_when_repeated_then_the_same_id_and_no_second_file(edge: QueueEdge, kind: str) -> None:
    first = upload(edge, kind)

    again = edge.client.post(f"/v1/{kind}s", json=GOOD_BODY[kind])

    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert "location" not in again.headers
    assert stored(edge) == {first["id"]}


def test_image_when_the_caller_has_it_then_304_and_it_may_be_kept(edge: QueueEdge) -> None:
    url = upload(edge, "pose")["image"]

    first = edge.client.get(url)
    again = edge.client.get(url, headers={"If-None-Match": first.headers["etag"]})
    other = edge.client.get(url, headers={"If-None-Match": '"sha256-0"'})

    assert first.headers["content-type"] == "image/png"
    assert first.headers["etag"] == f'"sha256-{hashlib.sha256(first.content).hexdigest()}"'
    assert first.headers["cache-control"] in {
        f"private, max-age={WEEK_SECONDS - late}, immutable" for late in range(60)
    }
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("kind", ["source", "pose"])
def test_picture_when_deleted_then_nothing_of_it_is_left(edge: QueueEdge, kind: str) -> None:
    url = f"/v1/{kind}s/{upload(edge, kind)['id']}"

    assert [edge.client.delete(url).status_code for _ in range(2)] == [204, 404]

    assert edge.client.get(url).json()["code"] == "not_found"
    assert stored(edge) == set()
    assert not list(edge.redis.scan_iter("*picture:*"))
    assert edge.client.post(f"/v1/{kind}s", json=GOOD_BODY[kind]).status_code == httpx.codes.CREATED


@pytest.mark.parametrize("path", ["sources/{pose}", "poses/{source}", "poses/{source}/image", "sources/src_0"])
def test_picture_when_its_address_is_of_no_such_kind_then_404(edge: QueueEdge, path: str) -> None:
    names = {kind: upload(edge, kind)["id"] for kind in ("source", "pose")}

    for method in ("GET",) if "image" in path else ("GET", "DELETE"):
        assert edge.client.request(method, f"/v1/{path.format(**names)}").json()["code"] == "not_found"
    assert stored(edge) == set(names.values())


def test_upload_when_there_are_too_many_then_429_says_so_and_nothing_is_kept(edge: QueueEdge) -> None:
    kept = [upload(edge, body=in_json(pictures.png(seed=number))) for number in range(MAX_PICTURES)]

    refused = edge.client.post("/v1/poses", json=POSE)

    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exhausted")
    assert refused.json()["retryable"]
    assert int(refused.headers["retry-after"]) == WEEK_SECONDS
    assert stored(edge) == {picture["id"] for picture in kept}
    assert upload(edge, body=in_json(pictures.png(seed=0)))["id"] == kept[0]["id"], "it is there already"
    edge.client.delete(f"/v1/sources/{kept[0]['id']}")
    assert upload(edge, "pose")


def test_picture_when_its_vector_is_known_then_it_is_ready(edge: QueueEdge) -> None:
    before = {kind: upload(edge, kind) for kind in ("source", "pose")}
    assert [picture["vector"] for picture in before.values()] == ["pending", "pending"]

    edge.redis.set(RedisKeys().vector(vector_key("source", f"sha256:{before['source']['sha256']}", MODEL.digest)), "v")

    assert [upload(edge, kind)["vector"] for kind in ("source", "pose")] == ["ready", "pending"]
    assert edge.client.get(f"/v1/sources/{before['source']['id']}").json()["vector"] == "ready"


@pytest.mark.parametrize("kind", ["source", "pose"])
def test_upload_when_it_is_to_be_warm_then_it_waits_until_a_worker_has_made_the_vector(
    edge: QueueEdge, server: RedisProcess, kind: str
) -> None:
    cache = RedisVectorCache(server.url, RedisKeys(), vector_size=4, max_entries=10, lock_seconds=60)

    def work() -> VectorWish:
        give_up_at = time.monotonic() + 20
        while (wish := cache.take_wish()) is None:
            assert time.monotonic() < give_up_at, "nothing was wished for"
        cache.put(vector_key(wish.kind, wish.digest, MODEL.digest), np.zeros(4, np.float32))
        return wish

    with closing(cache), ThreadPoolExecutor(1) as pool:
        wished = pool.submit(work)
        response = edge.client.post(f"/v1/{kind}s?warm=true", json=GOOD_BODY[kind])

    assert (response.status_code, response.json()["vector"]) == (201, "ready")
    assert wished.result().picture_id == response.json()["id"]
    assert edge.client.post(f"/v1/{kind}s?warm=true", json=GOOD_BODY[kind]).json()["vector"] == "ready"


@pytest.mark.parametrize("query", ["warm=", "warm=yes", "warm=true&warm=true", "warm=TRUE"])
def test_upload_when_warm_is_neither_true_nor_false_then_it_is_named(edge: QueueEdge, query: str) -> None:
    refused = edge.client.post(f"/v1/sources?{query}", json=GOOD_BODY["source"])

    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/warm")
    assert stored(edge) == set()
    assert edge.client.post("/v1/sources?warm=false", json=GOOD_BODY["source"]).json()["vector"] == "pending"


def as_ids(source: str, pose: str) -> dict[str, dict[str, Any]]:
    """A submission that names both, in every way."""
    params = json.dumps({"source": {"id": source}, "pose": {"id": pose}, "seed": 1}).encode()
    names = {"source_id": source, "pose_id": pose, "seed": "1"}
    return {
        "json": as_json(GOOD_BODY | {"source": {"id": source}, "pose": {"id": pose}}),
        "form": as_form(*(part(name, value.encode(), is_file=False) for name, value in names.items())),
        "params": as_form(part("params", params, is_file=False)),
    }


@pytest.mark.parametrize("way", ["json", "form", "params"])
def test_job_when_it_names_pictures_then_it_is_as_if_they_had_been_sent(edge: QueueEdge, way: str) -> None:
    sent = as_ids(*(upload(edge, kind)["id"] for kind in ("source", "pose")))[way]
    key = {"Idempotency-Key": "one"}
    by_content = edge.client.post("/v1/jobs", json=GOOD_BODY, headers=key).raise_for_status().json()

    by_id = edge.client.post("/v1/jobs", **sent)
    replay = edge.client.post("/v1/jobs", content=sent["content"], headers=sent["headers"] | key)

    assert by_id.status_code == httpx.codes.ACCEPTED, by_id.text
    assert inputs_of_the_job(edge, by_id.json()) == inputs_of_the_job(edge, by_content)
    assert replay.json()["id"] == by_content["id"]


def test_job_when_one_picture_is_named_and_the_other_sent_then_both_are_used(edge: QueueEdge) -> None:
    source, pose = (upload(edge, kind)["id"] for kind in ("source", "pose"))

    answers = [
        edge.client.post("/v1/jobs", **as_form(SOURCE, part("pose_id", pose.encode(), is_file=False))),
        edge.client.post("/v1/jobs", **as_form(part("source_id", source.encode(), is_file=False), JSON_POSE)),
    ]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({inputs_of_the_job(edge, answer.json()) for answer in answers}) == 1


def test_job_when_it_fits_the_source_then_the_size_is_that_of_the_upload(edge: QueueEdge) -> None:
    source = upload(edge, body=in_json(pictures.jpeg(300, 200)))["id"]

    edge.submit(source={"id": source}, output={"fit": "source"})

    assert edge.claim().request.output.width_px == 384


def test_job_when_its_pictures_are_deleted_then_it_keeps_its_own(edge: QueueEdge) -> None:
    source, pose = (upload(edge, kind)["id"] for kind in ("source", "pose"))
    job = edge.submit(source={"id": source}, pose={"id": pose})
    before = edge.blobs.get_input(job)

    edge.client.delete(f"/v1/sources/{source}").raise_for_status()
    edge.client.delete(f"/v1/poses/{pose}").raise_for_status()

    assert edge.blobs.get_input(job) == before
    assert edge.claim().id == job
    refused = edge.client.post("/v1/jobs", json=GOOD_BODY | {"source": {"id": source}})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/source/id")


def test_job_when_a_stored_picture_is_damaged_then_none_is_made_of_it(edge: QueueEdge) -> None:
    source = upload(edge)["id"]
    edge.blobs.put_picture(source, bytes(196_608))

    refused = edge.client.post("/v1/jobs", json=GOOD_BODY | {"source": {"id": source}})

    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")


BAD_UPLOADS = {
    "no picture": ("sources", as_json(in_json(b"text")), 415, "image_type", "/data"),
    "no picture in a form": ("sources", as_form(part("source", b"text")), 415, "image_type", "/source"),
    "no base64": ("sources", as_json({"data": "@"}), 422, "validation", "/data"),
    "nothing": ("sources", as_json({}), 422, "validation", "/data"),
    "nothing in a form": ("sources", as_form(), 422, "validation", "/source"),
    "wrong part": ("sources", as_form(SKELETON), 422, "validation", "/source"),
    "two parts": ("sources", as_form(SOURCE, SKELETON), 422, "validation", "/pose"),
    "unknown field": ("sources", as_json(GOOD_BODY["source"] | {"colour": 1}), 422, "validation", "/colour"),
    "an id": ("sources", as_json({"id": "src_" + "0" * 32}), 422, "validation", "/id"),
    "text": ("sources", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "media_type", None),
    "no json": ("sources", as_json(b"{"), 400, "malformed_request", None),
    "animated": ("sources", as_json(in_json(pictures.animated("PNG"))), 422, "image_animated", "/data"),
    "a list": ("poses", as_json(b"[]"), 422, "validation", ""),
    "no form": ("poses", as_json({}), 422, "validation", ""),
    "two forms": ("poses", as_json(POSE | {"preset": "back"}), 422, "validation", ""),
    "no size": ("poses", as_json({"keypoints": POSE["keypoints"]}), 422, "validation", "/size"),
    "bad point": (
        "poses", as_json(POSE | {"keypoints": [[1], *POSE["keypoints"][1:]]}), 422, "keypoints_format", "/keypoints/0",
    ),
    "bad point in a form": (
        "poses",
        as_form(part("pose", json.dumps(POSE | {"keypoints": [None] * 18}).encode(), is_file=False)),
        422, "pose_too_sparse", "/pose/keypoints",
    ),
    "unknown preset": ("poses", as_json({"preset": "flying"}), 422, "unknown_preset", "/preset"),
    "damaged drawing": (
        "poses", as_json({"skeleton": in_json(GOOD_PNG[:-20])}), 422, "image_invalid", "/skeleton/data",
    ),
    "too large": ("poses", as_form(part("pose", GOOD_PNG + bytes(8_000_001))), 413, "body_too_large", "/pose"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "sent", "status", "code", "pointer"), BAD_UPLOADS.values(), ids=BAD_UPLOADS)
def test_upload_when_it_is_bad_then_the_problem_names_it_and_nothing_is_kept(
    edge: QueueEdge, path: str, sent: dict[str, Any], status: int, code: str, pointer: str | None
) -> None:
    response = edge.client.post(f"/v1/{path}", **sent)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), response.text
    pointers = [issue["pointer"] for issue in problem.get("errors", [])]
    assert pointer in (pointers or [None])
    assert "/source/data" not in problem["detail"]
    assert re.search(r"the body\w", problem["detail"]) is None
    assert stored(edge) == set()
