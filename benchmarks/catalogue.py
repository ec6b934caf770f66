"""Every benchmark by its key: what it is called and how it is run.

Keys stay what they are, as pages and tests name them. Torch and runtimes are imported when a benchmark runs.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from benchmarks.figures import Figure, Result
from benchmarks.occasion import occasion

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "B1": "exact speed-up over the published structure",
        "B3": "int8 on a CPU",
        "B5": "overhead of the loop",
    }
)


def run_benchmark(key: str, is_quick: bool, report: Callable[[str], object]) -> Result:
    """Run one benchmark.

    Args:
        key: in `TITLES`.
        is_quick: run a cut of seconds, whose figures mean nothing.
        report: told a line whenever there is something to see.

    Raises:
        DisagreementError: sides that must agree do not.
    """
    return Result(key, TITLES[key], _figures(key, is_quick, report), is_quick, occasion())


def _figures(key: str, is_quick: bool, report: Callable[[str], object]) -> list[Figure]:
    from benchmarks import exact_speed_up, loop_overhead, low_precision

    runs = {"B1": exact_speed_up.run, "B3": low_precision.run, "B5": loop_overhead.run}
    return runs[key](is_quick, report)
