"""A release: `make dist`, and its wheel alone in a new environment, away from this repository.

That environment has the lowest versions of direct dependencies that the wheel allows: all other tests run with newer
ones, and `make floors` runs more of them with these.
"""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.floors import floors_of
from tests.deployment.artifacts import ROOT
from tests.integration.processes import EXAMPLES, free_port, wait_until


@pytest.fixture(scope="module")
def dist() -> Path:
    """What `make dist` leaves."""
    done = subprocess.run(["make", "dist"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    """The wheel's own `xmdpt-serve all`, run in an empty folder, and that folder."""
    home = tmp_path_factory.mktemp("installed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XMDPT_", "PYTHON"))}
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    floors = home / "floors.txt"
    floors.write_text("\n".join(floors_of(wheel)))
    pip = [home / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", floors, f"{wheel}[cpu]"], env=environment, check=True)
    folder, port, ops_port = home / "somewhere", free_port(), free_port()
    folder.mkdir()
    environment |= {"XMDPT_GATEWAY__PORT": str(port), "XMDPT_WORKER__OPS_PORT": str(ops_port)}
    with (home / "log").open("w") as log:
        process = subprocess.Popen([home / "venv/bin/xmdpt-serve", "all"], cwd=folder, env=environment, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

            def is_ready() -> bool:
                assert process.poll() is None, (home / "log").read_text()
                try:
                    worker = httpx.get(f"http://127.0.0.1:{ops_port}/readyz", trust_env=False)
                    return client.get("/readyz").is_success and worker.is_success
                except httpx.TransportError:
                    return False

            wait_until(is_ready, 180, (home / "log").read_text())
            yield client, folder
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_wheel_when_built_then_it_holds_all_that_is_served_and_nothing_of_the_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    shipped = {
        name
        for name in tracked
        if name.startswith(("service/", "xmdpt/", "xmdpt_client/", "model_repository/"))
        and not name.endswith(".gitkeep")
    }

    assert shipped - names == set()
    assert not [name for name in names if name.startswith(("tests/", "deploy/", ".data"))]
    assert not [name for name in names if name.endswith(".safetensors") and name != "model_repository/demo.safetensors"]


def test_release_when_made_then_it_lists_packages_and_licences(dist: Path) -> None:
    components = {each["name"] for each in json.loads((dist / "sbom.cdx.json").read_text())["components"]}
    licences = (dist / "LICENSES.md").read_text()

    assert {"fastapi", "numpy", "onnxruntime", "redis", "obstore"} <= components
    for word in ("| fastapi |", "Apache-2.0", "BlazePose", "uplot"):
        assert word in licences
    sums = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, capture_output=True, check=False
    )
    assert sums.returncode == 0, sums.stdout


def test_floors_when_a_wheel_names_them_then_each_is_a_version_and_none_is_missing(wheel: Path, tmp_path: Path) -> None:
    floors = floors_of(wheel)
    unbound = tmp_path / wheel.name
    with zipfile.ZipFile(unbound, "w") as archive:
        archive.writestr("x.dist-info/METADATA", "Metadata-Version: 2.4\nName: x\nVersion: 1\nRequires-Dist: numpy<3\n")

    names = [floor.partition("==")[0] for floor in floors]
    assert {"fastapi", "onnxruntime", "onnxruntime-gpu", "torch", "pytest"} <= set(names)
    assert len(names) == len(set(names)), "two extras have different floors"
    with pytest.raises(ValueError, match="numpy<3 has no lower bound"):
        floors_of(unbound)


def test_installed_wheel_when_started_anywhere_then_it_makes_a_picture(installed: tuple[httpx.Client, Path]) -> None:
    client, folder = installed
    files = {name: (EXAMPLES / file).read_bytes() for name, file in (("source", "person.png"), ("pose", "pose.json"))}

    picture = client.post("/generate", files=files, data={"steps": "4"})

    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert {entry.name for entry in folder.iterdir()} == {".data"}


def test_installed_wheel_when_asked_then_pages_presets_and_description_are_there(
    installed: tuple[httpx.Client, Path],
) -> None:
    client, _ = installed

    for path in ("/playground", "/status", "/docs", "/v1/poses/presets"):
        assert client.get(path).status_code == httpx.codes.OK
    assert client.get("/openapi.json").json() == json.loads((ROOT / "docs" / "openapi.json").read_text())
