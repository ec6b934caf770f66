"""What the client makes of faults that a service shows rarely: answers scripted byte by byte over real HTTP."""

import io
import pickle
from pathlib import Path

import pytest

from tests.client.conftest import Call
from tests.client.parts import ACCEPTED, JOB_ID, PHOTO, PICTURE, POSE, job_answer
from tests.fakes.scripted_http import ScriptedServer, a_problem, an_answer, scripted_server
from tests.integration.processes import free_port
from xmdpt_client import (
    AccessError,
    AsyncClient,
    Client,
    FieldError,
    JobStateError,
    OverloadedError,
    RequestError,
    ServerError,
    UnexpectedAnswerError,
    UnreachableError,
    XmdptError,
)

NOW = {"Retry_After": "0"}
CUT = an_answer(202, b"{" * 100)[:-50]
FULL = a_problem(503, "overloaded", retryable=True, headers=NOW)
PAGE = b"<html>"


def keys(server: ScriptedServer) -> set[str | None]:
    return {server.header(number, "Idempotency-Key") for number in range(len(server.requests))}


@pytest.mark.parametrize(
    "fault",
    [
        b"",
        CUT,
        FULL,
        a_problem(429, "tenant_queue_full", retryable=True, headers=NOW),
        an_answer(503, PAGE, "text/html", **NOW),
        an_answer(502, PAGE, "text/html"),
    ],
    ids=["closed", "cut", "overloaded", "too many", "proxy without room", "proxy without server"],
)
def test_submit_when_a_try_fails_then_the_same_call_is_sent_again(call: Call, fault: bytes) -> None:
    with scripted_server([fault, ACCEPTED]) as server:
        job = call(server.url, "submit", PHOTO, POSE)

    assert job.id == JOB_ID
    assert server.starts() == ["POST /v1/jobs"] * 2
    (key,) = keys(server)
    assert key
    for request in server.requests:
        assert PHOTO.read_bytes().decode("latin-1") in request


def test_generate_when_every_call_fails_once_then_the_picture_comes(call: Call) -> None:
    script = [CUT, ACCEPTED, CUT, job_answer(), FULL, PICTURE]
    with scripted_server(script) as server:
        picture = call(server.url, "generate", PHOTO, POSE)

    assert (picture.content, picture.content_type, picture.seed) == (b"picture", "image/png", 9)
    job = f"/v1/jobs/{JOB_ID}"
    assert server.starts()[::2] == ["POST /v1/generate", f"GET {job}", f"GET {job}/result"]
    assert server.header(2, "Prefer") == "wait=20"


def test_submit_when_it_goes_on_failing_then_tries_are_bounded(call: Call) -> None:
    with scripted_server([FULL] * 5) as server, pytest.raises(OverloadedError) as caught:
        call(server.url, "submit", PHOTO, POSE)

    assert len(server.requests) == 3
    error = caught.value
    assert (error.code, error.status, error.retryable, error.retry_after) == ("overloaded", 503, True, 0.0)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (a_problem(503, "overloaded", retryable=True, headers={"Retry_After": "3600"}), OverloadedError),
        (a_problem(503, "deadline_unreachable"), OverloadedError),
        (a_problem(500, "internal_error"), ServerError),
        (a_problem(504, "backend_timeout", retryable=True), ServerError),
        (a_problem(401, "unauthenticated"), AccessError),
        (a_problem(403, "forbidden"), AccessError),
        (a_problem(410, "expired"), JobStateError),
        (a_problem(413, "body_too_large"), RequestError),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value.__name__,
)
def test_submit_when_another_try_would_be_no_use_then_there_is_none(call: Call, answer: bytes, kind: type) -> None:
    with scripted_server([answer, ACCEPTED]) as server, pytest.raises(XmdptError) as caught:
        call(server.url, "submit", PHOTO, POSE)

    assert type(caught.value) is kind
    assert caught.value.detail == "what is wrong"
    assert len(server.requests) == 1


