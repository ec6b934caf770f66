"""The container that builds engines: linted and read; NVIDIA's container, which it begins with, cannot be had here."""

import re
import subprocess
import sys
from pathlib import Path

from tests.deployment.artifacts import ENGINES_DOCKERFILE, PROJECT, ROOT

BIN = Path(sys.executable).parent


def name_of(requirement: str) -> str:
    return re.split(r"[=<>]", requirement)[0]


def test_dockerfile_when_linted_then_nothing_is_found() -> None:
    done = subprocess.run(
        [BIN / "hadolint", "deploy/tensorrt.Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile_when_read_then_any_builder_takes_it_and_the_release_is_one_argument() -> None:
    assert "<<" not in ENGINES_DOCKERFILE
    assert not re.search(r"^#\s*syntax\s*=", ENGINES_DOCKERFILE, flags=re.MULTILINE)
    assert "ARG TRITON_TAG=26.08-py3\n" in ENGINES_DOCKERFILE
    assert "FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG} AS export\n" in ENGINES_DOCKERFILE
    assert ENGINES_DOCKERFILE.count("\nFROM ") == 1


def test_container_when_it_runs_then_the_command_does_as_nobody_special() -> None:
    assert 'ENTRYPOINT ["python3", "-m", "export", "tensorrt"]\n' in ENGINES_DOCKERFILE
    assert "USER 10001:10001\n" in ENGINES_DOCKERFILE


def test_packages_when_installed_then_they_are_the_extra_s_and_torch_is_none_of_them() -> None:
    (line,) = [line for line in ENGINES_DOCKERFILE.splitlines() if "onnx==" in line]
    installed = {name_of(word.strip('"')): word.strip('"') for word in line.split() if "==" in word}

    assert set(installed) == {name_of(requirement) for requirement in PROJECT["optional-dependencies"]["tensorrt"]}
    assert "torch" not in " ".join(installed.values())
