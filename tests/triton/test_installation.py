"""Triton's own folder: made once, complete or not there, and refused in a line where it can't run."""

import re
import sys
from pathlib import Path

import pytest

from deploy.triton import installation
from deploy.triton.installation import InstallationError, NotInstallableError, find_installation, install
from tests.integration.processes import ROOT


def test_installation_when_complete_then_it_is_taken_as_it_is_and_only_the_backend_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(installation, "_install_packages", lambda place: made.append(make_packages(place)))

    first, second = install(tmp_path), install(tmp_path)

    assert first == second == find_installation(tmp_path)
    assert len(made) == 1
    assert {path.relative_to(first.backends).as_posix() for path in first.backends.rglob("*") if path.is_file()} == {
        "onnxruntime/model.py",
        "python/library",
        "python/stub",
    }


def make_packages(place: installation.Installation) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for folder, name in (
        ("bin", place.program.name),
        ("backends/python", "library"),
        (f"python_backend_stubs/{python}", "stub"),
    ):
        (place.triton / folder).mkdir(parents=True)
        (place.triton / folder / name).touch()


def test_installation_when_it_failed_or_is_of_other_packages_then_it_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_install_packages", make_packages)
    install(tmp_path / "old")
    monkeypatch.setattr(installation, "_ingredients", lambda: "numpy==9")

    for venv in ("old", "none"):
        with pytest.raises(InstallationError, match="not installed there"):
            find_installation(tmp_path / venv)


def test_installation_when_a_command_fails_then_it_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "false")

    with pytest.raises(InstallationError, match="could not install Triton, see above: false -m venv --clear"):
        install(tmp_path)

    with pytest.raises(InstallationError, match="not installed there"):
        find_installation(tmp_path)


def test_installation_when_the_computer_lacks_something_then_a_line_says_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_LIBPYTHON", "libpython0.0.so")
    with pytest.raises(NotInstallableError, match=r"needs libpython0\.0\.so: install libpython3\.\d+, on Debian by"):
        install(tmp_path)

    monkeypatch.setattr(installation, "_PYTHONS", ((2, 7),))
    with pytest.raises(NotInstallableError, match=r"needs Linux and Python 2\.7; this is linux, 3\."):
        install(tmp_path)


def test_requirements_when_read_then_triton_has_the_runtime_that_the_service_has() -> None:
    ours = re.findall(r"^onnxruntime==(\S+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)

    assert re.findall(r"^onnxruntime==(\S+)", installation._REQUIREMENTS.read_text(), flags=re.MULTILINE) == ours
