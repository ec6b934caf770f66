"""Worker processes do not outlive the command that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKER = "multiprocessing.spawn"


def children_of(pid: int) -> list[int]:
    """The spawned workers of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and WORKER in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_when_render_is_killed_then_its_workers_end(tmp_path: Path) -> None:
    arguments = ["render", "--pairs", "100000", "--out", str(tmp_path / "out"), "--jobs", "2"]
    process = subprocess.Popen([sys.executable, "-m", "xmdpt.training", *arguments], stderr=subprocess.DEVNULL)
    while not (workers := children_of(process.pid)) or not list((tmp_path / "out" / "pictures").glob("*.png")):
        assert process.poll() is None
        time.sleep(0.05)

    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
