"""Batches in each of their forms, followed to their end, cancelled, overdue, repeated and refused."""

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from service.domain.batch import job_id_of_item
from tests.api.bad_inputs import GOOD_BODY, POSE
from tests.fakes.queue_lab import PREFIX
from tests.fakes.real_queue import PICTURE, QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess

STANDING = {"preset": "standing"}
UNKNOWN_SOURCE = {"id": "src_" + "0" * 32}


@pytest.fixture
def edge(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url) as edge:
        yield edge


@pytest.fixture
def source(edge: QueueEdge) -> dict[str, str]:
    answer = edge.client.post("/v1/sources", json=GOOD_BODY["source"]).raise_for_status()
    return {"id": answer.json()["id"]}


def submit(edge: QueueEdge, body: dict[str, Any] | list[Any], **headers: str) -> dict[str, Any]:
    """A list is sent line by line."""
    if isinstance(body, list):
        return send_lines(edge, body).raise_for_status().json()
    return edge.client.post("/v1/batches", json=body, headers=headers).raise_for_status().json()


def send_lines(edge: QueueEdge, lines: list[Any], query: str = "") -> httpx.Response:
    content = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    headers = {"Content-Type": "application/x-ndjson"}
    return edge.client.post(f"/v1/batches{query}", content=content, headers=headers)


def until(condition: Callable[[], object]) -> Any:
    """What the condition gives as soon as that is true."""
    give_up_at = time.monotonic() + 20
    while not (found := condition()):
        assert time.monotonic() < give_up_at, "it never happened"
        time.sleep(0.01)
    return found


def read(edge: QueueEdge, batch: dict[str, Any]) -> dict[str, Any]:
    return edge.client.get(batch["urls"]["self"]).raise_for_status().json()


def work(edge: QueueEdge, num_jobs: int) -> list[str]:
    """Play a worker until so many jobs have succeeded; their names in this order."""
    names: list[str] = []
    for _ in range(num_jobs):
        (job,) = until(lambda: edge.leases.claim(1, 0))
        edge.succeed(job)
        names.append(edge.client.get(f"/v1/jobs/{job.id}").json()["custom_id"])
    return names


