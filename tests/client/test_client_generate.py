"""The client against the whole service: what goes in, what comes out, how it is waited for."""

import dataclasses
import inspect
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from service.adapters.simulated_backend import expected_picture
from service.domain.request import Sampler, SamplingParams
from tests.client.conftest import Call
from tests.client.parts import PHOTO, POSE, POSE_DOCUMENT
from tests.integration.processes import EXAMPLES, pixels, skeleton_of
from xmdpt.preprocess import to_photo
from xmdpt.presets import Preset
from xmdpt_client import (
    AsyncClient,
    Client,
    JobFailedError,
    JobStateError,
    KeyPoints,
    NotFoundError,
    PhotoOfPose,
    Progress,
    RequestError,
    StoredSource,
    WaitOverError,
)


def expected(**params: object) -> object:
    with Image.open(PHOTO) as photo:
        return expected_picture(to_photo(photo), skeleton_of(POSE_DOCUMENT), SamplingParams(**params)).astype("int16")


def skeleton_file() -> bytes:
    buffer = BytesIO()
    Image.fromarray(skeleton_of(POSE_DOCUMENT)).save(buffer, "PNG")
    return buffer.getvalue()


def test_generate_when_asked_for_everything_then_the_service_got_everything(call: Call, url: str) -> None:
    options = {"steps": 4, "seed": 11, "guidance": 3.5, "sampler": "dpmpp_2m", "format": "png", "priority": "batch"}
    options["preset"] = "draft"

    picture = call(url, "generate", PHOTO, POSE, deadline=60, **options)

    params = {"num_steps": 4, "seed": 11, "guidance": 3.5, "sampler": Sampler.DPMPP_2M, "preset": Preset.DRAFT}
    assert (pixels(picture.content) == expected(**params)).all()
    assert (picture.content_type, picture.seed) == ("image/png", 11)
    document = call(url, "job", picture.job_id).document
    assert document["request"]["format"] == "png"
    assert document["queue"]["priority"] == "batch"
    assert document["deadline_at"] is not None


@pytest.mark.parametrize(
    ("source", "pose"),
    [
        (str(PHOTO), str(POSE)),
        (PHOTO.read_bytes(), POSE.read_bytes()),
        (PHOTO, POSE_DOCUMENT),
        (PHOTO, KeyPoints([tuple(point) for point in POSE_DOCUMENT["keypoints"]], (176, 256))),
        (PHOTO, skeleton_file()),
    ],
    ids=["paths", "bytes", "dict", "key points", "skeleton"],
)
def test_generate_when_given_in_another_form_then_it_is_the_same_picture(
    call: Call, url: str, source: object, pose: object
) -> None:
    picture = call(url, "generate", source, pose, steps=3, seed=5)

    assert (pixels(picture.content) == expected(num_steps=3, seed=5)).all()


def test_generate_when_given_open_files_then_they_are_read(call: Call, url: str, tmp_path: Path) -> None:
    (tmp_path / "skeleton.png").write_bytes(skeleton_file())
    with PHOTO.open("rb") as photo, (tmp_path / "skeleton.png").open("rb") as pose:
        picture = call(url, "generate", photo, pose, steps=3, seed=5)

    assert (pixels(picture.content) == expected(num_steps=3, seed=5)).all()


def test_generate_when_its_pictures_were_uploaded_then_it_is_the_same_picture(call: Call, url: str) -> None:
    source, pose = call(url, "upload_source", PHOTO), call(url, "upload_pose", POSE)

    pictures = [
        call(url, "generate", *pair, steps=3, seed=5) for pair in ((source, pose), (source, POSE), (PHOTO, pose))
    ]

    assert all((pixels(picture.content) == expected(num_steps=3, seed=5)).all() for picture in pictures)
    assert call(url, "upload_source", PHOTO.read_bytes()).id == source.id
    assert call(url, "upload_pose", POSE_DOCUMENT).id == pose.id
    assert call(url, "upload_source", PHOTO).is_encoded, "the jobs have needed its vector"
    call(url, "delete_source", source)
    call(url, "delete_pose", pose.id)
    for method, picture in (("delete_source", source), ("delete_pose", pose)):
        with pytest.raises(NotFoundError):
            call(url, method, picture)
    with pytest.raises(RequestError) as caught:
        call(url, "submit", source, POSE)
    assert [fault.pointer for fault in caught.value.errors] == ["/source/id"]