def test_error_when_read_from_a_problem_then_it_has_all_its_parts(call: Call) -> None:
    problem = a_problem(
        422,
        "validation",
        job_id=JOB_ID,
        errors=[{"pointer": "/steps", "detail": "must be more"}, {"pointer": "/seed", "detail": "must be less"}],
        headers={"X_Request_Id": "abc"},
    )
    with scripted_server([problem]) as server, pytest.raises(RequestError) as caught:
        call(server.url, "cancel", JOB_ID)

    error = caught.value
    assert error.errors == (FieldError("/steps", "must be more"), FieldError("/seed", "must be less"))
    assert (error.request_id, error.job_id, error.retry_after) == ("abc", JOB_ID, None)
    assert str(error) == "/steps must be more; /seed must be less (validation)"
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)


def test_call_when_nobody_listens_then_the_error_names_the_address(call: Call) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(UnreachableError, match=url) as caught:
        call(url, "models")

    assert (caught.value.code, caught.value.status, caught.value.retryable) == ("unreachable", None, True)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("job", an_answer(200, PAGE, "text/html")),
        ("job", an_answer(200, b'{"object": "list"}')),
        ("job", an_answer(200, b"[1]")),
        ("job", job_answer(progress=[])),
        ("job", job_answer("failed", error="a text")),
        ("job", an_answer(404, PAGE, "text/html")),
        ("job", an_answer(302, b"", "text/plain", Location="https://elsewhere/")),
        ("job", an_answer(422, b'{"code": 7}', "application/problem+json")),
        ("job", an_answer(422, b"[]", "application/problem+json")),
        ("models", an_answer(200, b'{"data": [{"name": "s"}]}')),
        ("models", an_answer(200, b"null")),
    ],
)
def test_call_when_somebody_else_answers_then_the_error_names_address_and_status(
    call: Call, method: str, answer: bytes
) -> None:
    arguments = [] if method == "models" else [JOB_ID]
    with scripted_server([answer, answer]) as server, pytest.raises(UnexpectedAnswerError) as caught:
        call(server.url, method, *arguments)

    assert f"{server.url}/v1/" in caught.value.detail
    assert caught.value.code == "unexpected_answer"
    assert caught.value.status == int(answer.split()[1])
    assert len(server.requests) == 1


def test_result_when_the_answer_is_no_picture_then_it_is_not_taken_for_one(call: Call) -> None:
    script = [job_answer(), an_answer(200, PAGE, "text/html")]
    with scripted_server(script) as server, pytest.raises(UnexpectedAnswerError):
        call(server.url, "result", JOB_ID)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("base_url", "key"),
    [
        ("127.0.0.1:8080", None),
        ("ftp://host", None),
        ("http://", None),
        ("http://host:port", None),
        ("http://host", "a\nb"),
    ],
)
def test_client_when_address_or_key_cannot_be_one_then_it_is_refused(
    kind: type, base_url: str, key: str | None
) -> None:
    with pytest.raises(ValueError, match="base_url" if key is None else "api_key"):
        kind(base_url, key)


def test_client_when_given_a_key_and_a_path_then_both_are_used() -> None:
    with scripted_server([job_answer()]) as server, Client(f"{server.url}/below/", "xmdpt_key") as client:
        client.job(JOB_ID)

    assert server.starts() == [f"GET /below/v1/jobs/{JOB_ID}"]
    assert server.header(0, "Authorization") == "Bearer xmdpt_key"


@pytest.mark.parametrize(
    ("source", "pose", "options", "kind"),
    [
        (Path("absent.png"), POSE, {}, FileNotFoundError),
        (PHOTO, "absent.json", {}, FileNotFoundError),
        (7, POSE, {}, TypeError),
        (io.StringIO("text"), POSE, {}, TypeError),
        (PHOTO, {"keypoints": [[float("nan"), 0]]}, {}, ValueError),
        (Path("/dev/zero"), POSE, {}, ValueError),
        (PHOTO, POSE, {"idempotency_key": "two words"}, ValueError),
        (PHOTO, POSE, {"idempotency_key": ""}, ValueError),
        (PHOTO, POSE, {"num_steps": 3}, TypeError),
    ],
)
def test_submit_when_an_input_cannot_be_used_then_nothing_is_sent(
    call: Call, source: object, pose: object, options: dict, kind: type[Exception]
) -> None:
    with scripted_server([ACCEPTED]) as server, pytest.raises(kind):
        call(server.url, "submit", source, pose, **options)

    assert server.requests == []
