"""A Triton pod of the manifests, as a process: its repository and options in a real server, its probes and metrics."""

import shutil
from pathlib import Path

import httpx

from tests.deployment.cluster import container, rendered
from tests.deployment.cluster_hardening import PROBES
from tests.deployment.tritons_repository import prepare
from tests.integration.processes import ROOT
from tests.triton.running_triton import TritonStarter, install_triton, run_command

# The project's command gives them itself.
GIVEN = ("--model-repository=", "--model-config-name=", "--cache-config=")


def test_pod_when_its_repository_is_served_with_its_options_then_probes_and_metrics_answer(tmp_path: Path) -> None:
    install_triton()
    own = container(rendered("triton", "triton-on-cpu").workloads["triton"])
    image, models = tmp_path / "image", tmp_path / "models"
    shutil.copytree(ROOT / "model_repository", image)
    for link in image.glob("*/1/*.safetensors"):
        link.unlink()
    models.mkdir()
    prepare(image, models)
    # Then it is served as it lies there: no links are made for it.
    (models / "MANIFEST.json").unlink()
    options = [option for option in own["args"] if not option.startswith(GIVEN)]

    starter = TritonStarter([*run_command(tmp_path / "work", "--repository", str(models)), "--", *options])
    starter.start()
    try:
        http, metrics = (f"http://127.0.0.1:{starter.ports[name]}" for name in ("http", "metrics"))
        paths = {own[probe]["httpGet"]["path"] for probe in PROBES}
        answers = {path: httpx.get(http + path, trust_env=False).status_code for path in paths}
        measured = httpx.get(f"{metrics}/metrics", trust_env=False).text
    finally:
        said = starter.stop()

    assert said == ""
    assert answers == dict.fromkeys(paths, httpx.codes.OK)
    assert "nv_inference_request_success" in measured
    assert "xmdpt" in starter.line
