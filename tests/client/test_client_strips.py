"""Poses that are made of others, and strips of pictures, through the client against the whole service."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.adapters.simulated_backend import expected_picture
from service.domain.pose import KeyPoints as ServiceKeyPoints
from service.domain.pose_interpolation import between as service_between
from service.domain.pose_moves import Moves
from service.domain.pose_moves import moved as service_moved
from service.domain.request import SamplingParams
from service.gateway.pose_presets import POSE_PRESETS
from service.gateway.poses import draw_pose
from tests.api.bad_poses import ANNOTATION, OPENPOSE
from tests.client.conftest import Call
from tests.client.parts import JOB_ID, PHOTO, POSE, POSE_DOCUMENT
from tests.client.test_client_batches import a_batch, a_line, a_stream, a_wide_photo
from tests.client.test_client_generate import skeleton_file
from tests.fakes.scripted_http import a_problem, an_answer, scripted_server
from tests.integration.processes import pixels
from xmdpt.preprocess import to_photo
from xmdpt_client import JobFailedError, KeyPoints, Picture, RequestError, between, moved

STANDING, WALKING = {"preset": "standing"}, {"preset": "walking"}
OF_STANDING, OF_WALKING = POSE_PRESETS["standing"].key_points, POSE_PRESETS["walking"].key_points
OF_FILE = ServiceKeyPoints(
    tuple(point and (float(point[0]), float(point[1])) for point in POSE_DOCUMENT["keypoints"]),
    tuple(POSE_DOCUMENT["size"]),
    tuple(POSE_DOCUMENT.get("origin", (0.0, 0.0))),
)


def expected_of(pose: ServiceKeyPoints, **params: Any) -> np.ndarray:
    """What the simulated backend makes of the photo and this pose."""
    skeleton = np.frombuffer(draw_pose(pose), np.uint8).reshape(256, 256, 3)
    with Image.open(PHOTO) as photo:
        return expected_picture(to_photo(photo), skeleton, SamplingParams(**params)).astype("int16")


def a_file(folder: Path, document: Any) -> Path:
    path = folder / "other_tool.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("pose", [POSE, POSE_DOCUMENT, KeyPoints(POSE_DOCUMENT["keypoints"], POSE_DOCUMENT["size"])],
                         ids=["file", "dict", "key points"])  # fmt: skip
def test_moved_when_of_a_pose_in_any_way_then_the_service_moves_it(call: Call, url: str, pose: Any) -> None:
    asked = moved(pose, mirror=True, fit=0.1, scale=0.8, shift=(5, -3))

    picture = call(url, "generate", PHOTO, asked, steps=3, seed=5)

    after = service_moved(OF_FILE, Moves(is_mirrored=True, margin=0.1, scale=0.8, shift=(5, -3)))
    assert (pixels(picture.content) == expected_of(after, num_steps=3, seed=5)).all()


def test_moved_when_nothing_is_asked_for_then_it_is_the_pose() -> None:
    assert moved(WALKING) == WALKING
    assert moved(WALKING, fit=True) == WALKING | {"fit": True}


def test_between_when_sent_then_it_is_the_pose_on_the_way(call: Call, url: str) -> None:
    asked = between(moved(WALKING, mirror=True), POSE, 0.25)

    picture = call(url, "generate", PHOTO, asked, steps=3, seed=5)

    expected = service_between(service_moved(OF_WALKING, Moves(is_mirrored=True)), OF_FILE, 0.25)
    assert (pixels(picture.content) == expected_of(expected, num_steps=3, seed=5)).all()


@pytest.mark.parametrize("document", [OPENPOSE, ANNOTATION | {"size": [256, 256]}], ids=["OpenPose", "COCO"])
@pytest.mark.parametrize("way", ["generate", "batch", "upload"])
def test_pose_when_it_is_another_tools_file_then_it_is_taken_as_it_is(
    call: Call, url: str, tmp_path: Path, document: Any, way: str
) -> None:
    path = a_file(tmp_path, document)

    if way == "generate":
        assert call(url, "generate", PHOTO, path, steps=2).pictures
    elif way == "upload":
        assert call(url, "upload_pose", path).document["keypoints"][0] == [100, 40]
    else:
        batch = call(url, "batch", [{"source": PHOTO, "pose": path, "steps": 2}])
        assert call(url, "get_batch", batch).counts.failed == 0


def test_strip_when_made_then_its_pictures_are_in_order_and_from_one_seed(call: Call, url: str) -> None:
    told: list[tuple[int, int]] = []

    strip = call(
        url, "strip", PHOTO, STANDING, WALKING, 5, steps=2, seed=9, format="png", on_progress=lambda *n: told.append(n)
    )

    assert told == [(number, 5) for number in range(1, 6)]
    assert [picture.seed for picture in strip] == 5 * [9]
    for number, picture in enumerate(strip):
        pose = service_between(OF_STANDING, OF_WALKING, number / 4)
        assert (pixels(picture.content) == expected_of(pose, num_steps=2, seed=9)).all()


def test_strip_when_no_seed_is_given_then_all_pictures_share_the_one_that_is_drawn(call: Call, url: str) -> None:
    strips: list[tuple[Picture, ...]] = [
        call(url, "strip", PHOTO, STANDING, WALKING, 2, steps=2, **options)
        for options in ({}, {}, {"idempotency_key": f"strip {call.__name__}".replace(" ", "-")},
                        {"idempotency_key": f"strip {call.__name__}".replace(" ", "-")})
    ]  # fmt: skip

    seeds = [{picture.seed for picture in strip} for strip in strips]
    assert [len(each) for each in seeds] == [1, 1, 1, 1]
    assert seeds[0] != seeds[1]
    # The same call under the same key finds the first one's batch.
    assert [picture.content for picture in strips[2]] == [picture.content for picture in strips[3]]


def test_strip_when_it_is_to_have_the_photos_proportions_then_it_has(call: Call, url: str) -> None:
    strip = call(url, "strip", PHOTO, STANDING, WALKING, 2, steps=2, fit="source")

    with Image.open(PHOTO) as photo:
        width = round(256 * photo.width / photo.height)
    assert {pixels(picture.content).shape for picture in strip} == {(256, width, 3)}


def test_strip_when_a_crop_is_asked_for_then_its_pictures_have_that_frame(call: Call, url: str) -> None:
    strip = call(url, "strip", a_wide_photo(), STANDING, WALKING, 2, steps=2, fit="source", crop="person")

    widths = [pixels(picture.content).shape[1] for picture in strip]
    assert widths == pytest.approx([176, 176], abs=1)


def test_generate_when_it_is_to_have_the_photos_proportions_then_it_has(call: Call, url: str) -> None:
    picture = call(url, "generate", PHOTO, WALKING, steps=2, fit="source")

    with Image.open(PHOTO) as photo:
        assert pixels(picture.content).shape == (256, round(256 * photo.width / photo.height), 3)


def test_poses_between_when_asked_for_then_generate_takes_each(call: Call, url: str) -> None:
    poses = call(url, "poses_between", POSE, WALKING, 3)

    assert [set(pose) for pose in poses] == 3 * [{"keypoints", "size", "origin"}]
    picture = call(url, "generate", PHOTO, poses[1], steps=3, seed=5)
    expected = expected_of(service_between(OF_FILE, OF_WALKING, 0.5), num_steps=3, seed=5)
    assert (pixels(picture.content) == expected).all()


def test_strip_when_the_service_refuses_then_the_field_is_named(call: Call, url: str) -> None:
    with pytest.raises(RequestError) as count:
        call(url, "strip", PHOTO, STANDING, WALKING, 101)
    with pytest.raises(RequestError) as pose:
        call(url, "strip", PHOTO, STANDING, {"preset": "flying"}, 4)

    assert [error.value.errors[0].pointer for error in (count, pose)] == ["/count", "/to/preset"]


@pytest.mark.parametrize("pose", ["skeleton", "no json"])
def test_strip_when_a_pose_has_no_key_points_then_nothing_is_sent(call: Call, tmp_path: Path, pose: str) -> None:
    path = tmp_path / "pose"
    path.write_bytes(skeleton_file() if pose == "skeleton" else b"[1, 2]")

    for asked in (
        lambda: call("http://127.0.0.1:9", "strip", PHOTO, STANDING, path, 4),
        lambda: moved(path, mirror=True),
        lambda: between(path, STANDING, 0.5),
    ):
        with pytest.raises(ValueError, match=r"pose: the pose must be given by key points"):
            asked()


def test_strip_when_several_pictures_a_pose_are_asked_for_then_it_is_refused(call: Call) -> None:
    with pytest.raises(ValueError, match="num_images"):
        call("http://127.0.0.1:9", "strip", PHOTO, STANDING, WALKING, 4, num_images=2)


def test_strip_when_a_picture_fails_then_that_is_raised(call: Call) -> None:
    pose = {"keypoints": [], "size": [1, 1], "origin": [0, 0], "at": 0}
    poses = an_answer(200, json.dumps({"object": "list", "data": [pose, pose]}).encode())
    source = an_answer(201, json.dumps({"id": "src_1", "object": "source", "vector": "pending"}).encode())
    error = {"detail": "it broke", "code": "backend_error", "status": 500, "retryable": False}
    lines = [a_line(1, custom_id="s0-p1", status="failed", outputs=[], error=error), a_line(2, custom_id="s0-p0")]
    picture = an_answer(200, b"picture", "image/png")
    with (
        scripted_server([poses, source, a_batch(2), a_batch(2), a_stream(*lines), picture]) as server,
        pytest.raises(JobFailedError, match="it broke"),
    ):
        call(server.url, "strip", PHOTO, STANDING, WALKING, 2)

    assert server.starts()[0] == "POST /v1/poses/between"
    assert server.starts()[-1] == f"GET /v1/jobs/{JOB_ID}/result"


def test_poses_between_when_the_service_is_away_for_a_moment_then_it_is_asked_again(call: Call) -> None:
    poses = an_answer(200, json.dumps({"object": "list", "data": []}).encode())
    with scripted_server([a_problem(503, "queue_unavailable", retryable=True), poses]) as server:
        assert call(server.url, "poses_between", STANDING, WALKING, 2) == ()

    assert server.starts() == 2 * ["POST /v1/poses/between"]
