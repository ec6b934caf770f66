"""What the command says, and with which status it ends, when it can't start and when it is told to stop."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from tests.integration.lone_gateway import lone_gateway
from tests.integration.processes import ROOT, WORKER_NAME, RunningService, free_port, running_service, serve, wait_until


@pytest.mark.parametrize("role", ["gateway", "worker"])
@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({}, 78, "REDIS_URL is not set"),
        ({"REDIS_URL": "unix:///nowhere/queue.sock"}, 75, "the queue does not answer"),
        ({"XMDPT_MODEL_REPOSITORY": "/nowhere"}, 78, "/nowhere/MANIFEST.json"),
        ({"XMDPT_GATEWAY__PORT": "high"}, 78, "XMDPT_GATEWAY__PORT"),
    ],
    ids=["no queue named", "queue away", "no graphs", "no number"],
)
def test_process_when_it_cannot_start_then_one_line_says_why_and_the_status_whether_to_try_again(
    role: str, settings: dict[str, str], status: int, words: str
) -> None:
    ended = serve(role, **settings)

    assert ended.returncode == status, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"xmdpt-serve {role}: ")
    assert words in last
    assert "Traceback" not in ended.stderr


def test_processes_when_told_to_stop_then_each_ends_with_status_0(tmp_path: Path) -> None:
    with running_service(tmp_path, XMDPT_LOG_FORMAT="json") as service:
        pass

    lines = [json.loads(line) for line in service.log_path.read_text().splitlines() if line.startswith("{")]
    stopped = {line["child"]: line["status"] for line in lines if line["event"] == "stopped"}
    assert stopped == {"worker": 0, "gateway": 0}


@pytest.mark.parametrize(
    ("role", "variable"), [("gateway", "XMDPT_GATEWAY__PORT"), ("worker", "XMDPT_WORKER__OPS_PORT")]
)
def test_process_when_its_port_is_taken_then_one_line_names_it(
    valkey_server: EmbeddedValkey, tmp_path: Path, role: str, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        settings = {"REDIS_URL": valkey_server.url, "XMDPT_DATA_DIR": str(tmp_path), variable: port}
        ended = serve(role, **settings)

    assert ended.returncode == 78, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert f"port {port}" in last
    assert variable in last


def test_gateway_when_it_serves_then_its_address_is_logged(service: RunningService) -> None:
    lines = [json.loads(line) for line in service.log_path.read_text().splitlines() if line.startswith("{")]

    (serving,) = [line for line in lines if line["event"] == "serving"]
    assert (serving["host"], serving["port"]) == ("127.0.0.1", service.port)


def test_worker_when_its_operator_has_named_it_then_all_leaves_it_that_name(service: RunningService) -> None:
    assert service.variable("worker", "XMDPT_WORKER__NAME") == WORKER_NAME


def test_gateway_when_the_graphs_are_not_here_then_the_manifest_is_enough(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(ROOT / "model_repository/MANIFEST.json", models)

    with lone_gateway(tmp_path, XMDPT_BACKEND="onnx", XMDPT_MODEL_REPOSITORY=str(models)) as gateway:
        (model,) = gateway.client.get("/v1/models").json()["data"]

    assert model["digest"] == json.loads((models / "MANIFEST.json").read_text())["model_digest"]


def test_worker_when_nobody_probes_it_then_its_metrics_still_say_that_it_is_ready(service: RunningService) -> None:
    assert service.metric("xmdpt_ready") == 1


def test_gateway_when_told_to_stop_while_the_queue_is_away_then_it_ends(tmp_path: Path) -> None:
    queue, port = EmbeddedValkey(tmp_path / "queue"), free_port()
    queue.start()
    environment = os.environ | {
        "REDIS_URL": queue.url,
        "XMDPT_DATA_DIR": str(tmp_path),
        "XMDPT_GATEWAY__PORT": str(port),
    }
    gateway = subprocess.Popen([sys.executable, "-m", "service", "gateway"], cwd=ROOT, env=environment)
    try:
        wait_until(lambda: is_open(port), 60, "the gateway listens")
        queue.stop()
        # Upkeep asks each second: by now it has found the queue away.
        wait_until(lambda: status_of(port, "/readyz") == httpx.codes.SERVICE_UNAVAILABLE, 60, "it is not ready")
        gateway.terminate()
        assert gateway.wait(60) == 0
    finally:
        gateway.kill()
        queue.stop()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status_of(port: int, path: str) -> int:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60).status_code


def test_all_when_the_current_folder_holds_a_package_of_that_name_then_it_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text('open("taken", "w").close()\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XMDPT_", "REDIS_URL"))}
    port = free_port()
    environment |= {
        "XMDPT_BACKEND": "simulated",
        "XMDPT_GATEWAY__PORT": str(port),
        "XMDPT_WORKER__OPS_PORT": str(free_port()),
    }

    def is_ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False

    process = subprocess.Popen([Path(sys.executable).with_name("xmdpt-serve"), "all"], cwd=tmp_path, env=environment)
    try:
        wait_until(is_ready, 60, "the gateway is ready")
    finally:
        process.terminate()
        status = process.wait(60)

    assert status == 0
    assert not (tmp_path / "taken").exists()
