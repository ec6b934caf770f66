"""B19: what an interactive job notices of a batch of ten thousand, over HTTP, on one worker."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np

from benchmarks.engine.curves import stepwise_settings
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.http_load import Caller
from benchmarks.engine.json_calls import job_call, matrix_call, matrix_names, upload
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.policies.stream import NUM_ROWS
from benchmarks.turns import Report
from service.domain.capacity import StepCurve

DEVICE = stepwise_settings(StepCurve(((1, 0.0081), (NUM_ROWS, 0.0096)))) | {
    "SIMULATED__ENCODER_MS": "4",
    "SIMULATED__DECODER_MS": "2",
    "LOG_LEVEL": "warning",
}
"""A device that is slow enough for the computer beside it."""
_NUM_STEPS, _NUM_BATCH_STEPS = 50, 20
_MAX_RATIO, _NONE = Target(1.5, "at most"), Target(0, "at most")
# So many jobs have been seen before anything is measured.
_NUM_WARM_UP = 5
_MAX_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class _Effort:
    num_sources: int
    num_poses: int
    num_idle: int


_FULL = _Effort(num_sources=100, num_poses=100, num_idle=100)
_QUICK = _Effort(num_sources=4, num_poses=25, num_idle=4)


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    num_items = effort.num_sources * effort.num_poses
    with deployed(DEVICE) as deployment:
        deployment.start_worker()
        gateway = deployment.start_gateway()
        user = _User(gateway.port, upload(gateway.port, effort.num_sources))
        user.latencies(lambda done: done < _NUM_WARM_UP)
        idle = user.latencies(lambda done: done < effort.num_idle)
        report(f"{len(idle)} jobs, nothing else: p95 {_p95(idle):.1f} ms")

        batch = matrix_call(user.sources, effort.num_poses, _NUM_BATCH_STEPS)
        before, began = gateway.rss_mb, time.monotonic()
        answer = httpx.post(
            f"http://127.0.0.1:{gateway.port}/v1/batches", content=batch.body, headers=batch.headers, timeout=60
        )
        accepted = time.monotonic() - began
        results = answer.raise_for_status().json()["urls"]["results"]
        report(f"{num_items} items accepted in {accepted:.2f} s")
        with _followed(gateway, results) as follower:
            busy = user.latencies(lambda _: follower.is_running)
        user.close()
        report(f"{len(busy)} jobs beside the batch: p95 {_p95(busy):.1f} ms")
    names = [line["custom_id"] for line in follower.lines if line["status"] == "succeeded"]
    wrong = matrix_names(effort.num_sources, effort.num_poses) ^ set(names)
    return [
        Figure("p95 of a job beside a batch / alone", [_p95(busy) / _p95(idle)], target=_MAX_RATIO),
        Figure(f"a job of {_NUM_STEPS} steps alone", idle, "ms"),
        Figure(f"likewise, beside a batch of {num_items}", busy, "ms"),
        Figure("items that did not end well once", [len(wrong) + len(names) - len(set(names))], target=_NONE),
        Figure(f"time to accept {num_items} items", [accepted], "s"),
        Figure(f"items of {_NUM_BATCH_STEPS} steps a second, beside these jobs", [num_items / follower.seconds]),
        Figure("growth of the gateway", [follower.max_rss_mb - before], "MB"),
    ]


class _User:
    """Asks for one picture after the other."""

    def __init__(self, port: int, sources: list[str]) -> None:
        self._caller, self.sources = Caller(port), sources
        self._pauses = np.random.default_rng(0)
        self._number = 0

    def latencies(self, goes_on: Callable[[int], bool]) -> list[float]:
        """How long each took, ms; asked with how many there have been, at least one."""
        found: list[float] = []
        while not found or goes_on(len(found)):
            call = job_call(self.sources[self._number % len(self.sources)], self._number, _NUM_STEPS)
            began = time.monotonic()
            self._caller.send(call)
            found.append(1000 * (time.monotonic() - began))
            self._number += 1
            time.sleep(self._pauses.uniform(0, _MAX_PAUSE_SECONDS))
        return found

    def close(self) -> None:
        self._caller.close()


class _Follower:
    """Reads the results of a batch as they come."""

    def __init__(self, gateway: Part, url: str) -> None:
        self._gateway, self._url = gateway, f"http://127.0.0.1:{gateway.port}{url}"
        self.lines: list[dict[str, str]] = []
        self.max_rss_mb = self.seconds = 0.0
        self._thread = threading.Thread(target=self._follow)

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _follow(self) -> None:
        began = time.monotonic()
        with httpx.stream("GET", self._url, timeout=60, trust_env=False) as answer:
            for line in answer.iter_lines():
                if line:
                    self.lines.append(json.loads(line))
                self.max_rss_mb = max(self.max_rss_mb, self._gateway.rss_mb)
        self.seconds = time.monotonic() - began


@contextmanager
def _followed(gateway: Part, url: str) -> Iterator[_Follower]:
    follower = _Follower(gateway, url)
    follower.start()
    yield follower
    follower.join()
    if not follower.seconds:
        raise BrokenRunError("the results of the batch broke off")


def _p95(latencies: list[float]) -> float:
    return float(np.quantile(latencies, 0.95))
