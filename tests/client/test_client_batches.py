"""Batches through the client: every way to name a picture, results over broken streams, faults."""

import asyncio
import base64
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.client.conftest import Call
from tests.client.parts import JOB_ID, PHOTO, PICTURE, POSE, POSE_DOCUMENT
from tests.client.test_client_generate import expected, skeleton_file
from tests.fakes.scripted_http import a_problem, an_answer, scripted_server
from tests.integration.processes import EXAMPLES, pixels
from xmdpt_client import (
    AsyncClient,
    BatchResult,
    Client,
    FieldError,
    JobFailedError,
    JobStateError,
    KeyPoints,
    Matrix,
    NotFoundError,
    PhotoOfPose,
    RequestError,
    UnexpectedAnswerError,
    UnreachableError,
    moved,
)

BATCH_ID = "bat_" + "ab" * 16
STANDING = {"preset": "standing"}
SOURCE = an_answer(201, json.dumps({"id": "src_1", "object": "source", "vector": "pending"}).encode())


def results(call: Call, url: str, batch: object, after: int = 0) -> list[BatchResult]:
    """All lines; an iterator is read by the kind of client that the test runs with."""

    def read() -> list[BatchResult]:
        with Client(url, max_retries=2) as client:
            return list(client.batch_results(batch, after))  # type: ignore[arg-type]

    async def read_async() -> list[BatchResult]:
        async with AsyncClient(url, max_retries=2) as client:
            return [result async for result in client.batch_results(batch, after)]  # type: ignore[arg-type]

    return read() if call.__name__ == "with_client" else asyncio.run(read_async())  # type: ignore[attr-defined]


