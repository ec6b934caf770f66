"""A real Triton on a repository of the test's choice, started by the project's own command on free ports."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
import pytest
import tritonclient.grpc
import tritonclient.http
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.processes import ROOT, children, free_port, wait_until

COMMAND = [sys.executable, str(ROOT / "deploy" / "triton" / "server.py")]
_NOT_INSTALLABLE = 3
# Many times what it needs.
_COUNTING_SECONDS, _PATIENCE_SECONDS, _START_SECONDS = 0.1, 60, 120
_STABLE_SECONDS = 0.05
_SHARED_MEMORY = Path("/dev/shm")


@cache
def install_triton() -> None:
    """Into the folder where every run finds it again; its absence is a skip by name."""
    done = subprocess.run([*COMMAND, "install"], capture_output=True, text=True, check=False)
    if done.returncode == _NOT_INSTALLABLE:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr


def run_command(work: Path, *options: str) -> list[str]:
    """A start on free ports; the port of HTTP is the last word."""
    ports = [word for name in ("metrics", "grpc", "http") for word in (f"--{name}-port", str(free_port()))]
    return [*COMMAND, "run", "--work", str(work), *options, *ports]


class TritonStarter:
    """The project's command as a process; on the same ports each time that it is started.

    Attributes:
        ports: by `http`, `grpc` and `metrics`.
        process: the starter's; the server is its child.
        line: what it said when it was ready.
    """

    process: subprocess.Popen[str]
    line: str

    def __init__(self, command: list[str]) -> None:
        """Take a command of `run_command`, with what may follow it."""
        self._command = command
        self.ports = {name: command[command.index(f"--{name}-port") + 1] for name in ("http", "grpc", "metrics")}

    def start(self) -> None:
        """Return once it is ready; one that doesn't get ready is ended."""
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        # It ends the line that is waited for.
        alarm = threading.Timer(_START_SECONDS, self.process.kill)
        alarm.start()
        try:
            assert self.process.stdout
            self.line = self.process.stdout.readline()
            if "is ready" not in self.line:
                self.process.kill()
                pytest.fail(f"Triton did not start: {self.line}{self.process.communicate(timeout=20)[1]}")
        except BaseException:
            self._end()
            raise
        finally:
            alarm.cancel()

    def kill(self) -> None:
        """At once, the server and the processes of its models."""
        for server in children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server, signal.SIGKILL)
        try:
            # Its starter tidies up.
            self.process.communicate(timeout=20)
        finally:
            self._end()

    def stop(self) -> str:
        """As it is meant to be, or by force after a while; what it has said of errors."""
        self.process.terminate()
        try:
            return self.process.communicate(timeout=_PATIENCE_SECONDS)[1]
        finally:
            self._end()

    def _end(self) -> None:
        """Whatever state it is in; nothing is left."""
        for server in children(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for region in _SHARED_MEMORY.glob(f"xmdpt-triton-{self.process.pid}-*"):
            region.unlink(missing_ok=True)


@dataclass
class RunningTriton:
    """One ready server, and its clients.

    Attributes:
        line: what it said when it was ready.
        log: file of what the server says.
    """

    line: str
    log: Path
    http: tritonclient.http.InferenceServerClient
    grpc: tritonclient.grpc.InferenceServerClient
    metrics: httpx.Client

    def metric(self, name: str, **labels: str) -> float:
        """Sum of the samples that have all these labels, 0 without any."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.metrics.get("/metrics").text)
            for sample in family.samples
            if sample.name in (name, f"{name}_total") and labels.items() <= sample.labels.items()
        )

    def counts(self, model: str) -> dict[str, float]:
        """What Triton has counted of a model, to compare with: not while it still counts what it has answered."""
        counts: dict[str, float] = {}
        while counts != (again := self._counts(model)):
            counts = again
            time.sleep(_COUNTING_SECONDS)
        return counts

    def _counts(self, model: str) -> dict[str, float]:
        """Requests by their ends; rows and calls of the graph, and the time that they took."""
        return {
            "succeeded": self.metric("nv_inference_request_success", model=model),
            "cancelled": self.metric("nv_inference_request_failure", model=model, reason="CANCELED"),
            "failed": self.metric("nv_inference_request_failure", model=model),
            "rows": self.metric("nv_inference_count", model=model),
            "calls": self.metric("nv_inference_exec_count", model=model),
            "seconds": self.metric("nv_inference_compute_infer_duration_us", model=model) / 1e6,
        }

    def counted_since(self, before: dict[str, float], model: str, num_requests: int) -> dict[str, float]:
        """What was added, once so many requests have been counted: Triton does so after it has answered."""

        def are_counted() -> bool:
            now = self._counts(model)
            return sum(now[end] - before[end] for end in ("succeeded", "failed")) >= num_requests

        wait_until(are_counted, _PATIENCE_SECONDS, f"{num_requests} requests of {model} are counted")
        # A request is counted just before the call that it was in.
        return {name: count - before[name] for name, count in self.counts(model).items()}

    def waits(self, model: str, is_over: threading.Event) -> bool:
        """One request of a model waits in its queue, and not just for a moment, so that another one runs.

        Returns:
            False if it was over before.
        """
        give_up_at, since = time.monotonic() + _PATIENCE_SECONDS, None
        while since is None or time.monotonic() - since < _STABLE_SECONDS:
            assert time.monotonic() < give_up_at, f"no request of {model} ever waited"
            if is_over.is_set():
                return False
            is_so = self.metric("nv_inference_pending_request_count", model=model) == 1
            since = (since or time.monotonic()) if is_so else None
        return True


@contextlib.contextmanager
def running_triton(work: Path, *options: str, **further: str) -> Iterator[RunningTriton]:
    """Start, and stop well; options are the starter's, further ones the server's."""
    install_triton()
    own = [f"--{name.replace('_', '-')}={value}" for name, value in further.items()]
    starter = TritonStarter([*run_command(work, *options), "--", *own])
    starter.start()
    try:
        address = {name: f"127.0.0.1:{port}" for name, port in starter.ports.items()}
        with (
            contextlib.closing(tritonclient.http.InferenceServerClient(address["http"])) as http,
            contextlib.closing(tritonclient.grpc.InferenceServerClient(address["grpc"])) as grpc,
            httpx.Client(base_url=f"http://{address['metrics']}", trust_env=False, timeout=20) as metrics,
        ):
            yield RunningTriton(starter.line, work / "triton.log", http, grpc, metrics)
    finally:
        said = starter.stop()
    assert (starter.process.returncode, said) == (0, "")
