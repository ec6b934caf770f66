"""Triton in a folder of its own: a virtual environment with the server's wheel, and the backends beside it.

Starts nothing (`deploy.triton.server`). The service's environment can't hold it: the server needs an older numpy.
"""

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "requirements.txt"
_ONNX_BACKEND = _HERE / "backends" / "onnxruntime"
# For which the wheel has a stub and numpy 1.26 has wheels.
_PYTHONS = ((3, 11), (3, 12))
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_LIBPYTHON = f"libpython{_PYTHON}.so.1.0"


class NotInstallableError(Exception):
    """This computer lacks what Triton needs; one line says what."""


class InstallationError(Exception):
    """Triton is not there or could not be installed; one line says what to do."""


@dataclass(frozen=True)
class Installation:
    """Where everything is, in a folder of its own."""

    root: Path

    @property
    def stamp(self) -> Path:
        """Written last, with what it was made of."""
        return self.root / ".installed"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / "environment"

    @property
    def backends(self) -> Path:
        """Copies: the stub must lie beside its library, and the server takes no symbolic links."""
        return self.root / "backends"

    @property
    def packages(self) -> Path:
        """The environment's site-packages."""
        return self.venv / "lib" / f"python{_PYTHON}" / "site-packages"

    @property
    def triton(self) -> Path:
        """What the wheel brings of the server."""
        return self.packages / "pytriton" / "tritonserver"

    @property
    def program(self) -> Path:
        """The server's."""
        return self.triton / "bin" / "tritonserver"

    @property
    def is_complete(self) -> bool:
        """It is there, made of what would be installed now."""
        return self.program.is_file() and self.stamp.is_file() and self.stamp.read_text() == _ingredients()

    def environment(self) -> Mapping[str, str]:
        """Variables of the server's process."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        # The stub takes its packages from the first python3 that it finds; PYTHONPATH it ignores.
        path = f"{self.venv / 'bin'}{os.pathsep}{variables.get('PATH', os.defpath)}"
        libraries = [self.packages / "nvidia_pytriton.libs", *_libpython_folders()]
        return variables | {
            "PATH": path,
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            # ONNX Runtime from 1.32 on tells its maker how it is used, unless this is set.
            "ORT_DISABLE_TELEMETRY": "1",
        }


def install(root: Path) -> Installation:
    """Install Triton, or only take up a changed backend where that was done before; at most once at a time.

    Args:
        root: folder for all of it; need not exist.

    Raises:
        NotInstallableError: this computer can't run it.
        InstallationError: a package could not be installed.
    """
    installation = Installation(root.resolve())
    _check_computer()
    installation.root.mkdir(parents=True, exist_ok=True)
    with (installation.root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installation.is_complete:
            installation.stamp.unlink(missing_ok=True)
            _install_packages(installation)
            _copy(installation.triton / "backends" / "python", installation.backends / "python")
            _copy(installation.triton / "python_backend_stubs" / _PYTHON, installation.backends / "python")
            installation.stamp.write_text(_ingredients())
        _copy(_ONNX_BACKEND, installation.backends / _ONNX_BACKEND.name)
    return installation


def find_installation(root: Path) -> Installation:
    """Return what `install` has made.

    Raises:
        NotInstallableError: this computer can't run it any more.
        InstallationError: it hasn't, or of other packages.
    """
    installation = Installation(root.resolve())
    _check_computer()
    if not installation.is_complete:
        raise InstallationError(f"{root}: Triton is not installed there; run `server.py install --venv {root}`")
    return installation


def _install_packages(installation: Installation) -> None:
    python = installation.venv / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for command in (
        # Cleared: it may be of another Python.
        [sys.executable, "-m", "venv", "--clear", installation.venv],
        [*pip, "--no-deps", "--requirement", _REQUIREMENTS],
    ):
        if subprocess.run(command, check=False).returncode != 0:
            words = " ".join(map(str, command))
            raise InstallationError(f"could not install Triton, see above: {words}")


def _copy(source: Path, target: Path) -> None:
    """Put a folder's files into another one; each whole, because a server may be reading it."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file():
            unfinished = target / f".{path.name}"
            shutil.copy(path, unfinished)
            unfinished.replace(target / path.name)


def _ingredients() -> str:
    return f"Python {_PYTHON} of {sys.base_prefix}\n{_REQUIREMENTS.read_text()}"


def _check_computer() -> None:
    if sys.platform != "linux" or sys.version_info[:2] not in _PYTHONS:
        names = " or ".join(f"{major}.{minor}" for major, minor in _PYTHONS)
        raise NotInstallableError(f"Triton's wheel needs Linux and Python {names}; this is {sys.platform}, {_PYTHON}")
    if not _libpython_folders():
        try:
            ctypes.CDLL(_LIBPYTHON)
        except OSError:
            hint = f"install libpython{_PYTHON}, on Debian by `make setup-system`"
            raise NotInstallableError(f"Triton's Python backend needs {_LIBPYTHON}: {hint}") from None


def _libpython_folders() -> list[Path]:
    """Where this interpreter brings its library itself; empty leaves it to the system."""
    folders = (Path(sysconfig.get_config_var("LIBDIR") or ""), Path(sys.base_prefix, "lib"))
    return [folder for folder in dict.fromkeys(folders) if (folder / _LIBPYTHON).is_file()]
