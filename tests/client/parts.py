"""What the tests of the client share: the bundled inputs, the command as a process, and texts of the service."""

import json
import os
import subprocess
import sys

from tests.fakes.scripted_http import an_answer
from tests.integration.processes import EXAMPLES, ROOT

PHOTO = EXAMPLES / "person.png"
POSE = EXAMPLES / "pose.json"
POSE_DOCUMENT = json.loads(POSE.read_text())
JOB_ID = "job_" + "ab" * 16


def xmdpt(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command as a process of its own, its output on pipes."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=clean_environment() | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "xmdpt_client", *map(str, arguments)]


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("XMDPT_")}


def a_job(status: str = "succeeded", **fields: object) -> dict:
    """The part of a job object that the client reads."""
    step = 50 if status == "succeeded" else 0
    output = {"index": 0, "content_type": "image/png", "sha256": "cd" * 32, "bytes": 7, "seed": 9}
    return {
        "id": JOB_ID,
        "object": "job",
        "status": status,
        "request": {"seed": 9},
        "queue": {"position": 0},
        "progress": {"stage": None, "step": step, "steps": 50, "ratio": step / 50},
        "eta": None,
        "outputs": [output] if status == "succeeded" else [],
        "error": None,
    } | fields


def job_answer(
    status: str = "succeeded", *, http_status: int = 200, headers: dict | None = None, **fields: object
) -> bytes:
    return an_answer(http_status, json.dumps(a_job(status, **fields)).encode(), **(headers or {}))


ACCEPTED = job_answer("queued", http_status=202)
PICTURE = an_answer(200, b"picture", "image/png")
