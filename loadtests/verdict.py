"""What the records of a run amount to, and whether the objectives were kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from loadtests.records import Record
from loadtests.scenarios import Plan

PERCENTILES = (50, 90, 95, 99)
# A caller that is later than this itself measures itself.
_MAX_LATE_SECONDS = 0.1


@dataclass(frozen=True)
class Objective:
    """One of them.

    Attributes:
        name: what is to be kept.
        bound: the value that is.
        value: what came out.
        is_kept: whether that is good enough.
    """

    name: str
    bound: float
    value: float
    is_kept: bool


@dataclass(frozen=True)
class Verdict:
    """A run, judged.

    Attributes:
        plan: what was sent.
        records: what became of it.
        slo_seconds: by steps: within which a job is in time.
        outcomes: how many calls ended how.
        codes: of the problems, how often.
        percentiles: by steps, 0 for all of them: seconds from when a job was due to its end, of those that ended well.
        throughput: pictures per second of the whole run.
        goodput: of these, the ones that were in time.
        slo_share: of jobs that were not cancelled, those that ended well and in time.
        late_seconds: 99 of 100 calls were sent so soon after they were due, or sooner.
        objectives: of the scenario.
    """

    plan: Plan
    records: Sequence[Record]
    slo_seconds: Mapping[int, float]
    outcomes: Mapping[str, int]
    codes: Mapping[str, int]
    percentiles: Mapping[int, Sequence[float]]
    throughput: float
    goodput: float
    slo_share: float
    late_seconds: float
    objectives: Sequence[Objective]

    @property
    def is_kept(self) -> bool:
        """All objectives were."""
        return all(objective.is_kept for objective in self.objectives)

    @property
    def is_trustworthy(self) -> bool:
        """The caller could follow its own plan."""
        return self.late_seconds <= _MAX_LATE_SECONDS


def judge(plan: Plan, records: Sequence[Record], alone_seconds: Mapping[int, float]) -> Verdict:
    """Judge a run.

    Args:
        plan: what was to be sent.
        records: what became of it; a call without a record was lost.
        alone_seconds: by steps, how long a job takes that is alone.
    """
    scenario = plan.scenario
    slo = {steps: scenario.slo_factor * alone_seconds[steps] for steps in scenario.steps}
    outcomes = Counter[str](record.outcome for record in records)
    outcomes["lost"] += len(plan.calls) - len(records)
    good = [record for record in records if record.outcome == "succeeded"]
    in_time = [record for record in good if record.seconds <= slo[record.steps]]
    num_wanted = len(plan.calls) - outcomes["cancelled"]
    seconds = max((record.ended for record in records), default=scenario.seconds)
    success = len(good) / num_wanted if num_wanted else 1.0
    slo_share = len(in_time) / num_wanted if num_wanted else 1.0
    bounds = scenario.objectives
    return Verdict(
        plan,
        records,
        slo,
        {name: number for name, number in outcomes.items() if number},
        Counter(record.code for record in records if record.code),
        {steps: _percentiles([r.seconds for r in good if steps in (0, r.steps)]) for steps in (0, *scenario.steps)},
        len(good) / seconds,
        len(in_time) / seconds,
        slo_share,
        _percentiles([record.sent - record.due for record in records])[-1],
        [
            Objective("share of jobs that end well", bounds.success, success, success >= bounds.success),
            Objective("share of jobs in time", bounds.slo_share, slo_share, slo_share >= bounds.slo_share),
            Objective(
                "accepted jobs without an end", bounds.max_lost, outcomes["lost"], outcomes["lost"] <= bounds.max_lost
            ),
        ],
    )


def _percentiles(values: Sequence[float]) -> Sequence[float]:
    if len(values) < 2:
        return [values[0] if values else float("nan")] * len(PERCENTILES)
    cuts = quantiles(values, n=100, method="inclusive")
    return [cuts[share - 1] for share in PERCENTILES]
