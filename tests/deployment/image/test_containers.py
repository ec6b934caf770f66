"""The images, built and run by a real Docker engine, alone and by the compose file: `make image-test`.

Left out is what cannot be had without a registry or a GPU: `worker-gpu`, Prometheus, Grafana, Triton, DCGM.
"""

import json
from io import BytesIO

import httpx
import pytest
from PIL import Image

from tests.deployment.artifacts import IMAGE
from tests.deployment.image.conftest import TARGETS, Deployment
from tests.deployment.image.docker_engine import DockerEngine
from tests.integration.processes import EXAMPLES, multipart, wait_until

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("context")]
CONTAINERS = ["gateway", "worker", "queue"]
# More than a worker takes at once, and more steps than it makes before it is told to stop.
JOBS, STEPS = 6, 200


def form(**fields: object) -> dict:
    pose = json.loads((EXAMPLES / "pose.json").read_text())
    return multipart((EXAMPLES / "astronaut.jpg").read_bytes(), pose, fields)


def status(deployment: Deployment, job: dict) -> str:
    return deployment.client.get(f"/v1/jobs/{job['id']}").json()["status"]


@pytest.mark.parametrize("target", TARGETS)
def test_image_when_built_then_its_user_health_check_and_role_are_set(engine: DockerEngine, target: str) -> None:
    (image,) = json.loads(engine.docker("image", "inspect", f"{IMAGE}-{target}"))

    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Healthcheck"]["Test"] == ["CMD", "python3", "/app/healthcheck.py"]
    assert (image["Config"]["Entrypoint"], image["Config"]["Cmd"]) == (["xmdpt-serve"], [target])


def test_images_when_built_then_all_but_the_model_is_shared(engine: DockerEngine) -> None:
    layers = {
        target: json.loads(engine.docker("image", "inspect", f"{IMAGE}-{target}"))[0]["RootFS"]["Layers"]
        for target in TARGETS
    }

    assert layers["worker"][:-1] == layers["gateway"][:-1]
    assert layers["all"] == layers["worker"]


def test_image_of_the_gateway_when_built_then_no_weights_are_in_it(engine: DockerEngine) -> None:
    find = ["run", "--rm", "--network", "none", "--entrypoint", "find", f"{IMAGE}-gateway"]

    assert engine.docker(*find, "/app/model_repository", "-type", "f") == "/app/model_repository/MANIFEST.json\n"


def test_image_of_everything_when_run_alone_then_it_becomes_healthy(engine: DockerEngine) -> None:
    hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--network", "none"]
    name = "xmdpt-alone"
    engine.docker("run", "--detach", "--name", name, *hardened, "-e", "XMDPT_GATEWAY__AUTH=off", f"{IMAGE}-all")

    def state() -> dict:
        return json.loads(engine.docker("inspect", name))[0]["State"]

    try:
        wait_until(lambda: state()["Health"]["Status"] == "healthy", 120, "the container is healthy")
    finally:
        engine.docker("stop", "--time", "40", name)
    assert state()["ExitCode"] == 0
    engine.docker("rm", "--volumes", name)


def test_image_of_the_export_when_run_then_it_builds_a_repository(engine: DockerEngine, export_image: str) -> None:
    hardened = [
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--tmpfs",
        "/work:uid=10001",
        "--cap-drop",
        "ALL",
        "--network",
        "none",
    ]
    build = ["build", "--variant", "tiny", "--out", "repository-tiny"]

    told = engine.docker("run", "--rm", *hardened, export_image, *build)

    assert "wrote repository-tiny/MANIFEST.json" in told


def test_deployment_when_asked_for_a_picture_then_it_answers_with_one(deployment: Deployment) -> None:
    answer = deployment.client.post("/generate", headers={"Prefer": "wait=60"}, **form(seed=3, steps=4))

    assert answer.status_code == httpx.codes.OK, answer.text
    with Image.open(BytesIO(answer.content)) as picture:
        assert picture.size == (256, 256)


@pytest.mark.parametrize("service", CONTAINERS)
def test_container_when_it_runs_then_it_is_not_root_and_has_no_rights(deployment: Deployment, service: str) -> None:
    lines = deployment.inside(service, "cat", "/proc/1/status").splitlines()
    facts = {name: words.split() for name, words in (line.split(":", 1) for line in lines)}

    assert "0" not in facts["Uid"]
    assert {facts[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert facts["NoNewPrivs"] == ["1"]


@pytest.mark.parametrize("service", CONTAINERS)
def test_container_when_it_runs_then_its_root_cannot_be_written(deployment: Deployment, service: str) -> None:
    mounts = [line.split() for line in deployment.inside(service, "cat", "/proc/1/mounts").splitlines()]
    writable = {mount[1] for mount in mounts if "rw" in mount[3].split(",")}

    assert not writable & {"/", "/app", "/etc", "/opt", "/usr"}
    assert {"/data", "/tmp"} <= writable


def test_deployment_when_stopped_with_jobs_in_its_queue_then_it_ends_in_time_and_none_is_lost(
    deployment: Deployment,
) -> None:
    answers = [
        deployment.client.post("/generate", headers={"Prefer": "respond-async"}, **form(seed=seed, steps=STEPS))
        for seed in range(JOBS)
    ]
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    jobs = [answer.json() for answer in answers]
    assert status(deployment, jobs[-1]) == "queued"

    # Who has not ended after 30 s is killed, and then the status is 137.
    deployment.compose("stop", "--timeout", "30")
    listed = deployment.compose("ps", "--all", "--format", "json").splitlines()
    codes = {container["Service"]: container["ExitCode"] for container in map(json.loads, listed)}
    deployment.compose("down")
    deployment.up()

    assert codes == dict.fromkeys(CONTAINERS, 0)
    for job in jobs:
        wait_until(lambda job=job: status(deployment, job) == "succeeded", 300, f"{job['id']} succeeds")
        assert deployment.client.get(f"/v1/jobs/{job['id']}/result").headers["content-type"] == "image/png"
