"""A worker whose graphs run in a real Triton: the same pictures, whatever happens to the server meanwhile."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from service.domain.execution import Execution
from tests.fakes.triton_process import TritonProcess
from tests.integration.processes import ROOT, RunningService, free_port, pixels, running_service, wait_until
from xmdpt.repository import load_manifest, repository_digest, write_manifest

SHIPPED = ROOT / "model_repository"
CASES = [
    {"seed": 7, "steps": 10, "sampler": "ddim"},
    {"seed": 8, "steps": 14, "sampler": "dpmpp_2m", "guidance": 4},
    {"seed": 9, "preset": "draft"},
]
# Enough steps to be killed among.
LONG = {"seed": 9, "steps": 240}


def without(package: str, folder: Path) -> str:
    """A PYTHONPATH on which a package is not installed."""
    (folder / f"{package}.py").write_text(f'raise ModuleNotFoundError("No module named {package!r}", name={package!r})')
    return str(folder)


@pytest.fixture(params=list(Execution))
def triton_service(
    request: pytest.FixtureRequest, triton_process: TritonProcess, tmp_path: Path
) -> Iterator[RunningService]:
    """Gateway and worker with the manifest alone, on a computer without ONNX Runtime."""
    shutil.copy(SHIPPED / "MANIFEST.json", tmp_path)
    settings = {
        "PYTHONPATH": without("onnxruntime", tmp_path),
        "XMDPT_BACKEND": "triton",
        "XMDPT_MODEL_REPOSITORY": str(tmp_path),
        "XMDPT_TRITON__URL": triton_process.url,
        "XMDPT_WORKER__EXECUTION": request.param,
    }
    with running_service(tmp_path, **settings) as running:
        yield running


def test_picture_when_triton_draws_it_then_it_is_that_of_the_graphs_in_process(
    service: RunningService, triton_service: RunningService, photo: bytes, pose: dict
) -> None:
    for case in CASES:
        here, there = (s.generate(photo, pose, **case) for s in (service, triton_service))

        assert there.status_code == httpx.codes.OK, there.text
        assert np.abs(pixels(there.content) - pixels(here.content)).max() <= 1
        job = triton_service.job(there.headers["x-xmdpt-job-id"])
        assert job["engine"]["runtime"].startswith("triton-")
        assert ("vae_decoder_low" in job["timings_ms"]) == (case.get("preset") == "draft")
        assert job["engine"]["model_digest"] == service.job(here.headers["x-xmdpt-job-id"])["engine"]["model_digest"]


@pytest.fixture(scope="module")
def undisturbed(service: RunningService, photo: bytes, pose: dict) -> np.ndarray:
    return pixels(service.generate(photo, pose, **LONG).content)


def is_under_way(service: RunningService, job_id: str) -> bool:
    return service.job(job_id)["progress"]["step"] > 0


@pytest.mark.parametrize(
    ("timeout_seconds", "outlives"), [("200", True), ("5", False)], ids=["shorter than a call", "longer than a call"]
)
def test_job_when_triton_is_killed_under_it_and_comes_back_then_it_ends_well(
    undisturbed: np.ndarray,
    triton_process: TritonProcess,
    tmp_path: Path,
    photo: bytes,
    pose: dict,
    timeout_seconds: str,
    outlives: bool,
) -> None:
    settings = {
        "XMDPT_BACKEND": "triton",
        "XMDPT_TRITON__URL": triton_process.url,
        "XMDPT_TRITON__TIMEOUT_SECONDS": timeout_seconds,
        "XMDPT_QUEUE__STALL_TIMEOUT_SECONDS": "300",
        # A whole loop would be one call, and the first step be seen when all are done.
        "XMDPT_WORKER__EXECUTION": "stepwise",
        # How far a job is, is known no sooner.
        "XMDPT_WORKER__HEARTBEAT_SECONDS": "0.1",
    }
    with running_service(tmp_path, **settings) as triton_service:
        worker = triton_service.child("worker")
        job_id = triton_service.submit(photo, pose, **LONG)["id"]
        wait_until(lambda: is_under_way(triton_service, job_id), 60, "some steps")
        assert triton_service.job(job_id)["status"] == "running"
        triton_process.kill()
        try:
            if not outlives:
                wait_until(lambda: not triton_service.is_worker_ready(), 60, "the worker says that it can't work")
                wait_until(lambda: triton_service.job(job_id)["status"] == "queued", 60, "the job was handed back")
        finally:
            triton_process.start()
        job = triton_service.ended(job_id, 120)

        assert job["status"] == "succeeded", job
        assert (triton_service.child("worker") == worker) == outlives
        again = pixels(triton_service.client.get(job["urls"]["result"]).content)
    assert np.abs(again - undisturbed).max() <= 1


def worker(queue: EmbeddedValkey, folder: Path, **settings: str) -> subprocess.Popen[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    environment |= {
        "REDIS_URL": queue.url,
        "XMDPT_BACKEND": "triton",
        "XMDPT_DATA_DIR": str(folder),
        "XMDPT_TRITON__STARTUP_SECONDS": "0.5",
        "XMDPT_WORKER__OPS_PORT": "0",
    }
    command = [sys.executable, "-m", "service", "worker"]
    return subprocess.Popen(command, cwd=ROOT, env=environment | settings, stderr=subprocess.PIPE, text=True)


def last_line(process: subprocess.Popen[str]) -> str:
    """What it says before it ends."""
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    return said.strip().splitlines()[-1]


def test_worker_when_triton_is_not_there_then_it_says_where_it_looked_and_may_be_started_again(
    valkey_server: EmbeddedValkey, tmp_path: Path
) -> None:
    url = f"127.0.0.1:{free_port()}"
    process = worker(valkey_server, tmp_path, XMDPT_TRITON__URL=url)

    line = last_line(process)

    assert line.startswith(f"xmdpt-serve worker: no Triton at {url} within 0.5 s: ")
    assert process.returncode == 75


def test_worker_when_triton_serves_another_model_then_it_says_so_and_is_not_started_again(
    valkey_server: EmbeddedValkey, triton_process: TritonProcess, tmp_path: Path
) -> None:
    manifest = load_manifest(SHIPPED)
    manifest["graphs"]["tdnet_step"]["sha256"] = "0" * 64
    manifest["model_digest"] = repository_digest(manifest["graphs"])
    write_manifest(tmp_path, manifest)
    settings = {"XMDPT_TRITON__URL": triton_process.url, "XMDPT_TRITON__STARTUP_SECONDS": "60"}
    process = worker(valkey_server, tmp_path, XMDPT_MODEL_REPOSITORY=str(tmp_path), **settings)

    line = last_line(process)

    assert line.startswith(f"xmdpt-serve worker: Triton at {triton_process.url} serves another tdnet_step: ")
    assert process.returncode == 78


@pytest.mark.parametrize("package", ["grpc", "tritonclient"])
def test_worker_when_the_client_is_not_installed_then_it_says_what_to_install(
    valkey_server: EmbeddedValkey, tmp_path: Path, package: str
) -> None:
    settings = {"PYTHONPATH": without(package, tmp_path), "XMDPT_TRITON__URL": "127.0.0.1:1"}
    process = worker(valkey_server, tmp_path, **settings)

    line = last_line(process)

    assert line == (
        f"xmdpt-serve worker: XMDPT_BACKEND=triton: No module named {package!r}; install xmdpt-serve[triton]"
    )
    assert process.returncode == 78


def test_worker_when_told_to_stop_while_it_waits_for_triton_then_it_ends(
    valkey_server: EmbeddedValkey, tmp_path: Path
) -> None:
    port = free_port()
    settings = {"XMDPT_TRITON__URL": f"127.0.0.1:{free_port()}", "XMDPT_TRITON__STARTUP_SECONDS": "300"}
    process = worker(valkey_server, tmp_path, **settings | {"XMDPT_WORKER__OPS_PORT": str(port)})
    try:
        wait_until(lambda: answers(port, "/livez"), 60, "the worker lives")
        assert not answers(port, "/readyz")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "module", ["service.bootstrap.gateway", "service.bootstrap.worker", "service.supervisor", "service.__main__"]
)
def test_process_when_it_runs_no_graphs_then_it_imports_no_runtime_for_them(module: str) -> None:
    check = f"import sys, {module}; sys.exit(bool({{'onnxruntime', 'tritonclient', 'grpc'}} & sys.modules.keys()))"

    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0