def a_batch(total: int = 2, status: str = "running") -> bytes:
    counts = {"total": total, "queued": total, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
    document = {"id": BATCH_ID, "object": "batch", "status": status, "request_counts": counts, "eta": None}
    return an_answer(202, json.dumps(document).encode())


def a_line(number: int, **fields: object) -> str:
    output = {"index": 0, "content_type": "image/png", "sha256": "cd" * 32, "bytes": 7, "seed": 9}
    line = {"n": number, "custom_id": f"item-{number}", "status": "succeeded", "job_id": JOB_ID, "outputs": [output]}
    return json.dumps(line | fields) + "\n"


def a_stream(*lines: str) -> bytes:
    return an_answer(200, "".join(lines).encode(), "application/x-ndjson")


def a_file(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def a_wide_photo() -> bytes:
    """The person in the middle of three times as much width."""
    with Image.open(PHOTO) as photo:
        wide = Image.new("RGB", (3 * photo.width, photo.height), "grey")
        wide.paste(photo, (photo.width, 0))
    return a_file(wide)


def body_of(request: str) -> str:
    return request.split("\r\n\r\n", 1)[1]


def test_batch_when_its_items_name_pictures_in_every_way_then_each_gets_its_picture(
    call: Call, url: str, tmp_path: Path
) -> None:
    (tmp_path / "skeleton.png").write_bytes(skeleton_file())
    sources = [PHOTO, str(PHOTO), PHOTO.read_bytes(), call(url, "upload_source", PHOTO)]
    poses = [
        POSE,
        str(POSE),
        POSE_DOCUMENT,
        KeyPoints(POSE_DOCUMENT["keypoints"], POSE_DOCUMENT["size"]),
        tmp_path / "skeleton.png",
        skeleton_file(),
        call(url, "upload_pose", POSE),
    ]
    pairs = [(source, poses[0]) for source in sources] + [(sources[0], pose) for pose in poses]
    items = [{"custom_id": f"i{n}", "source": pair[0], "pose": pair[1]} for n, pair in enumerate(pairs)]
    told: list[tuple[int, int]] = []

    batch = call(url, "batch", items, steps=3, seed=5, format="png", on_progress=lambda *done: told.append(done))
    ended = results(call, url, batch)

    assert told == [(n + 1, len(items)) for n in range(len(items))]
    assert (batch.counts.total, batch.has_ended) == (len(items), False)
    assert {result.custom_id for result in ended} == {item["custom_id"] for item in items}
    for result in ended:
        assert (pixels(call(url, "batch_picture", result).content) == expected(num_steps=3, seed=5)).all()
    now = call(url, "get_batch", batch.id)
    assert (now.status, now.counts.succeeded, now.has_ended) == ("completed", len(items), True)
    assert results(call, url, batch.id, after=len(items) - 1) == ended[-1:]


def test_batch_when_it_is_a_matrix_then_every_pair_is_made(call: Call, url: str) -> None:
    matrix = Matrix([PHOTO, EXAMPLES / "astronaut.jpg"], [STANDING, POSE])

    batch = call(url, "batch", matrix, steps=2, quality=70, format="jpeg", deadline=60)
    ended = results(call, url, batch)

    assert {result.custom_id for result in ended} == {"s0-p0", "s0-p1", "s1-p0", "s1-p1"}
    assert {output.content_type for result in ended for output in result.outputs} == {"image/jpeg"}
    assert len({result.outputs[0].sha256 for result in ended}) == 4
    page = call(url, "jobs", batch=batch, status="succeeded", limit=3)
    rest = call(url, "jobs", batch=batch.id, cursor=page.next_cursor)
    assert {job.id for job in (*page.jobs, *rest.jobs)} == {result.job_id for result in ended}
    assert (len(page.jobs), rest.next_cursor) == (3, None)


def test_batch_when_a_pose_is_a_photo_then_it_is_uploaded_and_its_person_found(call: Call, url: str) -> None:
    batch = call(url, "batch", Matrix([PHOTO], [PhotoOfPose(PHOTO), {"preset": "standing"}]), steps=2)

    ended = results(call, url, batch)

    assert [result.status for result in ended] == ["succeeded"] * 2


@pytest.mark.parametrize("way", ["items", "matrix"])
def test_batch_when_a_crop_is_asked_for_then_its_pictures_have_that_frame(call: Call, url: str, way: str) -> None:
    photo = a_wide_photo()
    asked = Matrix([photo], [STANDING]) if way == "matrix" else [{"source": photo, "pose": STANDING}]

    batch = call(url, "batch", asked, crop="person", fit="source", steps=2)
    ended = results(call, url, batch)

    widths = [pixels(call(url, "batch_picture", result).content).shape[1] for result in ended]
    assert widths == pytest.approx([176], abs=1)


def test_batch_when_items_differ_in_their_crop_then_each_has_its_own(call: Call, url: str) -> None:
    crops = {"default": {}, "whole": {"crop": "none"}, "person": {"crop": "person"}}
    photo = a_wide_photo()
    items = [{"custom_id": name, "source": photo, "pose": STANDING, **crop} for name, crop in crops.items()]

    batches = [call(url, "batch", items, fit="source", steps=2, crop=crop) for crop in ("person", None)]
    cropped = [
        {
            each.custom_id
            for each in results(call, url, batch)
            if pixels(call(url, "batch_picture", each).content).shape[1] < 200
        }
        for batch in batches
    ]

    assert cropped == [{"default", "person"}, {"person"}]


def test_batch_when_a_photo_is_cropped_and_not_then_it_is_uploaded_twice(call: Call) -> None:
    crops: Sequence[dict[str, str]] = [{}, {"crop": "person"}, {"crop": "none"}]
    items = [{"source": PHOTO, "pose": STANDING, **crop} for crop in crops] * 2
    other = an_answer(201, json.dumps({"id": "src_2", "object": "source", "vector": "pending"}).encode())
    with scripted_server([SOURCE, other, a_batch(6)]) as server:
        call(server.url, "batch", items)

    assert server.starts() == 2 * ["POST /v1/sources"] + ["POST /v1/batches"]
    assert ["source_crop" in request for request in server.requests] == [False, True, False]
    lines = [json.loads(line) for line in body_of(server.requests[2]).splitlines()]
    assert lines == [{"source": {"id": source}, "pose": STANDING} for source in ("src_1", "src_2", "src_1")] * 2


def test_batch_when_nobody_is_there_to_be_cropped_to_then_the_source_is_named(call: Call, url: str) -> None:
    nobody = a_file(Image.new("RGB", (200, 300), "grey"))
    items = [{"source": PHOTO, "pose": STANDING}, {"source": nobody, "pose": STANDING}]

    with pytest.raises(RequestError) as caught:
        call(url, "batch", items, crop="person")

    assert caught.value.code == "no_person"
    assert [error.pointer for error in caught.value.errors] == ["/items/1/source"]


def test_batch_when_a_pose_object_holds_a_picture_then_that_is_uploaded(call: Call, url: str, tmp_path: Path) -> None:
    mirrored = moved(PhotoOfPose(PHOTO), mirror=True)
    (tmp_path / "pose.json").write_text(json.dumps(mirrored))
    poses = [mirrored, tmp_path / "pose.json", {"skeleton": {"data": base64.b64encode(skeleton_file()).decode()}}]

    items = call(url, "batch", [{"source": PHOTO, "pose": pose} for pose in poses], steps=3, seed=5)
    matrix = call(url, "batch", Matrix([PHOTO], poses), steps=3, seed=5)
    made = [
        {each.custom_id: pixels(call(url, "batch_picture", each).content) for each in results(call, url, batch)}
        for batch in (items, matrix)
    ]

    alone = [pixels(call(url, "generate", PHOTO, pose, steps=3, seed=5).content) for pose in poses]
    for pictures in made:
        assert len(pictures) == len(poses)
        for (_, picture), expectation in zip(sorted(pictures.items()), alone, strict=True):
            assert (picture == expectation).all()


def test_batch_when_items_say_something_themselves_then_it_comes_first(call: Call, url: str) -> None:
    items = [
        {"source": PHOTO, "pose": STANDING, "custom_id": "own", "steps": 4, "output": {"quality": 1}},
        {"source": PHOTO, "pose": STANDING, "custom_id": "bad", "steps": 1},
        {"source": PHOTO, "custom_id": "short"},
    ]

    batch = call(url, "batch", items, steps=3, format="webp", quality=90, seed=1)
    by_name = {result.custom_id: result for result in results(call, url, batch)}

    job = call(url, "job", by_name["own"].job_id)
    assert (job.progress.steps, job.seed, by_name["own"].outputs[0].content_type) == (4, 1, "image/webp")
    assert by_name["bad"].error.errors[0].pointer == "/steps"
    assert by_name["short"].error.errors[0].pointer == "/pose"
    assert (by_name["bad"].status, by_name["bad"].job_id) == ("failed", None)
    with pytest.raises(JobFailedError):
        call(url, "batch_picture", by_name["bad"])


def test_batch_when_cancelled_then_its_items_have_no_pictures(call: Call, url: str) -> None:
    batch = call(url, "batch", Matrix([PHOTO], [STANDING] * 30), steps=250)

    assert call(url, "cancel_batch", batch.id).status in ("cancelling", "cancelled")

    ended = results(call, url, batch)
    assert {result.status for result in ended} == {"cancelled"}
    with pytest.raises(JobStateError, match="cancelled"):
        call(url, "batch_picture", ended[0])


def test_batch_when_pictures_repeat_then_each_content_is_uploaded_once(call: Call, tmp_path: Path) -> None:
    (tmp_path / "copy.png").write_bytes(PHOTO.read_bytes())
    photos: Sequence[Any] = [PHOTO, str(PHOTO), tmp_path / "copy.png", PHOTO.read_bytes()]
    items = [{"source": photo, "pose": STANDING} for photo in photos] * 3
    with scripted_server([SOURCE, a_batch(12)]) as server:
        call(server.url, "batch", items, deadline=2.5, idempotency_key="k")

    assert server.starts() == ["POST /v1/sources", "POST /v1/batches?deadline_ms=2500"]
    lines = [json.loads(line) for line in body_of(server.requests[1]).splitlines()]
    assert lines == [{"source": {"id": "src_1"}, "pose": STANDING}] * 12
    assert server.header(1, "Content-Type") == "application/x-ndjson"
    assert server.header(1, "Idempotency-Key") == "k"


def test_batch_when_it_has_a_webhook_then_that_is_for_the_whole_batch(call: Call) -> None:
    items = [{"source": {"id": "src_1"}, "pose": STANDING}]
    with scripted_server([a_batch(1), a_batch(1)]) as server:
        call(server.url, "batch", items, webhook="https://example.org/", num_images=2)
        call(server.url, "batch", Matrix([items[0]["source"]], [STANDING]), webhook={"url": "https://example.org/"})

    bodies = [json.loads(body_of(request)) for request in server.requests]
    assert [body["webhook"] for body in bodies] == [{"url": "https://example.org/"}] * 2
    assert bodies[0]["items"] == [items[0] | {"num_images": 2}]
    assert bodies[1]["defaults"] == {}


def test_batch_when_a_try_fails_then_the_same_call_is_sent_again(call: Call) -> None:
    full = a_problem(503, "overloaded", retryable=True, headers={"Retry_After": "0"})
    with scripted_server([b"", SOURCE, b"", full, a_batch()]) as server:
        batch = call(server.url, "batch", Matrix([PHOTO], [STANDING]))

    assert batch.id == BATCH_ID
    assert len({server.header(number, "Idempotency-Key") for number in (2, 3, 4)}) == 1
    body = json.loads(body_of(server.requests[4]))
    assert body == {"matrix": {"sources": [{"id": "src_1"}], "poses": [STANDING]}, "defaults": {}}


def test_batch_when_a_picture_is_refused_then_the_error_says_which_and_nothing_is_asked_for(call: Call) -> None:
    refusal = a_problem(415, "image_type")
    items = [{"source": PHOTO, "pose": STANDING}, {"source": b"no picture", "pose": STANDING}]
    with scripted_server([SOURCE, refusal]) as server, pytest.raises(RequestError) as caught:
        call(server.url, "batch", items)

    assert caught.value.errors == (FieldError("/items/1/source", "what is wrong"),)
    assert server.starts() == ["POST /v1/sources"] * 2


@pytest.mark.parametrize(
    ("items", "options", "kind"),
    [
        ([{"source": "absent.png", "pose": STANDING}], {}, FileNotFoundError),
        ([{"source": 7, "pose": STANDING}], {}, TypeError),
        ([{"source": {"id": "src_1"}, "pose": STANDING}], {"crop": "person"}, ValueError),
        ([{"source": {"id": "src_1"}, "pose": STANDING, "crop": "person"}], {}, ValueError),
        ([{"source": {"id": "src_1"}, "pose": b"{broken"}], {}, ValueError),
        ([{"source": {"id": "src_1"}, "pose": STANDING, "seed": float("nan")}], {}, ValueError),
        ([{"source": PHOTO, "pose": STANDING}], {"idempotency_key": "two words"}, ValueError),
    ],
)
def test_batch_when_an_input_cannot_be_used_then_nothing_is_sent(
    call: Call, items: list, options: dict, kind: type
) -> None:
    with scripted_server([SOURCE, a_batch()]) as server, pytest.raises(kind):
        call(server.url, "batch", items, **options)

    assert server.requests == []


def test_results_when_streams_break_then_each_line_comes_once(call: Call) -> None:
    cut = a_stream(a_line(3), a_line(4))[:-5]
    script = [a_batch(5), a_stream(a_line(1), "\n", a_line(2)), cut, b"", a_stream(a_line(4), a_line(5))]
    with scripted_server(script) as server:
        numbers = [result.number for result in results(call, server.url, BATCH_ID)]

    assert numbers == [1, 2, 3, 4, 5]
    path = f"GET /v1/batches/{BATCH_ID}"
    assert server.starts() == [path] + [f"{path}/results?after={n}" for n in (0, 2, 3, 3)]


def test_results_when_they_never_come_then_tries_are_bounded(call: Call) -> None:
    with (
        scripted_server([a_batch(5), *[a_stream("\n")] * 9]) as server,
        pytest.raises(UnreachableError, match="end before"),
    ):
        results(call, server.url, BATCH_ID)

    assert len(server.requests) == 4


@pytest.mark.parametrize("line", ["[1]\n", '{"n": 1}\n', "<html>\n"])
def test_results_when_a_line_is_no_result_then_the_error_names_the_address(call: Call, line: str) -> None:
    with scripted_server([a_batch(), a_stream(line)]) as server, pytest.raises(UnexpectedAnswerError, match="/results"):
        results(call, server.url, BATCH_ID)


def test_results_when_an_item_is_no_more_then_it_has_no_picture(call: Call) -> None:
    with scripted_server([a_batch(1), a_stream(a_line(1, outputs=None))]) as server:
        (result,) = results(call, server.url, BATCH_ID)
        with pytest.raises(JobStateError) as caught:
            call(server.url, "batch_picture", result)

    assert (caught.value.code, caught.value.status) == ("expired", 410)


def test_picture_when_fetched_then_it_is_one_call(call: Call) -> None:
    with scripted_server([a_batch(1), a_stream(a_line(1)), PICTURE]) as server:
        (result,) = results(call, server.url, BATCH_ID)
        picture = call(server.url, "batch_picture", result)

    assert (picture.content, picture.seed) == (b"picture", 9)
    assert server.starts()[2] == f"GET /v1/jobs/{JOB_ID}/result"


def test_batch_when_there_is_none_then_it_is_not_found(call: Call, url: str) -> None:
    for batch_id in ("bat_" + "0" * 32, "../models"):
        for method in ("get_batch", "cancel_batch"):
            with pytest.raises(NotFoundError):
                call(url, method, batch_id)
        with pytest.raises(NotFoundError):
            results(call, url, batch_id)
