"""B10: the second request with a person that the service has seen, on the weights that the project ships.

Once in the worker that made the person's vector, once in a worker that was started after that.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engine.client import Client, Ended, client_of
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.traffic import submission
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.turns import Report
from service.domain.stage import Stage

REAL = {"MODEL_REPOSITORY": str(Path(__file__).resolve().parents[2] / "model_repository")}
"""Settings of a worker with ONNX Runtime and the graphs in the repository."""
VARIANT = "demo"
"""Of these graphs."""
_MAX_MS, _MIN_RATIO = Target(3, "at most"), Target(20, "at least")
_NUM_STEPS = 2
_RUNS = f'{{stage="{Stage.ENCODE_SOURCE}"}}'


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    num_persons = 2 if is_quick else 20
    with deployed(REAL) as deployment:

        async def ask(worker: Part, what: str) -> tuple[list[Ended], int]:
            report(f"{num_persons} persons, {what}")
            before = _num_runs(worker)
            async with client_of(deployment, VARIANT) as client:
                ended = await _one_after_the_other(client, num_persons)
            return ended, _num_runs(worker) - before

        worker = deployment.start_worker()
        first, num_first = asyncio.run(ask(worker, "for the first time"))
        second, num_second = asyncio.run(ask(worker, "for the second time"))
        worker.stop()
        other, num_other = asyncio.run(ask(deployment.start_worker(), "in another worker"))
    if num_first != num_persons:
        raise BrokenRunError(f"{num_first} runs of the encoder for {num_persons} new persons")
    made, kept, fetched = _stage_ms(first), _stage_ms(second), _stage_ms(other)
    return [
        Figure("runs of the encoder for known persons", [num_second + num_other], target=Target(0, "at most")),
        Figure(f"stage {Stage.ENCODE_SOURCE}, a new person", made, "ms"),
        Figure("likewise, a known person", kept, "ms", _MAX_MS),
        Figure("likewise, a person known to another worker", fetched, "ms", _MAX_MS),
        Figure("new / known", [a / b for a, b in zip(made, kept, strict=True)], target=_MIN_RATIO),
        Figure("new / known to another worker", [a / b for a, b in zip(made, fetched, strict=True)]),
    ]


async def _one_after_the_other(client: Client, num_persons: int) -> list[Ended]:
    return [await client.make(submission(number, _NUM_STEPS, person=number)) for number in range(num_persons)]


def _num_runs(worker: Part) -> int:
    return int(worker.metric("xmdpt_stage_duration_seconds_count", _RUNS))


def _stage_ms(ended: Sequence[Ended]) -> list[float]:
    return [1000 * job.stage_seconds[Stage.ENCODE_SOURCE] for job in ended]