def test_upload_when_it_is_to_be_warm_then_it_is_encoded(call: Call, url: str) -> None:
    width, height = POSE_DOCUMENT["size"]
    points = KeyPoints(POSE_DOCUMENT["keypoints"], (width + 1, height + 2))

    assert call(url, "upload_source", skeleton_file(), warm=True).is_encoded
    assert call(url, "upload_pose", points, warm=True).is_encoded


@pytest.mark.parametrize("method", ["upload_source", "upload_pose"])
def test_upload_when_the_picture_is_unusable_then_the_error_names_it(call: Call, url: str, method: str) -> None:
    with pytest.raises(RequestError, match="image_type"):
        call(url, method, b"no picture")
    with pytest.raises(TypeError):
        call(url, method, StoredSource("src_" + "0" * 32, False, {}))


def test_generation_when_saved_then_the_file_has_the_format_that_was_asked_for(
    call: Call, url: str, tmp_path: Path
) -> None:
    picture = call(url, "generate", PHOTO, POSE, steps=2, format="webp", quality=40)

    picture.save(tmp_path / "out.webp")

    with Image.open(tmp_path / "out.webp") as image:
        assert (image.format, image.size) == ("WEBP", (256, 256))
    assert picture.content_type == "image/webp"


def test_generate_when_several_are_asked_for_then_each_is_that_of_its_seed(
    call: Call, url: str, tmp_path: Path
) -> None:
    generation = call(url, "generate", PHOTO, POSE, steps=3, seed=5, num_images=3)

    for index, picture in enumerate(generation.pictures):
        assert (picture.seed, picture.content_type) == (5 + index, "image/png")
        assert (pixels(picture.content) == expected(num_steps=3, seed=5 + index)).all()
        picture.save(tmp_path / f"{index}.png")
    assert len(generation.pictures) == len(list(tmp_path.iterdir())) == 3
    first = generation.pictures[0]
    assert (generation.content, generation.content_type, generation.seed) == (first.content, "image/png", 5)
    assert call(url, "result", generation.job_id) == generation


def test_generate_when_watched_then_progress_grows_to_the_end(call: Call, url: str) -> None:
    seen: list[Progress] = []

    call(url, "generate", PHOTO, POSE, steps=100, on_progress=seen.append)

    assert [progress.step for progress in seen] == sorted(progress.step for progress in seen)
    assert (seen[-1].status, seen[-1].ratio, seen[-1].eta) == ("succeeded", 1.0, None)
    running = [progress for progress in seen if progress.status == "running" and progress.eta]
    assert running, seen
    assert running[0].steps == 100
    assert 0 < running[0].eta.p50_seconds <= running[0].eta.p90_seconds < 60
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen[0].step = 1  # type: ignore[misc]


def test_generate_when_it_takes_too_long_then_the_job_goes_on(call: Call, url: str) -> None:
    with pytest.raises(WaitOverError, match=r"after 0\.5 s; it goes on") as caught:
        call(url, "generate", PHOTO, POSE, steps=100, wait=0.5)

    error = caught.value
    assert (error.code, error.status, error.retryable) == ("wait_over", None, True)
    assert call(url, "wait", error.job_id).status == "succeeded"


def test_job_when_submitted_then_it_is_waited_for_and_fetched(call: Call, url: str) -> None:
    submitted = call(url, "submit", PHOTO, POSE, steps=100, seed=2)
    with pytest.raises(JobStateError, match=r"no picture \(not_finished\)"):
        call(url, "result", submitted.id)

    ended = call(url, "wait", submitted)
    pictures = [call(url, "result", job) for job in (submitted, ended, ended.id)]

    assert (submitted.has_ended, ended.has_ended) == (False, True)
    assert len({picture.content for picture in pictures}) == 1
    (output,) = ended.outputs
    assert (output.num_bytes, output.seed) == (len(pictures[0].content), 2)


