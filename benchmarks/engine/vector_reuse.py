"""B10: the second request with a person that the service has seen, on the weights that the project ships.

Once in the worker that made the person's vector, once in a worker that was started after that. A look-up takes as long
at any size, the making of a vector does not: at a size of the paper its parts are measured and summed.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.engine.client import Client, Ended, client_of
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.traffic import submission
from benchmarks.figures import BrokenRunError, Figure, Target
from benchmarks.frozen_parts import ENCODER, PHOTO, SHARE_OF_BLOCKS, frozen_networks, part_runs
from benchmarks.graphs import label
from benchmarks.turns import Report, take_turns
from service.domain.stage import Stage
from xmdpt.spec import VARIANTS

REAL = {"MODEL_REPOSITORY": str(Path(__file__).resolve().parents[2] / "model_repository")}
"""Settings of a worker with ONNX Runtime and the graphs in the repository."""
VARIANT = "demo"
"""Of these graphs."""
_MAX_MS, _MIN_RATIO = Target(3, "at most"), Target(20, "at least")
_NUM_STEPS = 2
_NUM_ROUNDS = 3
_RUNS = f'{{stage="{Stage.ENCODE_SOURCE}"}}'


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    num_persons, size = (2, "tiny") if is_quick else (20, "s")
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
    report(f"exporting encoders, {label(size)}")
    large = _made_ms(size, report)
    made_by_parts = f"a new person, {label(size)}, 1 thread, sum of parts"
    return [
        Figure("runs of the encoder for known persons", [num_second + num_other], target=Target(0, "at most")),
        Figure(f"stage {Stage.ENCODE_SOURCE}, a new person", made, "ms"),
        Figure("likewise, a known person", kept, "ms", _MAX_MS),
        Figure("likewise, a person known to another worker", fetched, "ms", _MAX_MS),
        Figure("new / known", [a / b for a, b in zip(made, kept, strict=True)], target=_MIN_RATIO),
        Figure("new / known to another worker", [a / b for a, b in zip(made, fetched, strict=True)]),
        Figure(f"stage {Stage.ENCODE_SOURCE}, {made_by_parts}", large, "ms"),
        Figure(f"{made_by_parts} / known", [each / median(kept) for each in large], target=_MIN_RATIO),
        Figure(
            f"{made_by_parts} / known to another worker", [each / median(fetched) for each in large], target=_MIN_RATIO
        ),
    ]


async def _one_after_the_other(client: Client, num_persons: int) -> list[Ended]:
    return [await client.make(submission(number, _NUM_STEPS, person=number)) for number in range(num_persons)]


def _num_runs(worker: Part) -> int:
    return int(worker.metric("xmdpt_stage_duration_seconds_count", _RUNS))


def _stage_ms(ended: Sequence[Ended]) -> list[float]:
    return [1000 * job.stage_seconds[Stage.ENCODE_SOURCE] for job in ended]


def _made_ms(size: str, report: Report) -> list[float]:
    """CPU time for a new person's vector: a photo's extractor, by a share of its blocks, and latents."""
    runs = part_runs(frozen_networks(VARIANTS[size]), "fp32")
    seconds = take_turns({part: runs[part] for part in (PHOTO, ENCODER)}, _NUM_ROUNDS, report)
    return list(1000 * (SHARE_OF_BLOCKS * np.array(seconds[PHOTO]) + seconds[ENCODER]))
