"""A simulated worker that notes when each step began and ended, and when it learned of a cancel.

It is the service's own worker in everything else. What it noted is written when it ends, and read by `read_notes`.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from service.adapters.redis_leases import RedisJobLeases
from service.adapters.simulated_backend import SimulatedBackend
from service.bootstrap.worker import run_worker
from service.ports.queue import LeaseVerdict
from service.settings import load_settings

COMMAND = ("benchmarks.engine.noted_worker",)
"""Behind `python -m`."""
_FILE = "notes.json"


@dataclass(frozen=True)
class Step:
    """One call of a denoising step; times in monotonic seconds of the computer, CPU seconds of the calling thread."""

    rows: int
    began: float
    ended: float
    cpu_began: float
    cpu_ended: float


@dataclass
class Notes:
    """What was noted, in order.

    Attributes:
        steps: calls.
        cancels: (monotonic seconds, id) of each heartbeat's answer that a job is no longer wanted.
    """

    steps: list[Step] = field(default_factory=list[Step])
    cancels: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def since(self, moment: float) -> "Notes":
        """Without what was before a moment, such as the calibration."""
        return Notes(
            [step for step in self.steps if step.began >= moment], [each for each in self.cancels if each[0] >= moment]
        )


def read_notes(data: Path) -> Notes:
    """Of a worker that has ended and had this XMDPT_DATA_DIR."""
    found = json.loads((data / _FILE).read_text())
    return Notes([Step(**step) for step in found["steps"]], [(at, job_id) for at, job_id in found["cancels"]])


def main() -> None:
    """Run the worker until it is told to stop."""
    notes, settings = Notes(), load_settings()
    SimulatedBackend.denoise_step = _noting_steps(SimulatedBackend.denoise_step, notes)
    RedisJobLeases.heartbeat = _noting_cancels(RedisJobLeases.heartbeat, notes)
    run_worker(settings)
    (settings.data_dir / _FILE).write_text(json.dumps(asdict(notes)))


def _noting_steps(denoise_step: Callable[..., Any], notes: Notes) -> Callable[..., Any]:
    def noted(backend: SimulatedBackend, latents: Any, *rest: Any) -> Any:
        began, cpu_began = time.monotonic(), time.thread_time()
        outputs = denoise_step(backend, latents, *rest)
        notes.steps.append(Step(len(latents), began, time.monotonic(), cpu_began, time.thread_time()))
        return outputs

    return noted


def _noting_cancels(heartbeat: Callable[..., Mapping[str, LeaseVerdict]], notes: Notes) -> Callable[..., Any]:
    def noted(leases: RedisJobLeases, *arguments: Any) -> Mapping[str, LeaseVerdict]:
        verdicts = heartbeat(leases, *arguments)
        notes.cancels += [(time.monotonic(), job_id) for job_id, verdict in verdicts.items() if verdict == "cancel"]
        return verdicts

    return noted


if __name__ == "__main__":
    main()
