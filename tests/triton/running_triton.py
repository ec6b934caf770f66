"""A real Triton on a repository of the test's choice, started by the project's own command on free ports."""

import contextlib
import signal
import subprocess
import sys
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

from tests.integration.processes import ROOT, free_port

COMMAND = [sys.executable, str(ROOT / "deploy" / "triton" / "server.py")]
_NOT_INSTALLABLE = 3
# Many times what it needs.
_COUNTING_SECONDS = 0.1


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


@dataclass
class RunningTriton:
    """One ready server, and its clients.

    Attributes:
        process: the starter's; the server is its child.
        line: what it said when it was ready.
        log: file of what the server says.
    """

    process: subprocess.Popen[str]
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
        """What Triton has counted of a model once it has stopped to count: it does so after it has answered."""
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

    def counted_since(self, before: dict[str, float], model: str) -> dict[str, float]:
        return {name: count - before[name] for name, count in self.counts(model).items()}

    def wait_until_busy(self, model: str, num_waiting: int) -> None:
        """So many requests of a model wait in its queue, and not just for a moment, so that another one runs."""
        give_up_at, since = time.monotonic() + 20, None
        while since is None or time.monotonic() - since < 0.05:
            assert time.monotonic() < give_up_at, f"{num_waiting} requests of {model} never waited"
            is_so = self.metric("nv_inference_pending_request_count", model=model) == num_waiting
            since = (since or time.monotonic()) if is_so else None


@contextlib.contextmanager
def running_triton(work: Path, *options: str, **further: str) -> Iterator[RunningTriton]:
    """Start, and stop well; options are the starter's, further ones the server's."""
    install_triton()
    command = run_command(work, *options)
    metrics_port, grpc_port, http_port = command[-5::2]
    own = [f"--{name.replace('_', '-')}={value}" for name, value in further.items()]
    process = subprocess.Popen(
        [*command, "--", *own], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        pytest.fail(process.communicate()[1])
    try:
        with (
            contextlib.closing(tritonclient.http.InferenceServerClient(f"127.0.0.1:{http_port}")) as http,
            contextlib.closing(tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{grpc_port}")) as grpc,
            httpx.Client(base_url=f"http://127.0.0.1:{metrics_port}", trust_env=False, timeout=20) as metrics,
        ):
            yield RunningTriton(process, line, work / "triton.log", http, grpc, metrics)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, "")
