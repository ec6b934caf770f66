"""Locust scenarios against a running service: callers that wait for their picture, and callers that come back for it.

A black box: it knows the HTTP contract of docs/api.md and nothing else of the project.
"""

import random
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_SOURCE = (_EXAMPLES / "person.png").read_bytes()
_POSE = (_EXAMPLES / "pose.json").read_bytes()
# Unequal on purpose: jobs of all three lengths share the same steps.
_STEPS = (10, 20, 50)
_WAIT_SECONDS = 60
_POLL_SECONDS = 0.2
_JOB_SECONDS = 120
_PNG = b"\x89PNG\r\n\x1a\n"


@events.init_command_line_parser.add_listener
def _add_options(parser: LocustArgumentParser, **_: object) -> None:
    parser.add_argument(
        "--rate", type=float, default=1.0, env_var="LOCUST_RATE", help="requests a second that each user starts"
    )


class _Caller(FastHttpUser):
    """Starts requests at a fixed rate, however long the last one took, unless it took longer than the pace."""

    abstract = True
    network_timeout = _WAIT_SECONDS + 10.0

    def on_start(self) -> None:
        self._pace = constant_throughput(self.environment.parsed_options.rate)

    def wait_time(self) -> float:
        return self._pace(self)


class WaitingCaller(_Caller):
    """One call, which answers with the picture."""

    weight = 3

    @task
    def generate(self) -> None:
        steps = random.choice(_STEPS)
        with self.client.post(
            "/generate",
            name=f"/generate, {steps} steps",
            files=_form(steps),
            headers={"Prefer": f"wait={_WAIT_SECONDS}"},
            catch_response=True,
        ) as response:
            if response.status_code == 202:
                response.failure(f"no picture within {_WAIT_SECONDS} s")
            elif response.status_code == 200 and not response.content.startswith(_PNG):
                response.failure("the answer is no PNG")


class ReturningCaller(_Caller):
    """Submits, asks again and again how the job stands, fetches the picture."""

    weight = 1

    @task
    def submit_and_fetch(self) -> None:
        steps, start = random.choice(_STEPS), time.perf_counter()
        with self.client.post("/v1/jobs", name="/v1/jobs", files=_form(steps), catch_response=True) as response:
            if response.status_code != 202:
                response.failure(f"not accepted: {response.status_code}")
                return
            urls = response.json()["urls"]
        failure = self._follow(urls, start + _JOB_SECONDS)
        # The whole way as one figure, beside the single calls.
        events.request.fire(
            request_type="JOB",
            name=f"submit to picture, {steps} steps",
            response_time=(time.perf_counter() - start) * 1000,
            response_length=0,
            exception=RuntimeError(failure) if failure else None,
            context={},
        )

    def _follow(self, urls: dict[str, str], give_up_at: float) -> str:
        """Until the picture is here; returns what went wrong, or nothing."""
        while time.perf_counter() < give_up_at:
            job = self.client.get(urls["self"], name="/v1/jobs/{id}")
            if job.status_code != 200:
                return f"the job can't be read: {job.status_code}"
            status = job.json()["status"]
            if status == "failed":
                return f"the job failed: {job.json()['error']['code']}"
            if status == "succeeded":
                picture = self.client.get(urls["result"], name="/v1/jobs/{id}/result")
                return "" if (picture.content or b"").startswith(_PNG) else "the result is no PNG"
            gevent.sleep(_POLL_SECONDS)
        return f"not ended within {_JOB_SECONDS} s"


def _form(steps: int) -> dict[str, tuple[str | None, bytes | str, str | None]]:
    """The parts of the multipart body; the server draws the seed."""
    return {
        "source": ("person.png", _SOURCE, "image/png"),
        "pose": ("pose.json", _POSE, "application/json"),
        "steps": (None, str(steps), None),
    }
