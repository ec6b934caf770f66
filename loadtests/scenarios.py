"""The scenarios as data, and the calls that one of them makes, each with its time: decided before anything is sent."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate, count, takewhile
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any, Literal

Kind = Literal["wait", "poll", "cancel"]
Arrivals = Literal["constant", "poisson", "burst", "ramp"]

FILE = Path(__file__).with_name("scenarios.toml")
_BURST_TIME_SHARE, _BURST_JOB_SHARE = 0.1, 0.5
_BURSTS = 3


@dataclass(frozen=True)
class Objectives:
    """What is to be kept; see scenarios.toml."""

    success: float
    slo_share: float
    max_lost: int


@dataclass(frozen=True)
class Scenario:
    """What comes in; see scenarios.toml."""

    name: str
    about: str
    arrivals: Arrivals
    load: float
    seconds: float
    objectives: Objectives
    steps: Sequence[int] = (10, 20, 50)
    persons: int = 8
    waiting_share: float = 0.75
    cancel_share: float = 0.0
    batch_items: int = 0
    slo_factor: float = 6.0


@dataclass(frozen=True)
class Call:
    """One job that will be asked for.

    Attributes:
        due: seconds from the start of the run.
        kind: `wait` for the picture in one call, `poll` for it, or `cancel` it on its way.
        steps: denoising steps.
        person: which of the photos.
        seed: of the picture.
        patience: seconds until it is cancelled.
    """

    due: float
    kind: Kind
    steps: int
    person: int
    seed: int
    patience: float = 0.0


@dataclass(frozen=True)
class Plan:
    """Everything that a run sends.

    Attributes:
        scenario: what it follows.
        rate: jobs per second, at the mean.
        calls: by their time.
    """

    scenario: Scenario
    rate: float
    calls: Sequence[Call] = field(default_factory=list[Call])

    def to_json(self) -> dict[str, Any]:
        """For the process that sends it."""
        return asdict(self)


def read_scenarios(path: Path = FILE) -> Mapping[str, Scenario]:
    """All of the file, by name.

    Raises:
        ValueError: a field is missing, unknown or out of range.
    """
    found = {}
    for name, fields in tomllib.loads(path.read_text("utf-8")).items():
        try:
            objectives = Objectives(**fields.pop("objectives"))
            found[name] = Scenario(name=name, objectives=objectives, **fields)
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path.name}, [{name}]: {error}") from None
        if found[name].arrivals not in _ARRIVALS:
            raise ValueError(f"{path.name}, [{name}]: arrivals must be one of {', '.join(_ARRIVALS)}")
    return found


def planned(scenario: Scenario, rate: float, seed: int) -> Plan:
    """The calls of a run; the same for the same seed.

    Args:
        scenario: what comes in.
        rate: jobs per second, at the mean, > 0.
        seed: of times, steps, persons and cancels.
    """
    random = Random(seed)
    times = _ARRIVALS[scenario.arrivals](rate, scenario.seconds, random)
    return Plan(scenario, rate, [_call(scenario, due, random) for due in times])


def _call(scenario: Scenario, due: float, random: Random) -> Call:
    steps, person, seed = random.choice(scenario.steps), random.randrange(scenario.persons), random.randrange(2**31)
    if random.random() < scenario.cancel_share:
        # Some before they run, some while they do, some too late.
        return Call(due, "cancel", steps, person, seed, patience=random.expovariate(1.0))
    kind = "wait" if random.random() < scenario.waiting_share else "poll"
    return Call(due, kind, steps, person, seed)


def _constant(rate: float, seconds: float, _random: Random) -> Sequence[float]:
    return [number / rate for number in range(int(rate * seconds))]


def _poisson(rate: float, seconds: float, random: Random) -> Sequence[float]:
    times = accumulate(random.expovariate(rate) for _ in count())
    return list(takewhile(lambda time: time < seconds, times))


def _burst(rate: float, seconds: float, random: Random) -> Sequence[float]:
    """A few bursts, at equal distances, over a quiet stream."""
    quiet = _poisson(rate * (1 - _BURST_JOB_SHARE), seconds, random)
    length = seconds * _BURST_TIME_SHARE / _BURSTS
    within = rate * _BURST_JOB_SHARE / _BURST_TIME_SHARE
    starts = [seconds * (number + 0.5) / _BURSTS for number in range(_BURSTS)]
    loud = [start + time for start in starts for time in _poisson(within, length, random)]
    return sorted([*quiet, *loud])


def _ramp(rate: float, seconds: float, random: Random) -> Sequence[float]:
    """From nothing to twice the rate: where a steady stream has come so far, this one has come to the root of it."""
    return [seconds * sqrt(time / seconds) for time in _poisson(rate, seconds, random)]


_ARRIVALS: Mapping[Arrivals, Callable[[float, float, Random], Sequence[float]]] = {
    "constant": _constant,
    "poisson": _poisson,
    "burst": _burst,
    "ramp": _ramp,
}
