"""What a build takes from elsewhere, made here: a base image of Debian's packages, and wheels.

No registry of images is asked. The base stands in for Python's and, with Redis under Valkey's names, for the queue's.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deployment.artifacts import COMPOSE, PROJECT, ROOT
from tests.deployment.image.docker_engine import DockerEngine

# Of the Python that Debian 12 has.
_PYTHON = "python:3.11-slim"
_HOOK = (
    'ln -s redis-server "$1/usr/bin/valkey-server"; ln -s redis-cli "$1/usr/bin/valkey-cli";'
    ' install -d -o 999 -g 1000 "$1/data"'
)
_CONTEXT = [
    *("Dockerfile", ".dockerignore", ".env", "docker-compose.yml", "LICENSE", "NOTICE", "README.md", "pyproject.toml"),
    *("requirements.lock", "deploy", "export", "model_repository", "service", "xmdpt", "xmdpt_client"),
]


def import_bases(engine: DockerEngine, folder: Path) -> None:
    """Give the engine the images that ours and the queue's stand on; the archive is made once."""
    archive = folder / "base.tar"
    if not archive.exists():
        unfinished = folder / "unfinished.tar"
        packages = "--include=python3,python3-venv,python3-pip,redis-server"
        hook = f"--customize-hook={_HOOK}"
        engine.run("mmdebstrap", "--variant=minbase", packages, hook, "bookworm", str(unfinished))
        unfinished.rename(archive)
    engine.docker("import", str(archive), _PYTHON)
    engine.docker("tag", _PYTHON, COMPOSE["services"]["queue"]["image"])


def build_context(folder: Path) -> Path:
    """A copy of what is built, with all its wheels, so that no index is asked."""
    context = folder / "context"
    shutil.rmtree(context, ignore_errors=True)
    for name in _CONTEXT:
        source, target = ROOT / name, context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    _download_wheels(folder)
    shutil.copytree(folder / "wheels", context / "wheels")
    return context


def _download_wheels(folder: Path) -> None:
    # Debian's 3.11.2 takes one package that newer ones do not.
    lock = re.sub(r" ; python_full_version < '3\.11\.3'", "", (ROOT / "requirements.lock").read_text())
    (folder / "requirements.lock").write_text(lock)
    # What the export adds, beside the versions that the lock has; constraints know neither extras nor hashes.
    pins = [re.sub(r"\[\w+\]| \\$", "", line) for line in lock.splitlines() if re.match(r"\w\S*==", line)]
    (folder / "constraints.txt").write_text("\n".join(pins))
    quietly = ["--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "download", *quietly, "--dest", folder / "wheels"]
    for words in (
        ["--require-hashes", "-r", folder / "requirements.lock"],
        ["--no-deps", "setuptools>=80"],
        ["-c", folder / "constraints.txt", *PROJECT["optional-dependencies"]["export"]],
    ):
        subprocess.run([*pip, *words], check=True)
