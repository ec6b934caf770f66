"""What the command says, and with which status it ends, when it can't start and when it is told to stop."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.processes import ROOT, running_service


def serve(role: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("XMDPT_", "REDIS_URL"))}
    return subprocess.run(
        [sys.executable, "-m", "service", role],
        cwd=ROOT,
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("role", ["gateway", "worker"])
@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({}, 78, "REDIS_URL is not set"),
        ({"REDIS_URL": "unix:///nowhere/queue.sock"}, 75, "the queue does not answer"),
        ({"XMDPT_MODEL_REPOSITORY": "/nowhere"}, 78, "/nowhere/MANIFEST.json"),
    ],
    ids=["no queue named", "queue away", "no graphs"],
)
def test_process_when_it_cannot_start_then_one_line_says_why_and_the_status_whether_to_try_again(
    role: str, settings: dict[str, str], status: int, words: str
) -> None:
    ended = serve(role, **settings)

    assert ended.returncode == status, ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"xmdpt-serve {role}: ")
    assert words in last
    assert "Traceback" not in ended.stderr


def test_processes_when_told_to_stop_then_each_ends_with_status_0(tmp_path: Path) -> None:
    with running_service(tmp_path, XMDPT_LOG_FORMAT="json") as service:
        pass

    lines = [json.loads(line) for line in service.log_path.read_text().splitlines() if line.startswith("{")]
    stopped = {line["child"]: line["status"] for line in lines if line["event"] == "stopped"}
    assert stopped == {"worker": 0, "gateway": 0}
