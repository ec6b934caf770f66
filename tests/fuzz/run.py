"""One run of schemathesis over the whole description, against real processes."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.integration.processes import ROOT, running_service

_CONFIG = Path(__file__).with_name("schemathesis.toml")
# No model: what is tried is the edge and the queue.
_SETTINGS = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "0",
    "XMDPT_SIMULATED__ENCODER_MS": "0",
    "XMDPT_SIMULATED__DECODER_MS": "0",
    "XMDPT_LOG_FORMAT": "json",
}


@dataclass(frozen=True)
class FuzzRun:
    """What came of it.

    Attributes:
        status: of schemathesis: 0 without a failure.
        report: everything that it printed.
        num_server_errors: how often the service said that it could not go on.
    """

    status: int
    report: str
    num_server_errors: int


def run_fuzz(folder: Path, seconds: float, seed: int | None = None) -> FuzzRun:
    """All checks and all phases, stateful too, for about so long.

    Args:
        folder: for the service's data and log.
        seconds: at least a few.
        seed: of the cases; another one each time if None.
    """
    with running_service(folder, **_SETTINGS) as service:
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIG), "run"),
            f"http://127.0.0.1:{service.port}/openapi.json",
            *("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--max-time", f"{max(1, round(seconds))}", "--request-timeout", "90", "--continue-on-failure"),
            *("--no-color", "--warnings", "off", *(() if seed is None else ("--seed", str(seed)))),
        ]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz.hooks", "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds + 600, check=False
        )
        num_server_errors = service.log_path.read_text().count('"request_failed"')
    return FuzzRun(ended.returncode, ended.stdout + ended.stderr, num_server_errors)
