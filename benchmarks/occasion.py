"""Where and when figures were measured, without what would tell one computer of a kind from another."""

import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from export.gpu import gpu_at_hand

_ROOT = Path(__file__).resolve().parents[1]
_CPU_INFO = Path("/proc/cpuinfo")
# Of the first two a computer has one.
_ENGINES = ("onnxruntime", "onnxruntime-gpu", "torch")


def occasion() -> dict[str, str]:
    """Date, commit, machine and versions of what ran, each in words."""
    machine = _processor(), f"{len(os.sched_getaffinity(0))} cores", gpu_at_hand()
    return {
        "date": date.today().isoformat(),
        "commit": _commit(),
        "machine": ", ".join(part for part in machine if part),
        "versions": ", ".join([*_versions(), f"Python {platform.python_version()}"]),
        "load": load(),
    }


def load() -> str:
    """How many processes wanted a core during the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def _versions() -> Iterator[str]:
    for name in _ENGINES:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name).split('+')[0]}"


def _commit() -> str:
    """The short name of the commit, `+` behind it where files differ from it; `unknown` outside of a git checkout."""
    try:
        commit, changes = (_git(*words) for words in (("rev-parse", "--short=10", "HEAD"), ("status", "--porcelain")))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+" if changes else commit


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    """The processor's own name where the system tells it, else the kind of machine."""
    if _CPU_INFO.exists():
        for line in _CPU_INFO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
