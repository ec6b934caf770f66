"""When a call is sent again and how long is waited for: decisions without a network, and without waiting."""

from typing import Any

import httpx
import pytest

from tests.client.parts import JOB_ID, a_job
from xmdpt_client.conversation import Conversation, Flow
from xmdpt_client.errors import XmdptError
from xmdpt_client.retries import pause_before_retry
from xmdpt_client.values import Job, Progress


@pytest.mark.parametrize(
    ("status", "retryable", "retry_after", "num_failures", "chance", "pause"),
    [
        (None, True, None, 1, 0.0, 0.25),
        (None, True, None, 1, 1.0, 0.5),
        (503, True, None, 3, 1.0, 2.0),
        (503, True, None, 30, 1.0, 8.0),
        (429, True, 5.0, 1, 0.0, 5.0),
        (429, True, 4.0, 9, 1.0, 5.0),
        (503, True, 60.0, 1, 0.0, 60.0),
        (503, True, 61.0, 1, 0.0, None),
        (503, False, None, 1, 0.0, None),
        (409, True, 1.0, 1, 0.0, None),
        (504, True, None, 1, 0.0, None),
    ],
)
def test_pause_when_a_try_has_failed_then_it_grows_and_never_ends_before_it_may(
    status: int | None,
    retryable: bool,
    retry_after: float | None,
    num_failures: int,
    chance: float,
    pause: float | None,
) -> None:
    error = XmdptError("detail", status=status, retryable=retryable, retry_after=retry_after)

    assert pause_before_retry(error, num_failures, chance) == pause


def answer(status: str, *, granted: bool = True) -> httpx.Response:
    headers = {"Preference-Applied": "wait=20"} if granted else {}
    return httpx.Response(200, json=a_job(status), headers=headers, request=httpx.Request("GET", "http://host/"))


def first_looks(flow: Flow[Job], *answers: httpx.Response) -> list[Any]:
    """What a waiting client sends while it is given these answers."""
    return [next(flow), *(flow.send(response) for response in answers)]


def test_wait_when_the_service_waits_then_the_next_look_follows_at_once() -> None:
    looks = first_looks(Conversation(0).wait(JOB_ID, None, None), answer("queued"), answer("running"))

    assert [look.call.headers.get("Prefer") for look in looks] == [None, "wait=20", "wait=20"]
    assert [look.pause_seconds for look in looks] == [0, 0, 0]


def test_wait_when_the_service_does_not_wait_then_it_is_not_asked_without_pause() -> None:
    looks = first_looks(
        Conversation(0).wait(JOB_ID, None, None), answer("queued"), answer("running", granted=False), answer("running")
    )

    assert [look.pause_seconds for look in looks] == [0, 0, 1, 0]


def test_wait_when_watched_and_there_are_no_events_then_looks_are_short() -> None:
    seen: list[Progress] = []
    looks = first_looks(
        Conversation(0).wait(JOB_ID, None, seen.append), answer("queued"), answer("queued"), answer("running")
    )

    assert [look.call.wait_seconds for look in looks] == [0, 15, 1, 1]
    assert [progress.status for progress in seen] == ["queued", "queued", "running"]


def test_wait_when_little_time_is_left_then_no_longer_look_is_asked_for() -> None:
    looks = first_looks(Conversation(0).wait(JOB_ID, 3, None), answer("queued"))

    assert looks[-1].call.headers["Prefer"] == "wait=3"
