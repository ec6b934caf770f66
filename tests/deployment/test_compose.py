"""The compose file: accepted by Compose itself, hardened, and in step with the settings and the image."""

import copy
import os
import subprocess

import pytest
import yaml

from service.bootstrap.http_server import GOODBYE_SECONDS
from service.settings import Settings
from tests.deployment.artifacts import (
    COMPOSE,
    DOCKER_COMPOSE,
    DOCKERFILE,
    ENGINES_DOCKERFILE,
    IMAGE,
    KUBERNETES_DIR,
    PROJECT,
    PROVISIONING_DIR,
    ROOT,
    SCRAPES,
    setting_names,
)

OURS = {"gateway": "gateway", "worker": "worker", "worker-triton": "worker"}
COMMON = {"gateway", "queue", "prometheus", "grafana"}
PROFILES = {"cpu": COMMON | {"worker"}, "gpu": COMMON | {"worker-triton", "triton", "dcgm-exporter"}}
UNITS = {"m": 1 << 20, "mb": 1 << 20, "g": 1 << 30}


def weaknesses(name: str, service: dict) -> list[str]:
    """What a service lacks of the hardening that all must have."""
    tmpfs = service.get("tmpfs", [])
    published = [str(port) for port in service.get("ports", [])]
    rules = {
        "read_only": service.get("read_only") is True,
        "capabilities": service.get("cap_drop") == ["ALL"] and "cap_add" not in service,
        "privileges": "no-new-privileges:true" in service.get("security_opt", []) and not service.get("privileged"),
        "user": service.get("user", "0").split(":")[0] not in ("0", "root"),
        "tmpfs": any(t.startswith("/tmp:") for t in tmpfs) and all("noexec" in t and "size=" in t for t in tmpfs),
        "pids": 0 < service.get("pids_limit", 0) <= 512,
        "memory": "mem_limit" in service,
        "health": "build" in service or "healthcheck" in service,
        "ports": all(port.startswith("127.0.0.1:") for port in published),
        "host": "network_mode" not in service and "pid" not in service,
        "tag": ":" in service["image"] and not service["image"].endswith(":latest"),
    }
    return [f"{name}: {rule}" for rule, holds in rules.items() if not holds]


def num_bytes(text: str) -> int:
    number = text.rstrip("bgm")
    return int(number) * UNITS[text.removeprefix(number)]


