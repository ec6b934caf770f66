"""What the manifests say to gateway and worker, said to real processes: they start, serve who has a key, and stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from service.adapters.embedded_valkey import EmbeddedValkey
from tests.deployment.cluster import Cluster, container, pod_spec, rendered
from tests.deployment.test_image import environment
from tests.integration.processes import EXAMPLES, ROOT, free_port, serve, wait_until

if TYPE_CHECKING:
    from tests.fakes.bucket_server import BucketServer


FILES = {"source": "person.png", "pose": "pose.json"}


@contextmanager
def running(cluster: Cluster, name: str, here: dict[str, str], log_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A workload's container as a process: with what image and manifests say, but for addresses."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    image = {key: value for key, value in environment(name).items() if key != "PATH"}
    command = [sys.executable, "-m", "service", *container(cluster.workloads[name])["args"]]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=own | image | cluster.variables(name) | here, stderr=log, stdout=log
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("overlay", ["small", "cloud"])
def test_overlay_when_its_containers_run_as_processes_then_only_a_key_gets_a_picture(
    overlay: str, valkey_server: EmbeddedValkey, bucket_server: "BucketServer", tmp_path: Path
) -> None:
    cluster = rendered(overlay)
    ports = {"gateway": free_port(), "worker": free_port()}
    here = {
        "REDIS_URL": valkey_server.url,
        "XMDPT_DATA_DIR": str(tmp_path / "data"),
        "XMDPT_MODEL_REPOSITORY": str(ROOT / "model_repository"),
        "XMDPT_WORKER__CALIBRATION_SECONDS": "0.1",
        "XMDPT_GATEWAY__PORT": str(ports["gateway"]),
        "XMDPT_WORKER__OPS_PORT": str(ports["worker"]),
    }
    if overlay == "cloud":
        here |= {"XMDPT_PICTURES__BUCKET": "s3://pictures/cloud", "XMDPT_PICTURES__ENDPOINT": bucket_server.endpoint}
    # As in its image.
    manifest = tmp_path / "repository" / "MANIFEST.json"
    manifest.parent.mkdir()
    manifest.write_bytes((ROOT / "model_repository" / manifest.name).read_bytes())
    of_gateway = here | {"XMDPT_MODEL_REPOSITORY": str(manifest.parent)}
    url = f"http://127.0.0.1:{ports['gateway']}/generate"

    def generate(headers: dict[str, str]) -> httpx.Response:
        files = {name: (EXAMPLES / file).read_bytes() for name, file in FILES.items()}
        return httpx.post(url, headers=headers, files=files, data={"steps": "2"}, timeout=60)

    with (
        running(cluster, "gateway", of_gateway, tmp_path / "gateway.log") as gateway,
        running(cluster, "worker", here, tmp_path / "worker.log") as worker,
    ):
        for name, port in ports.items():
            for probe in ("startupProbe", "readinessProbe"):
                path = container(cluster.workloads[name])[probe]["httpGet"]["path"]
                wait_until(lambda port=port, path=path: answers(port, path), 60, f"{name} {path}: {tmp_path}")
        before = generate({})
        key = serve("keys", "create", "--tenant", "me", REDIS_URL=valkey_server.url).stdout.strip()
        without, with_key = generate({}), generate({"Authorization": f"Bearer {key}"})
        for process in (worker, gateway):
            process.send_signal(signal.SIGTERM)
        grace = min(pod_spec(workload)["terminationGracePeriodSeconds"] for workload in cluster.workloads.values())
        statuses = [process.wait(grace) for process in (worker, gateway)]

    assert (before.status_code, without.status_code) == (401, 401)
    assert (with_key.status_code, with_key.headers["Content-Type"]) == (200, "image/png")
    assert statuses == [0, 0]
