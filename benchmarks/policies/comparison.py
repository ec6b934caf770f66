"""The policies by name: latency at a load, and capacity.

The latencies are in units of the mean time of a job that is alone; a load or a capacity of 1 is all rows always full.
"""

from collections.abc import Sequence
from enum import StrEnum

from benchmarks.policies import batchers
from benchmarks.policies.stream import NUM_ROWS, NUM_STEPS, poisson_stream, unloaded_seconds
from service.domain.capacity import StepCurve
from service.domain.execution import Execution
from service.scheduling.policy import BatchPolicy
from service.scheduling.rehearsal import Device, RehearsedJob, rehearse

_OVERLOAD = 1.5


class Policy(StrEnum):
    """How the device is shared; ours are the last three, driven by the real scheduler."""

    NONE = "none"
    CUT = "cut"
    PAD = "pad"
    BUCKET = "bucket"
    CONTINUOUS = "continuous"
    SHORTEST = "shortest"


_BATCHERS = {Policy.NONE: batchers.one_by_one, Policy.CUT: batchers.cut, Policy.PAD: batchers.pad}
_SCHEDULERS = {
    # Whole loops need company of equal steps: three numbers of steps, three times the slots.
    Policy.BUCKET: (BatchPolicy(NUM_ROWS, 3 * NUM_ROWS), Execution.WHOLE_LOOP),
    Policy.CONTINUOUS: (BatchPolicy(NUM_ROWS, NUM_ROWS), Execution.STEPWISE),
    Policy.SHORTEST: (BatchPolicy(1, 2, is_shortest_first=True), Execution.STEPWISE),
}


def simulate(
    policy: Policy, curve: StepCurve, load: float, num_jobs: int, seed: int, num_steps: Sequence[int] = NUM_STEPS
) -> Sequence[float]:
    """Each job's latency in order of arrival, in units of `unloaded_seconds`.

    Args:
        policy: how the device is shared.
        curve: time of a step.
        load: of a Poisson stream, > 0.
        num_jobs: length of the stream.
        seed: of the stream.
        num_steps: denoising steps of the jobs, in equal parts.
    """
    unit = unloaded_seconds(curve, num_steps)
    return [spent / unit for spent in _serve(policy, curve, poisson_stream(curve, load, num_jobs, seed, num_steps))]


def capacity(policy: Policy, curve: StepCurve, num_jobs: int, seed: int, num_steps: Sequence[int] = NUM_STEPS) -> float:
    """The share of what always-full rows could serve, under a load that nothing can serve."""
    jobs = poisson_stream(curve, _OVERLOAD, num_jobs, seed, num_steps)
    end = max(job.arrival + spent for job, spent in zip(jobs, _serve(policy, curve, jobs), strict=True))
    return sum(job.num_steps for job in jobs) * curve.seconds(NUM_ROWS) / NUM_ROWS / end


def _serve(policy: Policy, curve: StepCurve, jobs: Sequence[RehearsedJob]) -> Sequence[float]:
    if policy in _BATCHERS:
        return batchers.serve(jobs, curve, _BATCHERS[policy])
    bounds, execution = _SCHEDULERS[policy]
    return rehearse(jobs, Device(curve), bounds, execution)