def compose_config(*words: str) -> str:
    """What Compose itself says of the file, without complaint."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    done = subprocess.run(
        [DOCKER_COMPOSE, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("words", "profile"),
    [((), "cpu"), (("--profile", "cpu"), "cpu"), (("--profile", "gpu"), "gpu")],
    ids=["plain", "cpu", "gpu"],
)
def test_compose_when_read_by_compose_itself_then_a_profile_is_a_whole_deployment(
    words: tuple[str, ...], profile: str
) -> None:
    services = compose_config(*words, "config", "--services").split()

    assert set(services) == PROFILES[profile]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_compose_service_when_read_then_it_is_hardened(name: str) -> None:
    assert weaknesses(name, COMPOSE["services"][name]) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("read_only", {"read_only": False}),
        ("capabilities", {"cap_add": ["NET_ADMIN"]}),
        ("privileges", {"privileged": True}),
        ("user", {"user": "0:0"}),
        ("tmpfs", {"tmpfs": ["/tmp"]}),
        ("pids", {"pids_limit": 0}),
        ("ports", {"ports": ["8080:8080"]}),
        ("host", {"network_mode": "host"}),
        ("tag", {"image": "xmdpt-serve:latest"}),
    ],
)
def test_hardening_check_when_a_service_is_weakened_then_it_says_so(rule: str, change: dict) -> None:
    weakened = copy.deepcopy(COMPOSE["services"]["gateway"]) | change

    assert weaknesses("gateway", weakened) == [f"gateway: {rule}"]


@pytest.mark.parametrize(("name", "target"), OURS.items())
def test_compose_service_when_it_is_ours_then_it_runs_the_image_of_its_role(name: str, target: str) -> None:
    service = COMPOSE["services"][name]
    extra = service["build"].get("args", {}).get("EXTRA")

    assert service["build"]["target"] == target
    assert f" AS {target}\n" in DOCKERFILE
    assert service["image"] == f"{IMAGE}-{extra or target}"
    assert service["command"] == [target]
    assert service["environment"].keys() <= setting_names()
    assert service["environment"]["REDIS_URL"] == "redis://queue:6379/0"
    assert service["volumes"] == ["pictures:/data"]
    assert service["depends_on"]["queue"]["condition"] == "service_healthy"
    defaults = Settings.model_construct()
    longest = max(defaults.worker.drain_seconds, defaults.gateway.drain_seconds + GOODBYE_SECONDS)
    assert int(service["stop_grace_period"].rstrip("s")) > longest


def test_compose_worker_when_it_calls_a_triton_then_it_waits_for_it_and_both_have_the_same_models() -> None:
    worker, triton = COMPOSE["services"]["worker-triton"], COMPOSE["services"]["triton"]
    host, port = worker["environment"]["XMDPT_TRITON__URL"].split(":")

    assert worker["environment"]["XMDPT_BACKEND"] == "triton"
    assert (host, port) == ("triton", "8001")
    assert worker["build"]["args"]["EXTRA"] in PROJECT["optional-dependencies"]
    assert worker["depends_on"][host]["condition"] == "service_healthy"
    assert triton["volumes"] == ["./model_repository:/repository:ro"]
    assert "COPY model_repository /app/model_repository\n" in DOCKERFILE
    assert f"ARG TRITON_TAG={triton['image'].split(':')[1]}\n" in ENGINES_DOCKERFILE


def test_compose_triton_when_it_starts_then_models_and_environment_are_those_of_kubernetes() -> None:
    (text,) = COMPOSE["services"]["triton"]["command"]
    (pod,) = [
        document["spec"]["template"]["spec"]
        for document in yaml.safe_load_all((KUBERNETES_DIR / "components/triton/triton.yaml").read_text())
        if document["kind"] == "Deployment"
    ]
    *prepare, serve = text.replace("$$", "$").rstrip("\n").splitlines()

    (theirs,) = pod["initContainers"][0]["args"]
    assert "\n".join(prepare) == theirs.replace("/app/model_repository/", "/repository/").rstrip("\n")
    assert serve.split() == ["exec", "tritonserver", *pod["containers"][0]["args"]]
    # Without TF32, as the page says of every precision.
    variables = COMPOSE["services"]["triton"]["environment"]
    assert variables == {"NVIDIA_TF32_OVERRIDE": "0"}
    assert pod["containers"][0]["env"] == [{"name": name, "value": value} for name, value in variables.items()]


@pytest.mark.parametrize("name", ["triton", "dcgm-exporter"])
def test_compose_service_when_it_needs_gpus_then_it_is_given_all(name: str) -> None:
    (device,) = COMPOSE["services"][name]["deploy"]["resources"]["reservations"]["devices"]

    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_compose_queue_when_read_then_it_keeps_what_it_accepts() -> None:
    queue = COMPOSE["services"]["queue"]
    program, *words = queue["command"]
    options = dict(zip(words[::2], words[1::2], strict=True))

    assert program == "valkey-server"
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--save"] == ""
    assert [options["--dir"]] == [volume.split(":")[1] for volume in queue["volumes"]]
    assert 2 * num_bytes(options["--maxmemory"]) < num_bytes(queue["mem_limit"])
    assert "ports" not in queue


def test_compose_networks_when_read_then_only_gateway_and_workers_reach_the_queue() -> None:
    members = {
        network: {name for name, service in COMPOSE["services"].items() if network in service["networks"]}
        for network in COMPOSE["networks"]
    }
    published = {name for name, service in COMPOSE["services"].items() if "ports" in service}

    assert members["queue"] == {"queue", *OURS}
    assert members["triton"] == {"triton", "worker-triton"}
    assert members["edge"] == published
    assert [name for name, network in COMPOSE["networks"].items() if not network.get("internal")] == ["edge"]


def test_compose_prometheus_when_it_scrapes_then_it_reaches_every_target_by_name() -> None:
    defaults = Settings.model_construct()
    targets = {
        (name, discovery["port"])
        for job in SCRAPES
        for discovery in job["dns_sd_configs"]
        for name in discovery["names"]
    }

    assert targets == {
        ("gateway", defaults.gateway.port),
        ("worker", defaults.worker.ops_port),
        ("triton", 8002),
        ("dcgm-exporter", 9400),
    }
    for name in ("prometheus", *(name for name, _ in targets)):
        assert "metrics" in COMPOSE["services"][name]["networks"]
    assert COMPOSE["services"]["worker-triton"]["networks"]["metrics"] == {"aliases": ["worker"]}


def test_compose_when_it_mounts_files_of_ours_then_they_exist_and_are_read_only() -> None:
    mounts = [
        volume.split(":")
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    folders = {source: target for source, target, _ in mounts}
    provider = (PROVISIONING_DIR / "dashboards/xmdpt.yml").read_text()

    assert all((ROOT / source).is_dir() and mode == "ro" for source, _, mode in mounts)
    assert f"path: {folders['./deploy/grafana/dashboards']}" in provider
    assert "http://prometheus:9090" in (PROVISIONING_DIR / "datasources/prometheus.yml").read_text()
