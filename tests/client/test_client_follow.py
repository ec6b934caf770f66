"""How a client follows a job: by events, over broken streams, and by looking where there are none."""

import json
from typing import Any

import pytest

from tests.client.conftest import Call
from tests.client.parts import ACCEPTED, JOB_ID, PHOTO, PICTURE, POSE, a_job, job_answer
from tests.fakes.scripted_http import ScriptedServer, a_problem, an_answer, scripted_server
from xmdpt_client import JobFailedError, JobStateError, NotFoundError, Progress, UnreachableError
from xmdpt_client.streams import Event, EventReader, Lines

JOB = f"/v1/jobs/{JOB_ID}"
FAILURE = {"status": 503, "code": "backend_unavailable", "detail": "no backend", "retryable": True}


def event(kind: str, data: dict, number: int | None = None) -> str:
    return f"event: {kind}\n" + (f"id: {number}\n" if number else "") + f"data: {json.dumps(data)}\n\n"


def step(number: int) -> str:
    eta = {"p50_ms": 1500, "p90_ms": 2000}
    return event("progress", {"stage": "tdnet_step", "step": number, "steps": 50, "ratio": number / 50, "eta": eta})


def stream(*events: str) -> bytes:
    """A stream that comes to its end."""
    return an_answer(200, "".join(events).encode(), "text/event-stream")


def watch(call: Call, server: ScriptedServer, **more: object) -> tuple[Any, list[Any]]:
    seen: list[Progress] = []
    return call(server.url, "wait", JOB_ID, on_progress=seen.append, **more), seen


RUNNING = event("status", a_job("running"), 2)
ENDED = event("status", a_job("succeeded"), 3) + event("end", a_job("succeeded"), 3)


def test_wait_when_watched_then_each_event_is_told_as_it_comes(call: Call) -> None:
    script = [job_answer("queued"), stream("retry: 2000\n\n", RUNNING, ": still here\n\n", step(7), step(9), ENDED)]
    with scripted_server(script) as server:
        job, seen = watch(call, server)

    assert (job.id, job.status) == (JOB_ID, "succeeded")
    assert [(progress.status, progress.step) for progress in seen] == [
        ("queued", 0), ("running", 0), ("running", 7), ("running", 9), ("succeeded", 50),
    ]  # fmt: skip
    assert (seen[2].stage, seen[2].eta.p50_seconds, seen[2].ratio) == ("tdnet_step", 1.5, 0.14)
    assert server.starts() == [f"GET {JOB}", f"GET {JOB}/events"]


@pytest.mark.parametrize(("cut_bytes", "steps"), [(0, [0, 0, 7, 8, 9, 50]), (3, [0, 0, 7, 9, 50])])
def test_wait_when_the_stream_breaks_then_it_goes_on_behind_the_last_event(
    call: Call, cut_bytes: int, steps: list[int]
) -> None:
    whole = stream(RUNNING, step(7), step(8))
    script = [job_answer("queued"), whole[: len(whole) - cut_bytes], b"", stream(step(9), ENDED)]
    with scripted_server(script) as server:
        job, seen = watch(call, server)

    assert job.status == "succeeded"
    assert [progress.step for progress in seen] == steps
    assert [server.header(number, "Last-Event-ID") for number in (1, 2, 3)] == [None, "2", "2"]


@pytest.mark.parametrize(
    "answer",
    [
        a_problem(503, "overloaded", retryable=True, headers={"Retry_After": "60"}),
        a_problem(404, "not_found"),
        an_answer(200, b"<html>", "text/html"),
        an_answer(204),
    ],
    ids=["too many streams", "no such route", "stranger", "ended"],
)
def test_wait_when_there_are_no_events_then_it_looks_again_at_once(call: Call, answer: bytes) -> None:
    with scripted_server([job_answer("running"), answer, job_answer()]) as server:
        job, seen = watch(call, server)

    assert (job.status, seen[-1].status) == ("succeeded", "succeeded")
    assert server.starts() == [f"GET {JOB}", f"GET {JOB}/events", f"GET {JOB}"]
    assert server.header(2, "Prefer") == "wait=1"


