"""The C code is built once into the cache, whoever races for it; without a compiler numpy draws, and says so."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xmdpt.persons.compile import CompileError, compiled_library
from xmdpt.persons.numpy_rasteriser import NumpyRasteriser
from xmdpt.persons.rasteriser import load_rasteriser

BUILD = "from xmdpt.persons.compile import compiled_library; print(compiled_library())"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "xmdpt"


def test_cache_when_two_processes_build_at_once_then_one_library_and_no_rest(cache: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", BUILD], env=os.environ, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {process.communicate(timeout=100)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(paths) == 1
    assert [path.name for path in cache.iterdir()] == [Path(paths.pop()).name]


def test_cache_when_the_library_is_there_then_no_compiler_is_needed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = compiled_library()
    monkeypatch.setenv("PATH", str(cache))
    assert compiled_library() == built


def test_compiler_when_there_is_none_then_numpy_draws_after_one_warning(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(cache))
    load_rasteriser.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            rasteriser, again = load_rasteriser(), load_rasteriser()
    finally:
        load_rasteriser.cache_clear()
    assert isinstance(rasteriser, NumpyRasteriser)
    assert again is rasteriser
    (record,) = caplog.records
    assert "no C compiler; install gcc" in record.getMessage()


def test_compiler_when_it_fails_then_its_reason_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bin" / "cc"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho 'cc: error: no disk' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(broken.parent))
    with pytest.raises(CompileError, match="no disk"):
        compiled_library()
    assert list(cache.iterdir()) == []


def test_cache_when_it_cannot_be_made_then_told_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CompileError, match="file"):
        compiled_library()
