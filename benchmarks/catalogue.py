"""Every benchmark by its key: what it is called and how it is run.

Keys stay what they are, as pages and tests name them. Torch and runtimes are imported when a benchmark runs.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType

from benchmarks.figures import Result
from benchmarks.occasion import load, occasion

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "B1": "exact speed-up over the published structure",
        "B2": "efficiency of float32 on a CPU",
        "B3": "int8 on a CPU",
        "B4": "a whole picture on a CPU",
        "B5": "overhead of the loop",
        "B8": "a row in a batch and alone",
    }
)
"""Of the graphs."""

ENGINE_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "B6": "capacity for mixed steps",
        "B7": "latency of shared steps against whole loops",
        "B9": "what the service adds to a request",
        "B10": "a person for the second time",
        "B13": "what the engine adds to a step",
        "B14": "the whole service against a bare loop",
        "B15": "memory over many jobs",
        "B16": "forecasts against what came",
        "B17": "the slot of a cancelled job",
        "B18": "ten times too much",
        "B19": "a batch beside interactive jobs",
        "B20": "workers on one queue",
        "B21": "picture files",
    }
)
"""Of the engine and the queue: wall time, on a computer that does nothing else."""

GPU_TITLES: Mapping[str, str] = MappingProxyType(
    {"B11": "one picture on a GPU", "B12": "the denoiser's share of a GPU's rate"}
)
"""Of the denoiser on a GPU: wall time."""

ALL_TITLES: Mapping[str, str] = MappingProxyType({**TITLES, **ENGINE_TITLES, **GPU_TITLES})

_MODULES = {
    "B1": "exact_speed_up",
    "B2": "cpu_efficiency",
    "B3": "low_precision",
    "B4": "end_to_end",
    "B5": "loop_overhead",
    "B6": "engine.mixed_capacity",
    "B7": "engine.mixed_latency",
    "B8": "isolation",
    "B9": "engine.service_overhead",
    "B10": "engine.vector_reuse",
    "B13": "engine.step_overhead",
    "B14": "engine.real_throughput",
    "B15": "engine.memory_growth",
    "B16": "engine.forecast_error",
    "B17": "engine.cancel_time",
    "B18": "engine.overload",
    "B19": "engine.batch_beside",
    "B20": "engine.worker_loss",
    "B21": "engine.picture_files",
}


_GPU_FUNCTIONS = {"B11": "run_latency", "B12": "run_throughput"}


def run_benchmark(
    key: str, is_quick: bool, report: Callable[[str], object], device: str = "cuda", sizes: Sequence[str] = ()
) -> Result:
    """Run one benchmark.

    Args:
        key: in `ALL_TITLES`.
        is_quick: run a cut of seconds, whose figures mean nothing.
        report: told a line whenever there is something to see.
        device: of those in `GPU_TITLES`: "cuda" or "cpu".
        sizes: likewise, names of variants.

    Raises:
        DisagreementError: sides that must agree do not.
        BrokenRunError: what was to be measured did not run.
        NotMeasuredError: this computer lacks the device.
    """
    # The commit is the one that runs, not one of half an hour later; the load is that of the run.
    where = occasion()
    if key in GPU_TITLES:
        measure = getattr(import_module("benchmarks.denoiser_speed"), _GPU_FUNCTIONS[key])
        figures = measure(is_quick, report, device, sizes)
    else:
        figures = import_module(f"benchmarks.{_MODULES[key]}").run(is_quick, report)
    return Result(key, ALL_TITLES[key], figures, is_quick, {**where, "load": load()})