def test_job_when_cancelled_then_it_has_no_picture(call: Call, url: str) -> None:
    job = call(url, "submit", PHOTO, POSE, steps=250)

    assert call(url, "cancel", job.id).status in ("cancelling", "cancelled")

    assert call(url, "wait", job).status == "cancelled"
    with pytest.raises(JobStateError, match="cancelled") as caught:
        call(url, "result", job)
    assert (caught.value.code, caught.value.retryable, caught.value.job_id) == ("cancelled", False, job.id)


def test_generate_when_the_job_fails_then_its_own_problem_is_raised(call: Call, url: str) -> None:
    with pytest.raises(JobFailedError) as caught:
        call(url, "generate", PHOTO, POSE, steps=250, deadline=0.3)

    error = caught.value
    assert (error.code, error.status, error.retryable) == ("deadline_exceeded", 504, True)
    assert str(call(url, "job", error.job_id).error) == str(error)


def test_submit_when_the_key_is_the_same_then_so_is_the_job(
    call: Call, url: str, request: pytest.FixtureRequest
) -> None:
    key = request.node.name

    jobs = [call(url, "submit", PHOTO, POSE, steps=2, idempotency_key=key) for _ in range(2)]
    with pytest.raises(RequestError, match="idempotency_mismatch"):
        call(url, "submit", PHOTO, POSE, steps=3, idempotency_key=key)

    assert jobs[0].id == jobs[1].id
    assert call(url, "submit", PHOTO, POSE, steps=2).id != jobs[0].id


def test_generate_when_fields_are_wrong_then_the_error_names_them(call: Call, url: str) -> None:
    with pytest.raises(RequestError) as caught:
        call(url, "generate", PHOTO, POSE, steps=1, guidance=99, sampler="euler")

    error = caught.value
    assert (error.code, error.status, error.retryable) == ("validation", 422, False)
    assert {fault.pointer for fault in error.errors} == {"/steps", "/guidance", "/sampler"}
    assert error.request_id
    assert "/steps must be greater than or equal to 2" in str(error)


def test_job_when_there_is_none_then_it_is_not_found(call: Call, url: str) -> None:
    for method in ("job", "wait", "result", "cancel"):
        with pytest.raises(NotFoundError):
            call(url, method, "job_" + "0" * 32)
        with pytest.raises(NotFoundError):
            call(url, method, "../models")


def test_models_when_asked_for_then_ranges_and_defaults_are_there(call: Call, url: str) -> None:
    (model,) = call(url, "models")

    assert (model.name, model.is_trained, model.size) == ("tiny", False, (256, 256))
    assert (model.steps.min, model.steps.max, model.steps.default) == (2, 250, 50)
    assert "dpmpp_2m" in model.samplers
    presets = [(preset.name, preset.steps, preset.precision, preset.psnr_db) for preset in model.presets]
    assert presets == [("exact", 50, "fp32", None), ("fast", 50, "fp16", None), ("draft", 20, "fp16", None)]
    assert model.document["weights_origin"]


def test_clients_when_compared_then_they_take_the_same_arguments() -> None:
    def methods(kind: type) -> dict[str, list[tuple]]:
        found = {name: value for name, value in vars(kind).items() if not name.startswith("_") or name == "__init__"}
        return {
            name: [(p.name, p.kind, p.default, p.annotation) for p in inspect.signature(value).parameters.values()]
            for name, value in found.items()
        }

    assert methods(Client) == methods(AsyncClient)


def test_generate_when_the_pose_is_a_photo_then_the_service_finds_it(call: Call, url: str) -> None:
    made = call(url, "generate", PHOTO, PhotoOfPose(PHOTO), steps=2, seed=1, crop="person", fit="source")

    request = call(url, "job", made.job_id).document["request"]

    assert len(request["pose"]["keypoints"]) == 18
    # The frame around the person has the shape of the model's photos.
    assert pixels(made.content).shape[1] == pytest.approx(176, abs=1)


def test_generate_when_the_photo_of_the_pose_is_a_portrait_then_the_service_says_what_is_missing(
    call: Call, url: str
) -> None:
    with pytest.raises(RequestError, match="hip") as error:
        call(url, "generate", PHOTO, PhotoOfPose(EXAMPLES / "astronaut.jpg"), steps=2)

    assert error.value.code == "person_out_of_frame"
