"""What was found of one service in one scenario, and what the scenarios are to show.

Does not measure (`benchmarks.peers.scenarios`) nor print (`benchmarks.peers.report`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.peers.scenarios import LOADS, SHOWN_LOAD, Values, in_time_key

OURS = "ours"


@dataclass(frozen=True)
class Metric:
    """A column of a scenario's table.

    Attributes:
        key: in `Finding.values`.
        title: of the column, with its unit.
        share: a value is shown in per cent.
    """

    key: str
    title: str
    share: bool = False


@dataclass(frozen=True)
class Scenario:
    """One of them.

    Attributes:
        title: what comes in.
        metrics: what is told of each service.
        compared: the metric of which ours is divided by the peer's; empty: none.
        bound: of that ratio, where something is wanted; None: it is only told.
        at_most: the ratio must not be above the bound; else not below.
        in_rounds: sides take turns, and a ratio is of one round.
    """

    title: str
    metrics: Sequence[Metric]
    compared: str = ""
    bound: float | None = None
    at_most: bool = False
    in_rounds: bool = False


_MIXED = (
    *(Metric(in_time_key(load), f"in time at {load:g}", share=True) for load in LOADS),
    Metric("p50", f"p50 at {SHOWN_LOAD:g}, s"),
    Metric("p95", f"p95 at {SHOWN_LOAD:g}, s"),
    Metric("goodput", "goodput, pictures/s"),
)
_RATE = (Metric("rate", "pictures/s"), Metric("p50", "p50, s"))
SCENARIOS: Mapping[str, Scenario] = {
    "lone": Scenario(
        "One caller, 50 steps, a new person each time",
        (Metric("seconds", "a picture, s"), Metric("idle", "CPU when idle, cores", share=True)),
        "seconds",
        1.02,
        at_most=True,
        in_rounds=True,
    ),
    "saturated": Scenario("16 callers, 20 steps", _RATE, "rate", 0.98, in_rounds=True),
    "mixed": Scenario("10, 20 and 50 steps, at random times, by shares of our capacity", _MIXED, "goodput", 1.5),
    "simulated": Scenario(
        "The same on a simulated device: a step of b rows lasts 10 + 0.5 b ms", _MIXED, "goodput", 1.5
    ),
    "edge": Scenario("16 callers, 10 steps, a simulated device that takes no time", _RATE, "rate"),
    "persons": Scenario(
        "4 callers, 20 steps, one person in many poses",
        _RATE,
        "rate",
        0.98,
        in_rounds=True,
    ),
    "cancels": Scenario(
        "10 callers, 20 steps, 4 of them hang up",
        (Metric("p50", "p50 of those who stay, s"), Metric("wasted", "CPU time for nobody", share=True)),
        "p50",
        1.0,
        at_most=True,
    ),
    "kill": Scenario(
        "8 callers, 20 steps; the process with the model is killed",
        (
            Metric("in_flight", "in flight"),
            Metric("lost", "of these lost"),
            Metric("failed_later", "calls in vain afterwards"),
            Metric("pause", "longest time without a picture, s"),
        ),
    ),
}
"""By the names of the command line, in the order of the report."""


@dataclass(frozen=True)
class Finding:
    """A service in a scenario.

    Attributes:
        scenario: a key of `SCENARIOS`.
        service: its name.
        values: by metric, one or more each; empty if it could not be measured.
        ratios: ours by the peer's, one a round, where sides took turns; else they follow from the values.
        remark: what went wrong, or is to be known.
    """

    scenario: str
    service: str
    values: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])
    ratios: Sequence[float] = ()
    remark: str = ""

    def median(self, metric: str) -> float | None:
        """The middle of its values."""
        values = self.values.get(metric)
        return float(np.median(values)) if values else None


def finding_of_rounds(
    key: str, name: str, by_round: Mapping[str, Mapping[int, Values]], idle: float, num_rounds: int
) -> Finding:
    """A service's, of a scenario in rounds.

    Args:
        key: of the scenario.
        name: of the service.
        by_round: of each service, ours too, what a turn gave, by its round; a round that failed is not there.
        idle: cores that the service uses while nobody asks.
        num_rounds: the rounds are 1 to this.
    """
    taken, ours, compared = by_round[name], by_round[OURS], SCENARIOS[key].compared
    if not taken:
        return Finding(key, name, remark="made no picture")
    ratios = [ours[each][compared][0] / taken[each][compared][0] for each in ours if each in taken]
    failed = [str(number) for number in range(1, num_rounds + 1) if number not in taken]
    remark = f"made no picture in round {', '.join(failed)}" if failed else ""
    metrics = next(iter(taken.values()))
    values = {metric: [value for turn in taken.values() for value in turn[metric]] for metric in metrics}
    return Finding(key, name, {**values, "idle": [idle]}, [] if name == OURS else ratios, remark)


def is_better(finding: Finding, other: Finding) -> bool:
    """Whether it is the better one of two of one scenario."""
    scenario = SCENARIOS[finding.scenario]
    mine, others = finding.median(scenario.compared), other.median(scenario.compared)
    if mine is None or others is None:
        return others is None and mine is not None
    return mine < others if scenario.at_most else mine > others


def ratio(scenario: Scenario, ours: Finding, peer: Finding) -> float | None:
    """Ours by the peer's; None if one of them was not measured. Above every bound if the peer has none of it."""
    if scenario.in_rounds:
        return float(np.median(peer.ratios)) if peer.ratios else None
    mine, other = ours.median(scenario.compared), peer.median(scenario.compared)
    if mine is None or other is None:
        return None
    return mine / other if other else float("inf")


def is_met(scenario: Scenario, value: float) -> bool:
    """Whether a ratio is as it is wanted to be."""
    assert scenario.bound is not None
    return value <= scenario.bound if scenario.at_most else value >= scenario.bound
