"""B15: what gateway and worker keep in memory over many jobs, all through HTTP and in all formats."""

from collections import defaultdict
from itertools import count
from statistics import median

from benchmarks.engine.curves import INSTANT, stepwise_settings
from benchmarks.engine.deployment import deployed
from benchmarks.engine.http_load import call, send_all
from benchmarks.figures import Figure, Target
from benchmarks.turns import Report
from service.domain.request import ImageFormat

_MAX_GROWTH = Target(20, "at most")
_NUM_STEPS = 10
_NUM_CALLERS = 8
_NUM_CALLS = 64
# Pictures are deleted while the jobs go on, as in a service that has run for long.
_SETTINGS = {"QUEUE__RETENTION_SECONDS": "60"}
EVERY = 100
"""Jobs from one value to the next."""
_WARM_UP = 5
# A value is a moment's; a few of them count as one.
_WIDTH = 3


def run(is_quick: bool, report: Report) -> list[Figure]:
    """Measure."""
    num_jobs = (2 * _WARM_UP + 2 * _WIDTH) * EVERY // 10 if is_quick else 10_000
    every = EVERY // 10 if is_quick else EVERY
    formats = list(ImageFormat)
    calls = [call(each, _NUM_STEPS, each, formats[each % len(formats)]) for each in range(_NUM_CALLS)]
    with deployed(stepwise_settings(INSTANT) | _SETTINGS) as deployment:
        parts = {"worker": deployment.start_worker(), "gateway": deployment.start_gateway()}
        rss: dict[str, list[float]] = defaultdict(list)
        number = count(1)

        def note() -> None:
            done = next(number)
            if done % every == 0:
                for name, part in parts.items():
                    rss[name].append(part.rss_mb)
            if done % (10 * every) == 0:
                report(f"{done} jobs: " + ", ".join(f"{name} {values[-1]:.1f} MB" for name, values in rss.items()))

        send_all(parts["gateway"].port, (calls * (num_jobs // len(calls) + 1))[:num_jobs], _NUM_CALLERS, note)
    return [
        *(
            Figure(f"growth of the {name} after {_WARM_UP * every} jobs", [growth(values)], "MB", _MAX_GROWTH)
            for name, values in rss.items()
        ),
        *(Figure(f"memory of the {name}, each {every} jobs", values, "MB") for name, values in rss.items()),
    ]


def growth(values: list[float]) -> float:
    """From the values behind the warm-up to the last ones."""
    return median(values[-_WIDTH:]) - median(values[_WARM_UP : _WARM_UP + _WIDTH])
