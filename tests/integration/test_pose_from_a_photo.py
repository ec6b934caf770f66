"""A photo as pose through a real service: key points are found in a process of its own and become a picture."""

import base64
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.integration.processes import RunningService, command_line, running_service
from tests.unit.photos_of_persons import PERSON, png_of, unsuitable

PHOTO = PERSON.read_bytes()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("photos")) as service:
        yield service


def in_json(content: bytes, **more: str) -> dict[str, str]:
    return {"data": base64.b64encode(content).decode(), **more}


def detectors(gateway: int) -> list[int]:
    """Process ids of those that find persons, whichever thread has started them."""
    tasks = Path(f"/proc/{gateway}/task").iterdir()
    ids = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in ids if "blazepose_process" in command_line(pid)]


def gateway_metric(service: RunningService, line: str) -> float:
    text = service.client.get("/metrics").text
    return next(float(each.rsplit(" ", 1)[1]) for each in text.splitlines() if each.startswith(line + " "))


def test_picture_when_the_pose_is_a_photo_then_made_and_the_second_time_nothing_is_looked_for(
    service: RunningService,
) -> None:
    gateway = service.child("gateway")
    assert detectors(gateway) == []
    body = {
        "source": in_json(PHOTO, crop="person"),
        "pose": {"photo": in_json(PHOTO, frame="person")},
        "steps": 2,
        "seed": 7,
        "output": {"fit": "source"},
    }

    first, second = (service.client.post("/generate", json=body, headers={"Prefer": "wait=60"}) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200), first.text
    assert Image.open(BytesIO(first.content)).size[1] == 256
    assert first.content == second.content
    job = service.job(first.headers["x-xmdpt-job-id"])
    assert len([point for point in job["request"]["pose"]["keypoints"] if point]) >= 14
    # Of the four looks, two of each call, one was made.
    assert gateway_metric(service, 'xmdpt_condition_cache_requests_total{kind="pose_photo",result="miss"}') == 1
    assert gateway_metric(service, 'xmdpt_condition_cache_requests_total{kind="pose_photo",result="hit"}') == 3
    assert gateway_metric(service, 'xmdpt_stage_duration_seconds_count{stage="pose_photo"}') == 1
    assert len(detectors(gateway)) == 1


def test_photo_when_nobody_is_in_it_then_refused_before_anything_is_queued(service: RunningService) -> None:
    before = len(service.client.get("/v1/jobs").json()["data"])

    response = service.client.post(
        "/v1/jobs", json={"source": in_json(PHOTO), "pose": {"photo": in_json(png_of(unsuitable("no_person")))}}
    )

    assert (response.status_code, response.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "no_person")
    assert len(service.client.get("/v1/jobs").json()["data"]) == before


def test_photo_when_switched_off_then_refused_and_the_rest_is_served(tmp_path: Path, pose: dict) -> None:
    with running_service(tmp_path, XMDPT_BACKEND="simulated", XMDPT_GATEWAY__POSE_PROCESSES="0") as service:
        refused = service.client.post("/v1/jobs", json={"source": in_json(PHOTO), "pose": {"photo": in_json(PHOTO)}})
        taken = service.generate(PHOTO, pose)

    assert (refused.status_code, refused.json()["code"]) == (422, "validation")
    assert "switched off" in refused.json()["detail"]
    assert taken.status_code == httpx.codes.OK
