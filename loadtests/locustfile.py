"""Locust's part: makes each call of a plan at its time, whether or not those before it have been answered.

A black box: it knows the HTTP contract of docs/api.md and nothing else of the project. `python -m loadtests` writes the
plan, runs this and reads what became of it.
"""

import json
import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Group
from locust import FastHttpUser, events, task
from PIL import Image, ImageEnhance

from loadtests.records import Outcome, Record, write_records
from loadtests.triton_request import PATH, triton_request

_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_PLAN = json.loads(Path(os.environ["XMDPT_LOAD_PLAN"]).read_text())
_RECORDS = Path(os.environ["XMDPT_LOAD_RECORDS"])
_HEADERS = {"Authorization": f"Bearer {os.environ['XMDPT_KEY']}"} if os.environ.get("XMDPT_KEY") else {}
# Of the model of a Triton that is called itself; empty: a service is.
_PREDICTION: Any = os.environ.get("XMDPT_LOAD_TRITON_PREDICTION", "")
_WAIT_SECONDS = 60
_POLL_SECONDS = 0.2
# After the last call so long is waited for those that are under way.
_GRACE_SECONDS = float(os.environ.get("XMDPT_LOAD_GRACE_SECONDS", "120"))
_ENDED = ("succeeded", "failed", "cancelled")


class Caller(FastHttpUser):
    """Makes all calls, each in a greenlet of its own."""

    fixed_count = 1
    # As many connections as may be open at one time: none waits for another call's end.
    concurrency = 4000
    network_timeout = _WAIT_SECONDS + 10.0
    connection_timeout = 10.0

    @task
    def follow_the_plan(self) -> None:
        self._photos = [_photo(number) for number in range(_PLAN["scenario"]["persons"])]
        self._records: list[Record] = []
        if not _PREDICTION:
            presets = self.client.get("/v1/poses/presets", headers=_HEADERS).json()["data"]
            self._presets = [each["name"] for each in presets]
            self._submit_batch(_PLAN["scenario"]["batch_items"])
        self._start = time.perf_counter()
        calls = Group()
        for call in _PLAN["calls"]:
            gevent.sleep(max(0.0, call["due"] - self._now()))
            calls.spawn(self._make, call)
        calls.join(timeout=_GRACE_SECONDS)
        calls.kill()
        write_records(_RECORDS, sorted(self._records, key=lambda record: record.due))
        self.environment.runner.quit()

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _make(self, call: dict[str, Any]) -> None:
        sent = self._now()
        outcome, code = "lost", ""
        try:
            ways = {"wait": self._wait, "poll": self._poll, "cancel": self._cancel}
            outcome, code = (self._infer if _PREDICTION else ways[call["kind"]])(call)
        finally:
            # Also of a greenlet that is killed.
            record = Record(call["due"], sent, self._now(), call["kind"], call["steps"], outcome, code)
            self._records.append(record)
            events.request.fire(
                request_type="JOB",
                name=f"{call['kind']}, {call['steps']} steps",
                response_time=record.seconds * 1000,
                response_length=0,
                exception=None if outcome in ("succeeded", "cancelled") else RuntimeError(f"{outcome} {code}"),
                context={},
            )

    def _wait(self, call: dict[str, Any]) -> tuple[Outcome, str]:
        headers = {"Prefer": f"wait={_WAIT_SECONDS}", "Accept": "image/png"}
        answer = self._send("/v1/generate", call, headers)
        if answer.status_code == 200:
            return "succeeded", ""
        if answer.status_code == 202:
            return self._follow(answer.json()["urls"])
        return _refusal(answer)

    def _poll(
        self, call: dict[str, Any], before: Callable[[dict[str, str]], None] = lambda _: None
    ) -> tuple[Outcome, str]:
        answer = self._send("/v1/jobs", call, {})
        if answer.status_code != 202:
            return _refusal(answer)
        urls = answer.json()["urls"]
        before(urls)
        return self._follow(urls)

    def _cancel(self, call: dict[str, Any]) -> tuple[Outcome, str]:
        def cancel(urls: dict[str, str]) -> None:
            gevent.sleep(call["patience"])
            self.client.post(urls["cancel"], name="cancel", headers=_HEADERS)

        return self._poll(call, cancel)

    def _infer(self, call: dict[str, Any]) -> tuple[Outcome, str]:
        """A Triton can neither be asked later nor told to stop."""
        headers, body = triton_request(self._photos[call["person"]], call["steps"], call["seed"], _PREDICTION)
        # Bytes are sent as they are, whatever the type says.
        with self.client.post(PATH, data=body, headers=headers, catch_response=True) as answer:  # pyright: ignore[reportArgumentType]
            answer.success()
        return ("succeeded", "") if answer.status_code == 200 else ("refused", f"status_{answer.status_code}")

    def _follow(self, urls: dict[str, str]) -> tuple[Outcome, str]:
        while True:
            job = self.client.get(urls["self"], name="look", headers=_HEADERS)
            # An outage of the gateway is not the job's end.
            if job.status_code == 200 and job.json()["status"] in _ENDED:
                break
            gevent.sleep(_POLL_SECONDS)
        status = job.json()["status"]
        if (
            status == "succeeded"
            and self.client.get(urls["result"], name="result", headers=_HEADERS).status_code != 200
        ):
            return "failed", "no_result"
        return status, (job.json()["error"] or {}).get("code", "")

    def _send(self, path: str, call: dict[str, Any], headers: dict[str, str]) -> Any:
        files = {
            "source": ("person.png", self._photos[call["person"]], "image/png"),
            "pose_preset": (None, self._presets[call["seed"] % len(self._presets)], None),
            "steps": (None, str(call["steps"]), None),
            "seed": (None, str(call["seed"]), None),
        }
        with self.client.post(path, files=files, headers=_HEADERS | headers, catch_response=True) as answer:
            answer.success()  # what became of the job counts, and is told of it
        return answer

    def _submit_batch(self, num_items: int) -> None:
        if not num_items:
            return
        source = self.client.post(
            "/v1/sources", files={"source": ("person.png", self._photos[0], "image/png")}, headers=_HEADERS
        )
        item = {"source": {"id": source.json()["id"]}, "pose": {"preset": self._presets[0]}, "steps": 20}
        lines = "".join(json.dumps(item | {"seed": number}) + "\n" for number in range(num_items))
        self.client.post("/v1/batches", data=lines, headers=_HEADERS | {"Content-Type": "application/x-ndjson"})


def _photo(number: int) -> bytes:
    """The bundled person in another light: another photo to whoever looks at bytes."""
    with Image.open(_EXAMPLES / "person.png") as image:
        file = BytesIO()
        ImageEnhance.Brightness(image.convert("RGB")).enhance(1 - number / 100).save(file, "PNG")
    return file.getvalue()


def _refusal(answer: Any) -> tuple[Outcome, str]:
    """It was not accepted, or failed while it was waited for: the answer tells which job that was."""
    try:
        problem = answer.json()
    except (ValueError, TypeError):
        return "refused", f"status_{answer.status_code}"
    return ("failed" if problem.get("job_id") else "refused"), problem.get("code", f"status_{answer.status_code}")
