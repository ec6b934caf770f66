"""An environment for each peer, in build/peers: made once, of the versions in requirements/."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "peers"
_REQUIREMENTS = Path(__file__).resolve().parent / "requirements"


class EnvironmentMissingError(Exception):
    """An environment could not be made; one line says why."""


def requirements_of(peer: str) -> str:
    """What a peer's environment is made of."""
    return (_REQUIREMENTS / f"{peer}.txt").read_text()


def make_environment(peer: str, report: Callable[[str], object]) -> Path:
    """The folder of a peer's environment, made unless it is there, of the same requirements.

    Args:
        peer: a name in requirements/.
        report: told a line when something is installed, which takes a minute.

    Raises:
        EnvironmentMissingError: pip could not install it.
    """
    folder, text = FOLDER / peer, requirements_of(peer)
    stamp = folder / ".installed"
    if stamp.is_file() and stamp.read_text() == text:
        return folder
    report(f"installing {text.split()[0]} into {folder.relative_to(ROOT)}")
    shutil.rmtree(folder, ignore_errors=True)
    pip = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
    ]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, "--requirement", str(_REQUIREMENTS / f"{peer}.txt")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
            raise EnvironmentMissingError(f"{peer}: could not be installed: {last}")
    stamp.write_text(text)
    return folder


def make_triton(report: Callable[[str], object]) -> None:
    """Install Triton into build/triton unless it is there, as `make triton` does.

    Raises:
        EnvironmentMissingError: it can't be installed here.
    """
    report("Triton is looked for in build/triton, or installed")
    command = [sys.executable, str(ROOT / "deploy" / "triton" / "server.py"), "install"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentMissingError((done.stderr.strip().splitlines() or ["Triton could not be installed"])[-1])


def version_in(environment: Path, package: str) -> str:
    """The version of a package in a virtual environment; empty if it isn't there."""
    folders = [str(folder) for folder in (environment / "lib").glob("python*/site-packages")]
    # Without a folder it would look into the environment that we run in.
    return next((found.version for found in distributions(path=folders, name=package)), "") if folders else ""