def test_wait_when_streams_break_again_and_again_then_it_looks_and_says_who_does_not_answer(call: Call) -> None:
    with scripted_server([job_answer("running")]) as server, pytest.raises(UnreachableError):
        watch(call, server)

    assert server.starts() == [f"GET {JOB}"] + [f"GET {JOB}/events"] * 3 + [f"GET {JOB}"] * 3


def test_wait_when_the_job_is_erased_then_it_is_not_found(call: Call) -> None:
    script = [job_answer("running"), stream(RUNNING), *[a_problem(404, "not_found")] * 2]
    with scripted_server(script) as server, pytest.raises(NotFoundError):
        watch(call, server)


def test_wait_when_time_is_short_then_no_stream_could_be_silent_beyond_it(call: Call) -> None:
    with scripted_server([job_answer("running"), job_answer()]) as server:
        watch(call, server, timeout=10)

    assert server.starts() == [f"GET {JOB}"] * 2


def test_wait_when_an_event_is_nonsense_then_it_is_passed_over(call: Call) -> None:
    nonsense = ["event: progress\ndata: {}\n\n", "event: status\ndata: [1\n\n", "event: new\ndata: {}\n\n", "data\n\n"]
    with scripted_server([job_answer("running"), stream(*nonsense, ENDED)]) as server:
        job, _ = watch(call, server)

    assert job.status == "succeeded"


def test_generate_when_nobody_watches_then_it_is_one_call(call: Call) -> None:
    headers = {"X_Xmdpt_Job_Id": JOB_ID, "X_Xmdpt_Seed": "9"}
    with scripted_server([an_answer(200, b"picture", "image/webp", **headers)]) as server:
        picture = call(server.url, "generate", PHOTO, POSE, format="webp", wait=3.2)

    assert (picture.content, picture.content_type) == (b"picture", "image/webp")
    assert (picture.job_id, picture.seed) == (JOB_ID, 9)
    assert server.starts() == ["POST /v1/generate"]
    assert server.header(0, "Prefer") == "wait=4"
    assert server.header(0, "Idempotency-Key")


def test_generate_when_watched_then_it_submits_follows_and_fetches(call: Call) -> None:
    with scripted_server([ACCEPTED, stream(ENDED), PICTURE]) as server:
        picture = call(server.url, "generate", PHOTO, POSE, on_progress=lambda _: None)

    assert picture.content == b"picture"
    assert server.starts() == ["POST /v1/jobs", f"GET {JOB}/events", f"GET {JOB}/result"]


@pytest.mark.parametrize(
    ("problem", "job", "kind"),
    [
        (a_problem(503, "backend_unavailable", retryable=True, job_id=JOB_ID), {"error": FAILURE}, JobFailedError),
        (a_problem(409, "cancelled", job_id=JOB_ID), {}, JobStateError),
    ],
    ids=["failed", "cancelled"],
)
def test_generate_when_the_job_ends_badly_then_it_is_asked_and_nothing_is_repeated(
    call: Call, problem: bytes, job: dict, kind: type
) -> None:
    status = "failed" if job else "cancelled"
    with scripted_server([problem, job_answer(status, **job)]) as server, pytest.raises(kind) as caught:
        call(server.url, "generate", PHOTO, POSE)

    assert caught.value.job_id == JOB_ID
    assert server.starts() == ["POST /v1/generate", f"GET {JOB}"]


def test_generate_when_the_service_fails_after_it_has_accepted_then_the_job_is_waited_for(call: Call) -> None:
    problem = a_problem(503, "queue_unavailable", retryable=True, job_id=JOB_ID)
    with scripted_server([problem, job_answer("running"), job_answer(), PICTURE]) as server:
        picture = call(server.url, "generate", PHOTO, POSE)

    assert picture.content == b"picture"


def test_lines_when_bytes_come_in_pieces_then_only_line_feeds_cut() -> None:
    lines = Lines()
    content = "a\u2028b\x85c\r\n\ndé\nrest".encode()

    assert [line for byte in content for line in lines.add(bytes([byte]))] == ["a\u2028b\x85c", "", "dé"]


def test_events_when_read_then_the_last_id_stays() -> None:
    reader = EventReader()
    told = [reader.add(line) for line in ("id:4", "event: a", "data: x: y", "", "data: z", ": c", "", "id: 5", "")]

    assert [each for each in told if each] == [Event("a", "x: y"), Event("", "z")]
    assert reader.last_id == "5"
