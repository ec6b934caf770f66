"""A photo and a pose go in over HTTP, a picture comes out: real processes, real queue, exported graphs."""

import json
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.integration.processes import EXAMPLES, RunningService, multipart, pixels, skeleton_of
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.reference import reference_picture
from xmdpt.preprocess import to_photo

PARAMS = {"seed": 7, "steps": 10}


@pytest.fixture(scope="module")
def baseline(service: RunningService, photo: bytes, pose: dict) -> np.ndarray:
    return pixels(service.generate(photo, pose, **PARAMS).content)


def mirrored(pose: dict) -> dict:
    width = pose["size"][0]
    return {**pose, "keypoints": [p and [width - p[0], *p[1:]] for p in pose["keypoints"]]}


def test_generate_when_waiting_then_image_is_the_body(service: RunningService, photo: bytes, pose: dict) -> None:
    response = service.generate(photo, pose, **PARAMS)

    assert response.status_code == httpx.codes.OK
    assert response.headers["content-type"] == "image/png"
    assert response.headers["x-xmdpt-seed"] == "7"
    assert Image.open(BytesIO(response.content)).size == (256, 256)


def test_generate_when_same_request_twice_then_same_bytes(service: RunningService, photo: bytes, pose: dict) -> None:
    first, second = (service.generate(photo, pose, **PARAMS) for _ in range(2))

    assert first.content == second.content
    assert first.headers["x-xmdpt-job-id"] != second.headers["x-xmdpt-job-id"]


@pytest.mark.parametrize("changed", ["source", "pose", "seed", "steps", "guidance"])
def test_picture_when_one_input_changes_then_it_changes_visibly(
    service: RunningService, photo: bytes, person: bytes, pose: dict, baseline: np.ndarray, changed: str
) -> None:
    source = person if changed == "source" else photo
    target = mirrored(pose) if changed == "pose" else pose
    fields = PARAMS | {"seed": {"seed": 8}, "steps": {"steps": 2}, "guidance": {"guidance": 8.0}}.get(changed, {})

    other = pixels(service.generate(source, target, **fields).content)

    # A model that is good at it draws the same person in the same pose again: much of the picture stays.
    assert np.abs(other - baseline).mean() > 0.3


def test_picture_when_a_preset_is_named_then_it_is_near_the_exact_one_and_says_what_it_is(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    (model,) = service.client.get("/v1/models").json()["data"]
    offered = {preset["name"]: preset for preset in model["presets"]}
    assert list(offered) == ["exact", "fast", "draft"]
    exact = pixels(service.generate(photo, pose, seed=7).content)

    for name, steps in (("fast", "50"), ("draft", "20")):
        first, second = (service.generate(photo, pose, seed=7, preset=name) for _ in range(2))
        headers = [first.headers[f"x-xmdpt-{kind}"] for kind in ("preset", "precision", "steps")]
        assert headers == [name, offered[name]["precision"], steps] == [name, "int8", steps]
        assert first.content == second.content
        assert Image.open(BytesIO(first.content)).info["Preset"] == name
        timings = service.job(first.headers["x-xmdpt-job-id"])["timings_ms"].keys()
        assert {"tdnet_step_low", "vae_decoder_low"} <= timings
        assert timings.isdisjoint({"tdnet_step", "vae_decoder"})
        picture = pixels(first.content)
        assert not np.array_equal(picture, exact)
        assert 10 * np.log10(255**2 / np.square(picture - exact.astype(float)).mean()) > 35


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
@pytest.mark.parametrize("name", ["astronaut.jpg", "person.png"])
def test_picture_when_compared_with_the_torch_reference_then_at_most_one_grey_level(
    service: RunningService, shipped_pipeline: Pipeline, pose: dict, name: str, sampler: str
) -> None:
    content = (EXAMPLES / name).read_bytes()
    served = pixels(service.generate(content, pose, seed=3, steps=10, sampler=sampler).content)
    with Image.open(BytesIO(content)) as image:
        expected = reference_picture(
            shipped_pipeline, to_photo(image), skeleton_of(pose), seed=3, num_steps=10, guidance=2.0, sampler=sampler
        )

    assert expected.std() > 10, "a picture of one colour would agree with anything"

    assert np.abs(served - expected.astype(np.int16)).max() <= 1


def test_picture_when_eight_jobs_share_each_step_then_at_most_one_grey_level_off(
    service: RunningService, photo: bytes, person: bytes, pose: dict
) -> None:
    alone = {
        0: pixels(service.generate(photo, pose, seed=1, steps=100).content),
        5: pixels(service.generate(person, pose, seed=6, steps=110).content),
    }
    full_before = full_batches(service)
    sources = [photo, person, photo, person, photo, person, photo, person]

    with ThreadPoolExecutor(8) as pool:
        responses = list(
            pool.map(
                lambda i: service.generate(sources[i], pose, seed=1 + i, steps=100 + 5 * (i % 3), guidance=2.0),
                range(8),
            )
        )

    assert [response.status_code for response in responses] == [200] * 8
    assert full_batches(service) > full_before
    for index, picture in alone.items():
        assert np.abs(pixels(responses[index].content) - picture).max() <= 1


def full_batches(service: RunningService) -> float:
    """Denoising steps that eight rows have shared."""
    up_to_eight, up_to_seven = (
        service.metric("xmdpt_step_batch_rows_bucket", f'{{le="{limit}"}}') for limit in ("8.0", "7.0")
    )
    return up_to_eight - up_to_seven


def test_generate_when_json_with_base64_then_same_picture_as_multipart(
    service: RunningService, photo: bytes, pose: dict, baseline: np.ndarray
) -> None:
    from base64 import b64encode

    body = {"source": {"data": b64encode(photo).decode()}, "pose": pose, **PARAMS}
    response = service.client.post("/v1/generate", json=body, headers={"Prefer": "wait=60"})

    assert response.status_code == httpx.codes.OK, response.text
    assert (pixels(response.content) == baseline).all()


def test_generate_when_pose_is_a_skeleton_picture_then_same_picture_as_key_points(
    service: RunningService, photo: bytes, pose: dict, baseline: np.ndarray
) -> None:
    buffer = BytesIO()
    Image.fromarray(skeleton_of(pose)).save(buffer, "PNG")

    response = service.generate(photo, buffer.getvalue(), **PARAMS)

    assert (pixels(response.content) == baseline).all()


def test_job_when_submitted_without_waiting_then_it_can_be_followed_to_its_result(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    job = service.submit(photo, pose, **PARAMS)

    ended = service.ended(job["id"])
    result = service.client.get(ended["urls"]["result"])

    assert ended["status"] == "succeeded"
    assert ended["progress"]["ratio"] == 1
    assert result.headers["content-type"] == "image/png"
    stages = {"queue", "decode_input", "source_encoder", "pose_encoder", "canet", "tdnet_step", "vae_decoder"}
    assert stages <= ended["timings_ms"].keys()


def test_job_when_seed_is_absent_then_the_drawn_seed_makes_the_picture_again(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    first = service.generate(photo, pose, steps=4)
    again = service.generate(photo, pose, steps=4, seed=first.headers["x-xmdpt-seed"])

    assert first.content == again.content


def test_generate_when_refused_then_the_problem_names_the_field(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    response = service.client.post("/generate", **multipart(photo, pose, {"steps": -3}))

    problem = json.loads(response.content)
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["errors"][0]["pointer"] == "/steps"