def results(edge: QueueEdge, batch: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    text = edge.client.get(batch["urls"]["results"] + query).raise_for_status().text
    return [json.loads(line) for line in text.splitlines() if line]


def test_batch_when_it_is_a_matrix_then_every_pair_becomes_one_job(edge: QueueEdge, source: dict[str, str]) -> None:
    pose = edge.client.post("/v1/poses", json=POSE).raise_for_status().json()["id"]
    matrix = {"sources": [source, UNKNOWN_SOURCE], "poses": [STANDING, {"id": pose}, POSE]}
    batch = submit(edge, {"matrix": matrix, "defaults": {"steps": 7, "output": {"format": "webp"}}})
    names = work(edge, 3)
    ended = until(lambda: (now := read(edge, batch))["status"] == "completed" and now)
    lines = results(edge, batch)

    assert names == ["s0-p0", "s0-p1", "s0-p2"]
    counts = {"total": 6, "queued": 0, "running": 0, "succeeded": 3, "failed": 3, "cancelled": 0}
    assert ended["request_counts"] == counts
    assert [line["n"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {line["custom_id"]: line["status"] for line in lines} == {
        **dict.fromkeys(("s0-p0", "s0-p1", "s0-p2"), "succeeded"),
        **dict.fromkeys(("s1-p0", "s1-p1", "s1-p2"), "failed"),
    }
    bad = next(line for line in lines if line["custom_id"] == "s1-p1")
    assert (bad["error"]["code"], bad["error"]["errors"][0]["pointer"]) == ("validation", "/source/id")
    assert "job_id" not in bad
    good = next(line for line in lines if line["status"] == "succeeded")
    job = edge.client.get(f"/v1/jobs/{good['job_id']}").json()
    assert (job["batch_id"], job["custom_id"], job["request"]["steps"]) == (batch["id"], good["custom_id"], 7)
    assert (job["queue"]["priority"], job["request"]["format"]) == ("batch", "webp")
    assert edge.client.get(good["outputs"][0]["url"]).content == PICTURE
    listed = edge.client.get("/v1/jobs", params={"batch": batch["id"]}).json()["data"]
    assert {job["custom_id"] for job in listed} == {"s0-p0", "s0-p1", "s0-p2"}


def test_batch_when_pictures_come_with_it_then_they_are_the_jobs(edge: QueueEdge) -> None:
    small = GOOD_BODY | {"custom_id": "a", "seed": 5}
    batch = submit(edge, {"items": [small, {"source": GOOD_BODY["source"], "pose": STANDING}, 17]})
    (job,) = until(lambda: edge.leases.claim(1, 0))

    assert job.id == job_id_of_item(batch["id"], 0)
    assert (job.request.params.seed, len(edge.blobs.get_input(job.id))) == (5, 2 * 256 * 256 * 3)
    edge.succeed(job)
    assert work(edge, 1) == ["item-1"]
    lines = until(lambda: len(found := results(edge, batch, "?follow=false")) == 3 and found)
    failed = next(line for line in lines if line["custom_id"] == "item-2")
    assert failed["error"]["detail"] == "must be a JSON object"


def test_batch_when_it_comes_in_lines_then_bad_ones_fail_alone(edge: QueueEdge, source: dict[str, str]) -> None:
    good = {"source": source, "pose": STANDING}
    lines = [
        good | {"custom_id": "a"},
        b"{broken",
        b"",
        good | {"custom_id": "a"},
        good | {"custom_id": "."},
        good | {"steps": 1},
        good | {"deadline_ms": 1000},
        good | {"model": "another"},
        {"source": GOOD_BODY["source"], "pose": STANDING},
        good,
        good | {"preset": "fast"},
    ]
    batch = submit(edge, lines)
    assert work(edge, 2) == ["a", "item-8"]
    until(lambda: read(edge, batch)["status"] == "completed")
    found = {line["custom_id"]: line.get("error", {}).get("code") for line in results(edge, batch)}

    assert found == {
        "a": None,
        "line-1": "malformed_request",
        "item-2": "validation",
        "item-3": "validation",
        "item-4": "validation",
        "item-5": "validation",
        "item-6": "unknown_model",
        "item-7": "validation",
        "item-8": None,
        "item-9": "unavailable_preset",
    }


def test_batch_when_it_is_to_be_rejected_then_nothing_of_it_stays(edge: QueueEdge, source: dict[str, str]) -> None:
    lines = [{"source": source, "pose": STANDING}, {"source": source, "pose": STANDING, "steps": 1}, b"["]
    by_lines = send_lines(edge, lines, "?on_invalid=reject")
    items = [GOOD_BODY, GOOD_BODY | {"seed": -1}]
    by_items = edge.client.post("/v1/batches", json={"items": items, "on_invalid": "reject"})

    assert (by_lines.status_code, by_items.status_code) == (422, 422)
    assert [error["pointer"] for error in by_lines.json()["errors"]] == ["/items/1/steps", "/items/2"]
    assert [error["pointer"] for error in by_items.json()["errors"]] == ["/items/1/seed"]
    assert [name for name in edge.blobs.content if name.startswith("in/")] == []
    assert edge.redis.keys(f"{PREFIX}batch*") == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"items": [], "on_invalid": "reject"}, "/items"),
        ({"items": [{}] * 1001}, "/items"),
        ({"items": [GOOD_BODY], "matrix": {"sources": [UNKNOWN_SOURCE], "poses": [STANDING]}}, ""),
        ({"matrix": {"sources": [UNKNOWN_SOURCE] * 101, "poses": [STANDING] * 100}}, "/matrix"),
        ({"matrix": {"sources": [], "poses": [STANDING]}}, "/matrix/sources"),
        ({"matrix": {"sources": ["src"], "poses": [STANDING]}}, "/matrix/sources/0"),
        ({"items": [GOOD_BODY], "defaults": {"deadline_ms": 1000}}, "/defaults/deadline_ms"),
        ({"items": [GOOD_BODY], "deadline_ms": 99}, "/deadline_ms"),
        ({"items": [GOOD_BODY], "on_invalid": "ignore"}, "/on_invalid"),
        ({"items": [GOOD_BODY], "metadata": {"a": 1}}, "/metadata/a"),
        ({"items": [GOOD_BODY], "colour": 1}, "/colour"),
    ],
    ids=[
        *("neither form", "no item", "too many items", "both forms", "too many pairs", "no source", "no object"),
        *("deadline of items", "deadline", "on_invalid", "metadata", "unknown"),
    ],
)
def test_batch_when_it_is_unusable_as_a_whole_then_a_pointer(edge: QueueEdge, body: Any, pointer: str) -> None:
    answer = edge.client.post("/v1/batches", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_batch_when_a_matrix_holds_pictures_then_their_pairs_fail_and_nothing_is_decoded(
    edge: QueueEdge, source: dict[str, str]
) -> None:
    matrix = {"sources": [GOOD_BODY["source"], source], "poses": [STANDING, {"skeleton": GOOD_BODY["source"]}]}

    batch = submit(edge, {"matrix": matrix})
    names = work(edge, 1)
    until(lambda: read(edge, batch)["status"] == "completed")
    failed = {line["custom_id"]: line["error"]["detail"] for line in results(edge, batch) if "error" in line}

    assert names == ["s1-p0"]
    assert failed.keys() == {"s0-p0", "s0-p1", "s1-p1"}
    assert all("upload it and name its id" in detail for detail in failed.values())


def test_batch_when_its_lines_are_too_long_or_too_many_then_a_limit(edge: QueueEdge, source: dict[str, str]) -> None:
    long = send_lines(edge, [b'{"metadata": {"a": "' + b"x" * 300_000])
    line = json.dumps({"source": source, "pose": STANDING}).encode()
    many = send_lines(edge, [line] * 10_001)
    empty = send_lines(edge, [b"", b" "])
    query = send_lines(edge, [line], "?steps=3")

    assert (long.status_code, long.json()["code"]) == (413, "body_too_large")
    assert (many.status_code, many.json()["detail"]) == (422, "may hold 10000 items")
    assert (empty.status_code, query.status_code) == (422, 422)
    assert query.json()["errors"][0]["pointer"] == "/steps"


def test_batch_when_it_is_cancelled_then_all_items_end(edge: QueueEdge) -> None:
    batch = submit(edge, {"items": [GOOD_BODY] * 30})
    until(lambda: read(edge, batch)["request_counts"]["queued"] == 30 and edge.redis.zcard(f"{PREFIX}deadlines") > 3)
    job = edge.claim()
    answer = edge.client.post(batch["urls"]["cancel"])
    assert answer.json()["status"] == "cancelling"
    until(lambda: read(edge, batch)["request_counts"]["cancelled"] == 29)
    assert edge.leases.end_cancelled(job.id, job.fence) == "cancelled"
    ended = read(edge, batch)

    assert (ended["status"], ended["request_counts"]["cancelled"], ended["eta"]) == ("cancelled", 30, None)
    assert {line["status"] for line in results(edge, batch)} == {"cancelled"}
    assert edge.client.post(batch["urls"]["cancel"]).json()["status"] == "cancelled"
    assert {name for name in edge.blobs.content if edge.redis.exists(f"{PREFIX}job:{name[3:]}") == 0} == set()


def test_batch_when_its_deadline_passes_then_what_is_left_fails(edge: QueueEdge) -> None:
    batch = submit(edge, {"items": [GOOD_BODY] * 3, "deadline_ms": 400})
    until(lambda: edge.reap() is not None and read(edge, batch)["status"] == "completed")
    lines = results(edge, batch)

    assert [line["error"]["code"] for line in lines] == ["deadline_exceeded"] * 3


def test_results_when_they_are_followed_then_each_comes_as_it_ends(edge: QueueEdge) -> None:
    batch = submit(edge, {"items": [GOOD_BODY | {"custom_id": name} for name in "abc"]})
    with edge.client.stream("GET", batch["urls"]["results"]) as answer:
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        seen = [(work(edge, 1)[0], next(lines)["custom_id"]) for _ in range(3)]
        assert list(lines) == []

    assert [worked == told for worked, told in seen] == [True] * 3
    assert [line["n"] for line in results(edge, batch, "?after=1")] == [2, 3]
    assert results(edge, batch, "?after=3") == []


def test_results_when_a_zip_is_wanted_then_it_holds_the_pictures_and_the_lines(edge: QueueEdge) -> None:
    items = [
        GOOD_BODY | {"custom_id": "a"},
        GOOD_BODY | {"custom_id": "b", "steps": 1},
        GOOD_BODY | {"custom_id": "c", "num_images": 2},
    ]
    batch = submit(edge, {"items": items, "defaults": {"output": {"format": "jpeg"}}})
    work(edge, 2)
    answer = edge.client.get(batch["urls"]["results"], headers={"Accept": "application/zip"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        lines = [json.loads(line) for line in archive.read("results.ndjson").splitlines()]
        pictures = {archive.read(name) for name in names[:-1]}

    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="{batch["id"]}.zip"'
    assert names == ["a.png", "c-0.png", "c-1.png", "results.ndjson"]
    assert pictures == {PICTURE}
    assert {line["custom_id"]: line.get("files") for line in lines} == {"a": names[:1], "b": [], "c": names[1:3]}


def test_results_when_a_picture_is_damaged_then_the_zip_has_all_the_others(edge: QueueEdge) -> None:
    batch = submit(edge, {"items": [GOOD_BODY | {"custom_id": name} for name in "abc"]})
    work(edge, 3)
    (name,) = (name for name in edge.blobs.content if name.startswith(f"out/{results(edge, batch)[1]['job_id']}."))
    edge.blobs.content[name] = b"damaged"

    answer = edge.client.get(batch["urls"]["results"], headers={"Accept": "application/zip"})

    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["a.png", "c.png", "results.ndjson"]
        lines = [json.loads(line) for line in archive.read("results.ndjson").splitlines()]
    assert [line["files"] for line in lines] == [["a.png"], [], ["c.png"]]


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("?after=-1", "*/*", 422),
        ("?after=1&after=2", "*/*", 422),
        ("?follow=perhaps", "*/*", 422),
        ("?limit=3", "*/*", 422),
        ("", "text/html", 406),
    ],
    ids=["after", "twice", "follow", "unknown", "accept"],
)
def test_results_when_the_question_makes_no_sense_then_refused(
    edge: QueueEdge, path: str, accept: str, status: int
) -> None:
    batch = submit(edge, {"items": [GOOD_BODY]})
    answer = edge.client.get(batch["urls"]["results"] + path, headers={"Accept": accept})
    assert answer.status_code == status


@pytest.mark.parametrize("batch_id", ["bat_" + "0" * 32, "bat_1", "BAT_" + "0" * 32, "..%2f", "%00"])
def test_batch_when_there_is_none_then_not_found(edge: QueueEdge, batch_id: str) -> None:
    calls = [("GET", ""), ("GET", "/results"), ("POST", "/cancel")]
    answers = [edge.client.request(method, f"/v1/batches/{batch_id}{path}").status_code for method, path in calls]
    assert answers == [404] * 3


def test_batch_when_it_is_sent_again_under_its_key_then_it_is_the_same(edge: QueueEdge) -> None:
    body = {"items": [GOOD_BODY, GOOD_BODY | {"seed": 2}]}
    headers = {"Idempotency-Key": "k"}
    first = edge.client.post("/v1/batches", json=body, headers=headers)
    again = edge.client.post("/v1/batches", json=body, headers=headers)
    other = edge.client.post("/v1/batches", json=body | {"deadline_ms": 1000}, headers=headers)
    job = edge.client.post("/v1/jobs", json=GOOD_BODY, headers=headers)

    assert first.status_code == again.status_code == 202
    assert (first.json()["id"], again.headers["idempotency-replayed"]) == (again.json()["id"], "true")
    assert other.json()["code"] == job.json()["code"] == "idempotency_mismatch"
    assert work(edge, 2) == ["item-0", "item-1"]
    until(lambda: read(edge, first.json())["status"] == "completed")
    assert edge.leases.claim(1, 0) == ()


def test_batch_when_a_source_is_deleted_meanwhile_then_only_what_has_begun_goes_on(
    edge: QueueEdge, source: dict[str, str]
) -> None:
    poses = [STANDING, {"preset": "walking"}]
    batch = submit(edge, {"matrix": {"sources": [source], "poses": poses * 150}})
    until(lambda: edge.redis.zcard(f"{PREFIX}deadlines") >= 16)
    edge.client.delete(f"/v1/sources/{source['id']}").raise_for_status()
    work(edge, edge.redis.zcard(f"{PREFIX}deadlines"))
    line = until(lambda: [line for line in results(edge, batch, "?follow=false") if line["status"] == "failed"])[0]

    assert line["error"]["errors"] == [{"pointer": "/source/id", "detail": "was deleted before the item began"}]
