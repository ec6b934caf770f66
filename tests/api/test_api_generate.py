"""A generate call that waits: what it takes, and the picture with everything that is said about it."""

import hashlib
import json
import re

import httpx
import pytest

from service.domain.job import JobStatus, NewJob
from tests.api.bad_inputs import GOOD_BODY, GOOD_PNG, JSON_POSE, POSE, SKELETON, SOURCE, as_form, as_json, part
from tests.api.conftest import Edge

PATHS = ("/v1/generate", "/generate")
FORM = as_form(SOURCE, JSON_POSE, part("seed", b"1", is_file=False))
SKELETON_FORM = as_form(SOURCE, SKELETON, part("seed", b"1", is_file=False))


def the_job(edge: Edge) -> str:
    (job_id,) = edge.intake.jobs
    return job_id


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("request_body", [as_json(GOOD_BODY), FORM, SKELETON_FORM], ids=["json", "form", "skeleton"])
def test_generate_when_the_job_ends_in_time_then_its_picture_is_the_body(
    edge: Edge, path: str, request_body: dict
) -> None:
    response = edge.client.post(path, **request_body)

    job_id = the_job(edge)
    assert response.status_code == httpx.codes.OK, response.text
    assert response.content == edge.blobs.content[f"out/{job_id}.1"]
    headers = {name: response.headers[name] for name in response.headers if name not in ("date", "server")}
    assert len(headers.pop("x-request-id")) == 16
    assert re.fullmatch(r"private, max-age=\d+, immutable", headers.pop("cache-control"))
    assert headers == {
        "accept-ranges": "bytes",
        "content-type": "image/png",
        "content-length": str(len(response.content)),
        "content-location": f"/v1/jobs/{job_id}/result",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "etag": f'"sha256-{hashlib.sha256(response.content).hexdigest()}"',
        "preference-applied": "wait=5",
        "referrer-policy": "no-referrer",
        "server-timing": "queue;dur=12, tdnet_step;dur=250, total;dur=262",
        "x-content-type-options": "nosniff",
        "vary": "Accept",
        "x-xmdpt-cache": "source=hit, pose=miss",
        "x-xmdpt-job-id": job_id,
        "x-xmdpt-precision": "int8",
        "x-xmdpt-preset": "exact",
        "x-xmdpt-runtime": "fake",
        "x-xmdpt-seed": "1",
        "x-xmdpt-steps": "50",
    }


def test_generate_when_json_and_form_say_the_same_then_the_same_is_asked_for(edge: Edge) -> None:
    edge.client.post("/v1/generate", **as_json(GOOD_BODY))
    edge.client.post("/v1/generate", **FORM)

    first, second = (job.request for job in edge.intake.jobs.values())
    assert first == second


def test_generate_when_fields_are_given_then_they_reach_the_queue_and_the_headers(edge: Edge) -> None:
    fields = {"seed": 2**53 - 1, "steps": 7, "guidance": 3.5, "sampler": "dpmpp_2m", "model": "tiny"}
    output = {"format": "webp", "quality": 42}

    response = edge.client.post("/v1/generate", json=GOOD_BODY | fields | {"output": output})

    request = edge.intake.jobs[the_job(edge)].request
    assert (request.params.seed, request.params.num_steps) == (2**53 - 1, 7)
    assert (request.params.guidance, request.params.sampler) == (3.5, "dpmpp_2m")
    assert (request.output.format, request.output.quality) == ("webp", 42)
    assert request.output.preview_every_steps == 0
    assert response.headers["content-type"] == "image/webp"
    assert (response.headers["x-xmdpt-seed"], response.headers["x-xmdpt-steps"]) == (str(2**53 - 1), "7")


@pytest.mark.parametrize(
    ("fields", "num_steps"),
    [({}, 50), ({"preset": "exact"}, 50), ({"preset": "draft"}, 20), ({"preset": "draft", "steps": 30}, 30)],
    ids=str,
)
@pytest.mark.parametrize("is_form", [False, True], ids=["json", "form"])
def test_generate_when_a_preset_is_named_then_it_gives_what_is_not_said_and_the_answer_tells(
    edge: Edge, fields: dict, num_steps: int, is_form: bool
) -> None:
    parts = [part(name, str(value).encode(), is_file=False) for name, value in fields.items()]
    asked = as_form(SOURCE, JSON_POSE, *parts) if is_form else as_json(GOOD_BODY | fields)

    response = edge.client.post("/v1/generate", **asked)

    params, preset = edge.intake.jobs[the_job(edge)].request.params, fields.get("preset", "exact")
    assert (params.preset, params.num_steps, params.sampler) == (preset, num_steps, "ddim")
    assert (response.headers["x-xmdpt-preset"], response.headers["x-xmdpt-steps"]) == (preset, str(num_steps))
    request = edge.client.get(response.headers["content-location"].removesuffix("/result")).json()["request"]
    assert (request["preset"], request["steps"]) == (preset, num_steps)


