"""What comes in: a Poisson stream of jobs of mixed length, and the unit in which loads and latencies are told.

It serves nothing: `benchmarks.policies.batchers` and `service.scheduling.rehearsal` do.
"""

from collections.abc import Sequence
from itertools import accumulate
from random import Random
from statistics import mean

from service.domain.capacity import StepCurve
from service.scheduling.rehearsal import RehearsedJob

NUM_ROWS = 16
"""Most rows of a batch, in every policy."""
NUM_STEPS = (10, 20, 50)

# Step time of b rows: of a GPU with networks of size S or L, of a processor, on which batching brings nothing, and of a
# small model on two cores, on which it brings a little, in times of its single row.
CURVE_S = StepCurve(((1, 0.00105), (NUM_ROWS, 0.0018)))
CURVE_L = StepCurve(((1, 0.0016), (NUM_ROWS, 0.0106)))
CURVE_CPU = StepCurve(((1, 0.310), (NUM_ROWS, 4.810)))
CURVE_SMALL = StepCurve(((1, 1.0), (2, 1.72), (4, 3.16), (8, 6.16)))


def poisson_stream(
    curve: StepCurve, load: float, num_jobs: int, seed: int, num_steps: Sequence[int] = NUM_STEPS
) -> Sequence[RehearsedJob]:
    """Jobs at random times, their steps drawn in equal parts; a load of 1 is what always-full rows can just serve."""
    random = Random(seed)
    jobs_per_second = load * NUM_ROWS / curve.seconds(NUM_ROWS) / mean(num_steps)
    arrivals = accumulate(random.expovariate(jobs_per_second) for _ in range(num_jobs))
    return [RehearsedJob(number, arrival, random.choice(num_steps)) for number, arrival in enumerate(arrivals)]


def unloaded_seconds(curve: StepCurve, num_steps: Sequence[int] = NUM_STEPS) -> float:
    """Mean time of a job that is alone: the unit of latencies."""
    return mean(num_steps) * curve.seconds(1)
