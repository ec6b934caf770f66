"""B9: what an idle service adds to one request over HTTP, and how many requests it takes, with an instant backend.

From a request's wall time its graphs and codecs are taken off: the stages that the answer names, and the time that
decoding the same two files beside each other takes here.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from benchmarks.engine.curves import INSTANT, stepwise_settings
from benchmarks.engine.deployment import Part, deployed
from benchmarks.engine.http_load import Caller, call, files, send_all
from benchmarks.figures import Figure, Target
from benchmarks.turns import Report
from xmdpt.preprocess import to_photo

_MAX_MS = Target(5, "at most")
_NUM_STEPS = 10
# The wait in the queue is the service's own; `total` is a sum.
_OURS = ("queue", "total")


@dataclass(frozen=True)
class _Effort:
    """How much is run: requests one at a time, and requests of many callers."""

    num_single: int
    num_many: int
    num_rounds: int


_FULL = _Effort(num_single=300, num_many=400, num_rounds=5)
_QUICK = _Effort(num_single=5, num_many=8, num_rounds=1)
_NUM_CALLERS = 16


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    effort = _QUICK if is_quick else _FULL
    with deployed(stepwise_settings(INSTANT)) as deployment:
        deployment.start_worker()
        gateway = deployment.start_gateway()
        report(f"{effort.num_single} requests of one person, one at a time")
        known, whole = _single(gateway, [0] * (effort.num_single + 1))
        report(f"{effort.num_single} requests of as many persons, one at a time")
        new, _ = _single(gateway, list(range(1, effort.num_single + 2)))
        rates: list[float] = []
        for number in range(effort.num_rounds):
            calls = [call(each, _NUM_STEPS, each % _NUM_CALLERS) for each in range(effort.num_many)]
            started = time.monotonic()
            send_all(gateway.port, calls, _NUM_CALLERS, _nothing)
            rates.append(effort.num_many / (time.monotonic() - started))
            report(f"round {number + 1}: {rates[-1]:.1f} requests a second of {_NUM_CALLERS} callers")
    return [
        Figure("added to a lone request, a known person", known, "ms", _MAX_MS),
        Figure("added to a lone request, a new person", new, "ms", _MAX_MS),
        Figure(f"a lone request of {_NUM_STEPS} steps in all, a known person", whole, "ms"),
        Figure(f"requests a second, {_NUM_CALLERS} callers", rates),
    ]


def _single(gateway: Part, persons: Sequence[int]) -> tuple[list[float], list[float]]:
    """What the service added to each request but the first, which warms up, and what each took in all, ms."""
    caller = Caller(gateway.port)
    added: list[float] = []
    whole: list[float] = []
    for number, person in enumerate(persons):
        request = call(number, _NUM_STEPS, person)
        started = time.perf_counter()
        answer = caller.send(request)
        whole.append(1000 * (time.perf_counter() - started))
        stages = _stages_ms(answer.headers["Server-Timing"])
        graphs_and_codecs = sum(ms for stage, ms in stages.items() if stage not in _OURS)
        added.append(whole[-1] - graphs_and_codecs - _decoding_ms(person))
    caller.close()
    return added[1:], whole[1:]


def _stages_ms(server_timing: str) -> dict[str, float]:
    entries = (entry.split(";dur=") for entry in server_timing.split(", "))
    return {stage: float(ms) for stage, ms in entries}


def _decoding_ms(person: int) -> float:
    """Of the one of a person's two files that takes longer, as the gateway decodes them beside each other."""
    taken: list[float] = []
    for content in files(person):
        started = time.perf_counter()
        to_photo(Image.open(io.BytesIO(content)))
        taken.append(time.perf_counter() - started)
    return 1000 * max(taken)


def _nothing() -> None:
    """Nobody counts."""
