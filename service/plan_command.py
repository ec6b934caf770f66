"""`xmdpt-serve plan`: how many workers a load needs on a device like this one."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.domain.capacity import Capacity, StepCurve
from service.domain.errors import ConfigurationError
from service.domain.execution import Execution
from service.domain.request import MAX_STEPS, MIN_STEPS
from service.fleet_plan import Fleet, Load, alone_seconds, fleets, keeps
from service.settings import Settings

_DESCRIPTION = """Time the backend as a worker does (or read what `xmdpt-serve calibrate --json` printed on another
machine), rehearse the scheduler in virtual time under a load of jobs at random times, and tell how many workers keep
the promise. Needs no queue. It counts devices alone: HTTP, codecs and the queue add some milliseconds to each job."""
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|min)?")
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, None: 1.0}
_DEFAULT_P95 = "2s"


def add_plan_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    text = "tell how many workers a load needs"
    plan = commands.add_parser("plan", help=text, description=_DESCRIPTION)
    plan.add_argument("--rps", type=_rate, required=True, metavar="N", help="jobs that come per second")
    plan.add_argument(
        "--p95",
        type=_duration,
        default=_duration(_DEFAULT_P95),
        metavar="TIME",
        help="within which 19 of 20 jobs shall end, such as 800ms or 2s (default: 2s)",
    )
    plan.add_argument(
        "--steps",
        type=_steps,
        default=(50,),
        metavar="LIST",
        help="denoising steps of the jobs, in equal parts, such as 10,20,50 (default: 50)",
    )
    plan.add_argument(
        "--known",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="of jobs whose person and pose have been seen before, 0..1 (default: 0)",
    )
    plan.add_argument(
        "--spare",
        type=_count,
        default=1,
        metavar="N",
        help="workers more than needed, so that as many may be lost (default: 1)",
    )
    plan.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="what `calibrate --json` printed, - for standard input; default: this device is timed now",
    )
    plan.add_argument("--json", action="store_true", help="for machines")


def run_plan_command(settings: Settings, arguments: argparse.Namespace) -> str:
    """Returns what to print.

    Raises:
        ConfigurationError: the calibration can't be read, or no number of workers would do.
        BackendError: the device can't be timed.
    """
    capacity = _read(arguments.calibration) if arguments.calibration else _measured(settings)
    load = Load(arguments.rps, arguments.steps, arguments.known)
    try:
        tried = fleets(capacity, load, arguments.p95, _say if sys.stderr.isatty() else lambda _: None)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    enough = next(fleet.num_workers for fleet in tried if keeps(fleet, arguments.p95))
    if arguments.json:
        found = {"num_workers": enough + arguments.spare, "fleets": [asdict(fleet) for fleet in tried]}
        return json.dumps(found, indent=2)
    heading = (
        f"{load.jobs_per_second:g} jobs a second of {', '.join(map(str, load.num_steps))} steps, "
        f"{load.known_share:.0%} of them of known persons; a job alone takes {alone_seconds(capacity, load):.2f} s"
    )
    more = f", and {arguments.spare} more so that as many may be lost" if arguments.spare else ""
    last = f"{_workers(enough + arguments.spare)}: {enough} keep p95 within {arguments.p95:g} s{more}."
    return "\n".join([heading, "", *_table(tried, arguments.p95), "", last])


def _say(fleet: Fleet) -> None:
    sys.stderr.write(f"tried {_workers(fleet.num_workers)}: p95 {fleet.p95_seconds:.2f} s\n")


def _table(tried: Sequence[Fleet], p95: float) -> Sequence[str]:
    lines = [f"{'workers':>7}{'busy':>8}{'jobs each':>11}{'p50 s':>9}{'p95 s':>9}{'p99 s':>9}"]
    for fleet in tried:
        times = "".join(f"{seconds:9.2f}" for seconds in (fleet.p50_seconds, fleet.p95_seconds, fleet.p99_seconds))
        verdict = "  too few: the queue grows" if fleet.utilisation >= 1 else ""
        verdict = f"  p95 within {p95:g} s" if keeps(fleet, p95) else verdict
        there = f"{fleet.jobs_per_worker:11.2f}"
        lines.append(f"{fleet.num_workers:7}{fleet.utilisation:8.0%}{there}{times}{verdict}")
    return lines


def _workers(number: int) -> str:
    return "1 worker" if number == 1 else f"{number} workers"


def _measured(settings: Settings) -> Capacity:
    from service.bootstrap.backend import measure, open_backend
    from service.telemetry.logs import configure_logs

    configure_logs("plan", settings.log_level, settings.log_format)
    return measure(settings, open_backend(settings))


def _read(path: Path) -> Capacity:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        found: dict[str, Any] = json.loads(text)
        curve = StepCurve([(point["rows"], point["seconds"]) for point in found["steps"]], found["call_seconds"])
        return Capacity(
            curve,
            {str(stage): float(seconds) for stage, seconds in found["stage_seconds"].items()},
            Execution(found["execution"]),
            int(found["max_batch"]),
            int(found["num_slots"]),
            bool(found["is_shortest_first"]),
        )
    except OSError as error:
        raise ConfigurationError(f"--calibration {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(f"--calibration {path}: not what `xmdpt-serve calibrate --json` prints") from None


def _rate(text: str) -> float:
    number = _number(text)
    if not 0 < number <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} must be above 0 and at most 100,000")
    return number


def _duration(text: str) -> float:
    match = _SECONDS.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} must be a time above 0, such as 800ms, 2s or 1min")
    return seconds


def _steps(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and MIN_STEPS <= int(part) <= MAX_STEPS for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers from {MIN_STEPS} to {MAX_STEPS}, with commas")
    return tuple(int(part) for part in parts)


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be between 0 and 1")
    return number


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 to 1,000")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number") from None
