"""Poses taken from photos, and photos cut to the person in them, in every form that takes one."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from service.domain.inputs import unpack_inputs
from service.domain.person import UNSUITABLE_CODES
from tests.api import pictures
from tests.api.bad_inputs import GOOD_BODY, GOOD_PNG, JSON_POSE, POSE, SOURCE, as_form, as_json, part
from tests.api.conftest import Edge
from tests.fakes.fake_intake import FakeIntake
from tests.fakes.memory_blobs import MemoryBlobs
from tests.fakes.real_queue import QueueEdge, queue_edge
from tests.fakes.redis_process import RedisProcess
from tests.fakes.running_gateway import DETECTOR, running_gateway
from tests.unit.photos_of_persons import PERSON, in_a_wide_photo, photo_of, png_of, unsuitable
from xmdpt.preprocess import to_photo
from xmdpt.skeleton import draw_skeleton, to_frame

PHOTO = PERSON.read_bytes()
PHOTO_KIND = part("pose_kind", b"photo", is_file=False)
WIDE = png_of(in_a_wide_photo())


def in_json(content: bytes, **more: str) -> dict[str, str]:
    return {"data": base64.b64encode(content).decode(), **more}


def flat(name: str, value: str) -> bytes:
    return part(name, value.encode(), is_file=False)


def submit(edge: Edge, sent: dict[str, Any], path: str = "/v1/jobs") -> dict[str, Any]:
    headers = {"Accept": "application/json", **sent["headers"]}
    response = edge.client.post(path, content=sent["content"], headers=headers)
    assert response.is_success, response.text
    return response.json()


def inputs_of(edge: Edge, job: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    photo, skeleton = (np.frombuffer(each, np.uint8) for each in unpack_inputs(edge.blobs.get_input(job["id"])))
    return photo.reshape(256, 256, 3), skeleton.reshape(256, 256, 3)


def drawn(found: dict[str, Any]) -> np.ndarray:
    """The skeleton of what an answer tells."""
    points = [point or (-1, -1) for point in found["keypoints"]]
    return draw_skeleton(to_frame(points, tuple(found["size"]), tuple(found["origin"])))


POSES_BY_PHOTO = {
    "json": as_json(GOOD_BODY | {"pose": {"photo": in_json(WIDE)}}),
    "form": as_form(SOURCE, part("pose", WIDE), PHOTO_KIND),
}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/generate", "/generate"])
@pytest.mark.parametrize("form", POSES_BY_PHOTO)
def test_pose_when_given_by_a_photo_then_the_job_tells_it_and_it_is_drawn(edge: Edge, form: str, path: str) -> None:
    job = submit(edge, dict(POSES_BY_PHOTO[form]), path)

    found = job["request"]["pose"]
    assert (found["size"], found["origin"]) == ([296, 256], [0, 0])
    assert len(found["keypoints"]) == 18
    nose = found["keypoints"][0]
    assert nose == pytest.approx([120 + 95, 31], abs=4)
    assert (inputs_of(edge, job)[1] == drawn(found)).all()
    assert edge.client.get(f"/v1/jobs/{job['id']}").json()["request"]["pose"] == found


@pytest.mark.parametrize("form", ["json", "form"])
def test_pose_when_the_frame_is_the_person_then_it_is_as_of_a_photo_cut_to_the_person(edge: Edge, form: str) -> None:
    sent = {
        "json": as_json(GOOD_BODY | {"pose": {"photo": in_json(WIDE, frame="person")}}),
        "form": as_form(SOURCE, part("pose", WIDE), PHOTO_KIND, flat("pose_frame", "person")),
    }

    job = submit(edge, sent[form])

    found = job["request"]["pose"]
    (width, height), (left, top) = found["size"], found["origin"]
    assert width / height == pytest.approx(176 / 256, abs=0.001)
    # The person fills the bundled photo, which begins at x = 120 here.
    assert (left, top, width, height) == pytest.approx((120, 0, 176, 256), abs=14)
    assert (inputs_of(edge, job)[1] == drawn(found)).all()


@pytest.mark.parametrize("form", ["json", "form"])
def test_source_when_cropped_then_the_frame_around_the_person_is_shown(edge: Edge, form: str) -> None:
    sent = {
        "json": as_json(
            GOOD_BODY | {"source": in_json(WIDE, crop="person"), "output": {"fit": "source"}},
        ),
        "form": as_form(part("source", WIDE), JSON_POSE, flat("source_crop", "person"), flat("fit", "source")),
    }
    frame = submit(edge, as_json(GOOD_BODY | {"pose": {"photo": in_json(WIDE, frame="person")}}))["request"]["pose"]

    job = submit(edge, sent[form])

    expected = to_photo(Image.open(BytesIO(WIDE)), (*frame["origin"], *frame["size"]))
    assert (inputs_of(edge, job)[0] == expected).all()
    assert edge.intake.jobs[job["id"]].request.output.width_px == pytest.approx(176, abs=1)
    assert job["request"]["pose"] is None


def test_source_when_its_crop_is_none_then_all_of_it_is_shown(edge: Edge) -> None:
    job = submit(edge, as_json(GOOD_BODY | {"source": in_json(WIDE, crop="none")}))

    assert (inputs_of(edge, job)[0] == to_photo(Image.open(BytesIO(WIDE)))).all()


@pytest.mark.parametrize("code", UNSUITABLE_CODES)
@pytest.mark.parametrize(
    ("path", "make", "pointer"),
    [
        ("/v1/generate", lambda photo: as_json(GOOD_BODY | {"pose": {"photo": in_json(photo)}}), "/pose"),
        ("/v1/jobs", lambda photo: as_form(SOURCE, part("pose", photo), PHOTO_KIND), "/pose"),
        ("/v1/jobs", lambda photo: as_json(GOOD_BODY | {"source": in_json(photo, crop="person")}), "/source"),
        ("/v1/poses", lambda photo: as_json({"photo": in_json(photo)}), "/photo/data"),
        ("/v1/poses", lambda photo: as_form(part("pose", photo), PHOTO_KIND), "/pose"),
        ("/v1/sources", lambda photo: as_json(in_json(photo, crop="person")), "/data"),
        ("/v1/sources", lambda photo: as_form(part("source", photo), flat("source_crop", "person")), "/source"),
    ],
    ids=["generate", "jobs form", "crop", "poses", "poses form", "sources", "sources form"],
)
def test_photo_when_unsuitable_then_a_problem_says_what_it_must_show(
    edge: Edge, code: str, path: str, make: Any, pointer: str
) -> None:
    response = edge.client.post(path, **make(png_of(unsuitable(code))))

    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, code), response.text
    (issue,) = problem["errors"]
    assert issue["pointer"] == pointer
    assert issue["detail"].startswith("must show ")
    assert edge.intake.jobs == {}
    assert edge.blobs.content == {}


def test_photo_when_it_comes_again_then_it_is_not_looked_at_again(edge: Edge) -> None:
    requests = edge.gateway.metrics.cache_requests
    photo = png_of(photo_of(PERSON)[:, ::-1])

    def counts() -> list[float]:
        return [requests.labels("pose_photo", result)._value.get() for result in ("hit", "miss")]

    hits, misses = counts()
    first, second = (submit(edge, as_json(GOOD_BODY | {"pose": {"photo": in_json(photo)}})) for _ in range(2))

    assert counts() == [hits + 1, misses + 1]
    assert first["request"]["pose"] == second["request"]["pose"]


def test_call_when_repeated_under_its_key_then_it_is_the_same_job(edge: Edge) -> None:
    body = GOOD_BODY | {"pose": {"photo": in_json(PHOTO)}}

    first, second = (edge.client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))

    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"


def test_photo_when_persons_are_not_looked_for_then_refused_by_name() -> None:
    with running_gateway(FakeIntake(), MemoryBlobs(), detector=None) as gateway:
        refused = gateway.client.post("/v1/jobs", json=GOOD_BODY | {"pose": {"photo": in_json(PHOTO)}})
        cropped = gateway.client.post("/v1/sources", json=in_json(PHOTO, crop="person"))
        taken = gateway.client.post("/v1/jobs", json=GOOD_BODY)

    for response, pointer in ((refused, "/pose"), (cropped, "/data")):
        assert (response.status_code, response.json()["code"]) == (422, "validation")
        assert response.json()["errors"][0]["pointer"] == pointer
        assert "switched off" in response.json()["detail"]
    assert taken.status_code == httpx.codes.ACCEPTED


def test_photo_when_many_wait_for_a_process_then_other_pictures_are_decoded(edge: Edge) -> None:
    process = DETECTOR._idle.get(timeout=20)
    try:
        with httpx.Client(base_url=edge.client.base_url, trust_env=False, timeout=0.3) as impatient:
            for seed in range(3):
                body = GOOD_BODY | {"pose": {"photo": in_json(pictures.png(seed=1000 + seed))}}
                with pytest.raises(httpx.ReadTimeout):
                    impatient.post("/v1/jobs", json=body)
        assert edge.client.post("/v1/jobs", json=GOOD_BODY).status_code == httpx.codes.ACCEPTED
    finally:
        DETECTOR._idle.put(process)


def test_photo_when_too_many_wait_then_one_more_is_told_so_and_those_who_left_are_passed_over(edge: Edge) -> None:
    process = DETECTOR._idle.get(timeout=20)
    looked_at: list[bytes] = []
    find, bodies = (
        DETECTOR.find,
        [GOOD_BODY | {"pose": {"photo": in_json(pictures.png(seed=2000 + number))}} for number in range(18)],
    )
    try:
        with (
            ThreadPoolExecutor(len(bodies)) as threads,
            # Long enough for all eighteen to be there at one time.
            httpx.Client(base_url=edge.client.base_url, trust_env=False, timeout=15) as impatient,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(DETECTOR, "find", lambda content, *rest: (looked_at.append(content), find(content, *rest))[1])
            calls = [threads.submit(impatient.post, "/v1/jobs", json=body) for body in bodies]
            answers = [call.result() for call in calls if call.exception() is None]
        # One is looked at and sixteen wait; all of them have hung up.
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "overloaded")]
        assert int(answers[0].headers["retry-after"]) >= 1
    finally:
        DETECTOR._idle.put(process)
    edge.client.post("/v1/jobs", json=GOOD_BODY | {"pose": {"photo": in_json(WIDE)}})

    assert len(looked_at) <= 1


@pytest.fixture
def queue(server: RedisProcess) -> Iterator[QueueEdge]:
    with queue_edge(server.url) as edge:
        yield edge


@pytest.mark.parametrize("form", ["json", "form"])
def test_pose_when_uploaded_as_a_photo_then_it_has_its_key_points(queue: QueueEdge, form: str) -> None:
    sent = {
        "json": as_json({"photo": in_json(WIDE, frame="person")}),
        "form": as_form(part("pose", WIDE), PHOTO_KIND, flat("pose_frame", "person")),
    }

    pose = queue.client.post("/v1/poses", **sent[form]).raise_for_status().json()

    assert pose["size"][0] / pose["size"][1] == pytest.approx(176 / 256, abs=0.001)
    image = Image.open(BytesIO(queue.client.get(pose["image"]).content))
    assert (np.asarray(image) == drawn(pose)).all()
    job = queue.client.post("/v1/jobs", json=GOOD_BODY | {"pose": {"id": pose["id"]}}).raise_for_status().json()
    assert job["request"]["pose"] is None


def test_source_when_uploaded_to_be_cropped_then_it_has_the_size_of_the_frame(queue: QueueEdge) -> None:
    source = queue.client.post("/v1/sources", json=in_json(WIDE, crop="person")).raise_for_status().json()

    assert source["width"] / source["height"] == pytest.approx(176 / 256, abs=0.005)
    whole = queue.client.post("/v1/sources", json=in_json(WIDE)).raise_for_status().json()
    assert (whole["width"], whole["height"]) == (296, 256)
    assert whole["sha256"] != source["sha256"]


def test_job_when_its_pose_was_found_then_it_is_told_as_long_as_the_job(queue: QueueEdge) -> None:
    submitted = queue.client.post("/v1/jobs", json=GOOD_BODY | {"pose": {"photo": in_json(PHOTO)}}).json()

    queue.succeed(queue.claim())

    ended = queue.client.get(f"/v1/jobs/{submitted['id']}").json()
    assert ended["status"] == "succeeded"
    assert ended["request"]["pose"] == submitted["request"]["pose"]
    assert submitted["request"]["pose"]["size"] == [176, 256]


def test_batch_when_photos_come_with_it_then_its_jobs_tell_the_poses(queue: QueueEdge) -> None:
    items = [
        {"source": in_json(WIDE, crop="person"), "pose": {"photo": in_json(WIDE)}},
        {"source": GOOD_BODY["source"], "pose": POSE},
        {"source": GOOD_BODY["source"], "pose": {"photo": in_json(GOOD_PNG)}},
    ]
    batch = queue.client.post("/v1/batches", json={"items": items}).raise_for_status().json()

    jobs: dict[str, Any] = {}
    while len(jobs) < 2:
        for job in queue.leases.claim(1, 0):
            queue.succeed(job)
            told = queue.client.get(f"/v1/jobs/{job.id}").json()
            jobs[told["custom_id"]] = told["request"]["pose"]
    lines = [json.loads(line) for line in queue.client.get(batch["urls"]["results"]).text.splitlines() if line]

    assert jobs["item-0"]["size"] == [296, 256]
    assert jobs["item-1"] is None
    (failed,) = [line for line in lines if line["status"] == "failed"]
    assert (failed["custom_id"], failed["error"]["code"]) == ("item-2", "no_person")


def test_batch_when_a_photo_comes_in_a_line_then_that_line_fails(queue: QueueEdge) -> None:
    source = queue.client.post("/v1/sources", json=GOOD_BODY["source"]).raise_for_status().json()
    line = json.dumps({"source": {"id": source["id"]}, "pose": {"photo": in_json(PHOTO)}})

    response = queue.client.post(
        "/v1/batches?on_invalid=reject", content=line, headers={"Content-Type": "application/x-ndjson"}
    )

    assert response.status_code == 422
    assert "upload it and name its id" in response.text