def test_generate_when_class_deadline_and_previews_are_given_then_they_reach_the_queue(edge: Edge) -> None:
    body = GOOD_BODY | {"priority": "batch", "deadline_ms": 1500, "preview": {"every_steps": 50}}
    form = [part(name, value, is_file=False) for name, value in (("priority", b"batch"), ("deadline_ms", b"1500"))]
    form.append(part("params", b'{"preview": {"every_steps": 50}}', is_file=False))

    edge.client.post("/v1/generate", json=body)
    edge.client.post("/v1/generate", **as_form(SOURCE, JSON_POSE, *form))

    for job in edge.intake.accepted:
        assert (job.priority, job.deadline_seconds) == ("batch", 1.5)
        assert job.request.output.preview_every_steps == 50
    assert len(edge.intake.accepted) == 2


def test_generate_when_nothing_is_said_then_the_job_is_interactive_and_has_a_day(edge: Edge) -> None:
    edge.client.post("/v1/generate", json=GOOD_BODY)

    (job,) = edge.intake.accepted
    assert (job.priority, job.deadline_seconds, job.idempotency) == ("interactive", 86_400, None)


def test_generate_when_the_form_has_params_then_they_count_as_fields(edge: Edge) -> None:
    params = part("params", json.dumps({"steps": 9, "output": {"format": "jpeg"}}).encode(), is_file=False)

    response = edge.client.post(
        "/generate", **as_form(SOURCE, JSON_POSE, params, part("quality", b"50", is_file=False))
    )

    request = edge.intake.jobs[the_job(edge)].request
    assert response.headers["content-type"] == "image/jpeg"
    assert (request.params.num_steps, request.output.quality) == (9, 50)


def test_generate_when_no_seed_is_given_then_one_is_drawn_and_told(edge: Edge) -> None:
    body = {name: value for name, value in GOOD_BODY.items() if name != "seed"}

    seeds = [int(edge.client.post("/generate", json=body).headers["x-xmdpt-seed"]) for _ in range(2)]

    assert [job.request.params.seed for job in edge.intake.jobs.values()] == seeds
    assert seeds[0] != seeds[1]


def test_generate_when_accepted_then_the_pixels_are_stored_under_their_digests(edge: Edge) -> None:
    edge.client.post("/v1/generate", **SKELETON_FORM)

    job_id = the_job(edge)
    stored, request = edge.blobs.content[f"in/{job_id}"], edge.intake.jobs[job_id].request
    photo, skeleton = stored[:196_608], stored[196_608:]
    assert request.source_digest == f"sha256:{hashlib.sha256(photo).hexdigest()}"
    assert request.pose_digest == f"sha256:{hashlib.sha256(skeleton).hexdigest()}"
    assert photo == skeleton, "the same file was sent twice"


def test_generate_when_the_form_comes_from_a_usual_client_then_it_is_understood(edge: Edge) -> None:
    files = {
        "source": ("photo.png", GOOD_PNG, "image/png"),
        "pose": ("pose.json", json.dumps(POSE), "application/json"),
    }

    response = edge.client.post("/generate", files=files, data={"steps": "20", "guidance": "1.5", "format": "webp"})

    request = edge.intake.jobs[the_job(edge)].request
    assert response.headers["content-type"] == "image/webp"
    assert (request.params.num_steps, request.params.guidance) == (20, 1.5)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("backend_error", 500),
        ("attempts_exhausted", 500),
        ("resource_exhausted", 503),
        ("deadline_exceeded", 504),
    ],
)
def test_generate_when_the_job_fails_then_its_problem_names_it(edge: Edge, code: str, status: int) -> None:
    edge.intake.on_enqueue = lambda job: edge.intake.fail(job.id, code)

    response = edge.client.post("/v1/generate", json=GOOD_BODY)

    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["code"]) == (status, code)
    assert problem["detail"] == "scripted failure"
    assert problem["job_id"] == the_job(edge)


def test_generate_when_the_stored_picture_is_damaged_then_it_is_not_sent(edge: Edge) -> None:
    def work_badly(job: NewJob) -> None:
        edge.work(job)
        edge.blobs.put_output(job.id, 1, b"something else")

    edge.intake.on_enqueue = work_badly

    response = edge.client.post("/v1/generate", json=GOOD_BODY)

    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")
    assert edge.intake.jobs[the_job(edge)].status is JobStatus.SUCCEEDED
