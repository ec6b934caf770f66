"""What follows from a worker's figures: how it should work, how long a job will take, when a full queue has room again.

It measures nothing (`service.engine.calibration`), and it learns nothing: the ratios that correct a forecast are handed
in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from service.domain.capacity import Capacity, Eta, StepCurve, WorkerReport
from service.domain.execution import Execution
from service.domain.stage import Stage

# Step by step, each step pays for a call; as whole loops, a job pays once, but waits for the loops of others. In
# virtual time (sizes S and L on a GPU, batches of 16 and 32, 10, 20 and 50 steps mixed, a load of 0.7 of the network
# alone) whole loops have the better median once a call costs more than 0.19 (L) to 0.30 (S) of the network's time in a
# full step, and the better p95 from 0.07 to 0.27 on; at a load of 0.9 both from 0.06 on, because calls cost capacity,
# here an eighth of it.
MAX_CALL_SHARE = 0.15
# The smallest batch within this of the best throughput: rows beyond it cost latency and bring next to nothing.
THROUGHPUT_TOLERANCE = 0.05
# A device on which the best batch brings less than this is as good as one that brings nothing: it takes one row at a
# time. A busy machine's clock may make so much of equal times, which costs short jobs some of their lead.
MIN_GAIN = 1.15
# Likewise of whole loops, in steps of which nobody can join or leave: a short job waits for the longer loops of larger
# batches, each of which may outlast the stall time-out. Whether a smaller gain is worth that has not been tried.
MIN_GAIN_OF_LOOPS = 1.5
# Where the best batch brings less than this, a row of it is dear, and the jobs with the fewest steps left share it
# first: on a device with rows of 1, 0.86 and 0.79 in batches of 1, 2 and 4 (a small model on two cores) nine of ten
# jobs of 10, 20 and 50 steps end within six times their time alone up to a load of 1.0 of single rows; one row at a
# time, the shorter of two, bears 0.72.
SHORTEST_FIRST_GAIN = 2.0
# So many jobs for each row of a batch are at hand there, so that there are short ones to choose: at a load of 1.0 of
# single rows 0.91 of those jobs are in time with eight slots, 0.88 with six, 0.93 with sixteen. More would keep from
# another worker what it could begin.
SHORTEST_FIRST_SLOTS_PER_ROW = 2
# A row that is left in one step is taken in the next only by a job that has been claimed and prepared before: with as
# many slots as rows 15.4 of 16 rows were taken on curve S through the real queue, with two more 15.98.
CLAIMED_AHEAD = 2
# Whole loops need company of equal steps: with as many slots as rows a worker reaches 0.64 of its capacity, with three
# times as many 0.99, where three numbers of steps come in equal parts.
SLOTS_PER_ROW_OF_LOOPS = 3
# With fewer ratios than this a quantile says little: until then the forecast is taken at its word, and p90 half as much
# again.
MIN_RATIOS = 20
_FIRST_ETA = (1.0, 1.5)
# A device that takes no time, as in tests, is still no division by zero.
_LEAST_SECONDS = 1e-9


def choose_capacity(
    curve: StepCurve,
    stage_seconds: Mapping[str, float],
    max_batch: int,
    execution: Execution | None,
    num_slots: int | None,
    max_low_rows: int | None = None,
) -> Capacity:
    """How a worker with this curve should work.

    Args:
        curve: as measured.
        stage_seconds: time of one row of every other stage, by the stage's name.
        max_batch: most rows of a call that the operator wants, >= 1.
        execution: what the operator wants; None leaves it to the curve.
        num_slots: jobs in flight that the operator wants, who then also has batches as large as they and max_batch
            allow, whatever they bring; None leaves it to the curve.
        max_low_rows: most rows of one call of the graphs in low precision; None if there are none.
    """
    sizes = [rows for rows, _ in curve.points if rows <= max_batch] or [max_batch]
    if execution is None:
        full = _best_batch(sizes, curve.network_seconds, MIN_GAIN)
        is_dear = curve.call_seconds > MAX_CALL_SHARE * curve.network_seconds(full)
        execution = Execution.WHOLE_LOOP if is_dear else Execution.STEPWISE
    is_whole = execution is Execution.WHOLE_LOOP
    seconds, min_gain = (curve.network_seconds, MIN_GAIN_OF_LOOPS) if is_whole else (curve.seconds, MIN_GAIN)
    batch = _best_batch(sizes, seconds, min_gain) if num_slots is None else min(max_batch, num_slots)
    # Batches that the operator's slots don't fill say nothing.
    tried = sizes if num_slots is None else [rows for rows in sizes if rows <= batch] or sizes[:1]
    # So many rows bring at most so many times the throughput: of two, SHORTEST_FIRST_GAIN is out of reach even where a
    # row more costs nothing. Half way from nothing to the most that can be had, a row is cheap there.
    cheap_gain = min(SHORTEST_FIRST_GAIN, (1 + tried[-1] / tried[0]) / 2)
    # Loops of several rows go as they came: what shares one is of equal steps.
    is_shortest_first = batch == 1 or (not is_whole and _gain(tried, seconds) < cheap_gain)
    # There, rows of low precision beyond what a call takes would only wait for each other. Elsewhere they share a batch
    # as all others do, and some runtimes make the calls that it takes at one time.
    max_low_batch = min(batch, max_low_rows) if is_shortest_first and max_low_rows else batch
    if num_slots is None:
        num_slots = batch * SLOTS_PER_ROW_OF_LOOPS if is_whole else batch + CLAIMED_AHEAD
        num_slots = batch * SHORTEST_FIRST_SLOTS_PER_ROW if is_shortest_first else num_slots
    return Capacity(curve, stage_seconds, execution, batch, num_slots, is_shortest_first, max_low_batch=max_low_batch)


def _best_batch(sizes: Sequence[int], seconds: Callable[[float], float], min_gain: float) -> int:
    """The smallest batch with nearly the best throughput; one row if that is below so many times one's."""
    if _gain(sizes, seconds) < min_gain:
        return sizes[0]
    per_row = _row_seconds(sizes, seconds)
    best = min(per_row.values())
    return min(rows for rows in sizes if per_row[rows] * (1 - THROUGHPUT_TOLERANCE) <= best)


def _gain(sizes: Sequence[int], seconds: Callable[[float], float]) -> float:
    """Throughput of the best batch by that of the smallest."""
    per_row = _row_seconds(sizes, seconds)
    return per_row[sizes[0]] / min(per_row.values())


def _row_seconds(sizes: Sequence[int], seconds: Callable[[float], float]) -> Mapping[int, float]:
    """Time of a row in a batch of each size."""
    return {rows: max(_LEAST_SECONDS, seconds(rows) / rows) for rows in sizes}


def forecast_seconds(
    reports: Sequence[WorkerReport],
    num_steps: int,
    work_ahead: float,
    running_cost: float,
    num_running: int,
    steps_done: int = 0,
    *,
    is_running: bool = False,
    num_images: int = 1,
    is_low: bool = False,
) -> float | None:
    """How long a job will take from now, as far as the curves tell; None while no worker is calibrated.

    It waits until enough of the jobs before it have left for a slot to be free, and then runs beside as many as are in
    flight with it at the start.

    Args:
        reports: of the living workers.
        num_steps: denoising steps of the job.
        work_ahead: row-steps that are served before it while it is queued, else 0.
        running_cost: row-steps of all running jobs, whatever of them is done.
        num_running: running jobs, this one included if it is.
        steps_done: denoising steps of the job that are done.
        is_running: it has a slot.
        num_images: that it makes, each with a row and a slot of its own.
        is_low: its steps and its decoder are computed in low precision, where the worker has graphs for that.
    """
    if not reports:
        return None
    mean_steps = running_cost / num_running if num_running else num_steps
    num_slots = sum(report.capacity.num_slots for report in reports)
    # What is known of the job may be newer than what is known of all.
    num_others = max(0, num_running - is_running)
    num_ahead = 0.0 if is_running else work_ahead / mean_steps
    # More pictures than there are slots at all go one after the other, and wait for nobody else.
    num_to_leave = max(0.0, num_others + num_ahead + min(num_images, num_slots) - num_slots)
    wait = num_to_leave * mean_steps / _steps_per_second(reports, mean_steps)
    share = min(1.0, (num_others + num_ahead + num_images) / num_slots)
    # Whichever worker takes it: one with twice the slots takes twice as many jobs.
    in_flight = 0.0
    for report in reports:
        own_slots = report.capacity.num_slots
        others = max(0.0, share * own_slots - num_images)
        stay = _Stay(num_steps - steps_done, num_images, others, mean_steps, is_low)
        in_flight += own_slots * _seconds_in_slot(report.capacity, stay)
    return wait + in_flight / num_slots


def eta(forecast: float, ratios: Sequence[float]) -> Eta:
    """A forecast, corrected by how such forecasts have turned out.

    Args:
        forecast: seconds, as `forecast_seconds` gives them.
        ratios: actual over forecast seconds of jobs that have lately ended well.
    """
    middle, high = (_quantile(ratios, 0.5), _quantile(ratios, 0.9)) if len(ratios) >= MIN_RATIOS else _FIRST_ETA
    return Eta(forecast * middle, forecast * high)


def work_seconds(reports: Sequence[WorkerReport], cost: float, num_jobs: int) -> float | None:
    """How long the workers need for so many jobs, all at once at full batches; None while no worker is calibrated.

    Args:
        reports: of the living workers.
        cost: row-steps of the jobs; without any there is nothing to tell.
        num_jobs: how many these are.
    """
    if not reports or not num_jobs or cost <= 0:
        return None
    return cost / _steps_per_second(reports, cost / num_jobs)


def retry_after_seconds(reports: Sequence[WorkerReport], cost: float, num_jobs: int) -> float:
    """When a full queue will have room again, at least 1: at the mean, a job ends so often.

    Args:
        reports: of the living workers.
        cost: row-steps of all jobs that have not ended.
        num_jobs: how many these are.
    """
    if not reports or not num_jobs:
        return 1.0
    mean_steps = cost / num_jobs
    return max(1.0, mean_steps / _steps_per_second(reports, mean_steps))


def _steps_per_second(reports: Sequence[WorkerReport], mean_steps: float) -> float:
    """Row-steps of all workers at full batches, where a job of so many steps brings its other stages along."""
    return sum(1 / max(_row_step_seconds(report.capacity, mean_steps), _LEAST_SECONDS) for report in reports)


def _row_step_seconds(capacity: Capacity, mean_steps: float) -> float:
    """Device time of a row of a step in a full batch, with its part of the job's other stages."""
    return _step_seconds(capacity, capacity.max_batch) / capacity.max_batch + _other_seconds(capacity) / mean_steps


def _step_seconds(capacity: Capacity, rows: float, *, is_low: bool = False) -> float:
    """A step of so many rows; within a whole loop there are no calls."""
    curve = capacity.curve
    seconds = curve.network_seconds(rows) if capacity.execution is Execution.WHOLE_LOOP else curve.seconds(rows)
    return seconds * capacity.low_step_ratio if is_low else seconds


def _other_seconds(capacity: Capacity, num_images: int = 1, *, is_low: bool = False) -> float:
    """A job's rows of all stages but the denoising: encoded once, decoded as often as it has pictures."""
    seconds = dict(capacity.stage_seconds)
    decode = seconds.pop(Stage.DECODE, 0.0)
    decode_low = seconds.pop(Stage.DECODE_LOW, decode)
    return sum(seconds.values()) + num_images * (decode_low if is_low else decode)


@dataclass(frozen=True)
class _Stay:
    """What is left of a job in a slot, and what is beside it at its worker.

    Attributes:
        num_steps: that are left.
        num_images: each a row of every step.
        num_others: pictures of other jobs in flight.
        mean_steps: of each of these.
        is_low: as in `forecast_seconds`.
    """

    num_steps: int
    num_images: int
    num_others: float
    mean_steps: float
    is_low: bool

    def calls_per_step(self, max_rows: int) -> float:
        """Calls that a step of all its pictures takes."""
        return max(1.0, self.num_images / max_rows)


def _seconds_in_slot(capacity: Capacity, stay: _Stay) -> float:
    """From the claim, or from now, to the end of the job."""
    if capacity.is_shortest_first:
        # Also a job that nobody goes before shares calls, which last as long as all of their rows.
        seconds = max(_in_turn(capacity, stay), _shared(capacity, stay))
    elif capacity.execution is Execution.WHOLE_LOOP:
        seconds = _in_loops(capacity, stay)
    else:
        seconds = _shared(capacity, stay)
    return seconds + _other_seconds(capacity, stay.num_images, is_low=stay.is_low)


def _in_turn(capacity: Capacity, stay: _Stay) -> float:
    """Its steps where the shortest go first: what is left of another job goes before if it is less than its own.

    What is left is anything up to the steps of such a job, whose place is then another one's, and so on. Whatever goes
    before is in full batches.
    """
    max_rows = capacity.most_rows(is_low=stay.is_low)
    own = stay.num_steps * stay.num_images * _step_seconds(capacity, max_rows, is_low=stay.is_low) / max_rows
    # Of another job's steps, at the mean.
    share_before = min(1.0, stay.num_steps / stay.mean_steps) ** 2 / 2
    ahead = stay.num_others * stay.mean_steps * share_before / (1 - share_before)
    return ahead * _row_step_seconds(capacity, stay.mean_steps) + own


def _shared(capacity: Capacity, stay: _Stay) -> float:
    """Its steps if each is also one of as many others as fit into its calls, whose other stages come between."""
    max_rows = capacity.most_rows(is_low=stay.is_low)
    rows = min(max_rows, stay.num_images + stay.num_others)
    between = (rows - 1) * _other_seconds(capacity) / stay.mean_steps
    step = _step_seconds(capacity, rows, is_low=stay.is_low)
    return stay.num_steps * stay.calls_per_step(max_rows) * (step + between)


def _in_loops(capacity: Capacity, stay: _Stay) -> float:
    """Its steps, and all that is between, if equal steps share a loop: of the loops of all jobs half go before."""
    num_in_flight = stay.num_images + stay.num_others
    num_loops = min(num_in_flight, max(SLOTS_PER_ROW_OF_LOOPS, num_in_flight / capacity.max_batch))
    rows = num_in_flight / num_loops
    ahead = num_loops / 2 * stay.mean_steps if stay.num_others else 0.0
    own = stay.num_steps * stay.calls_per_step(capacity.max_batch)
    steps_seconds = ahead * _step_seconds(capacity, rows) + own * _step_seconds(capacity, rows, is_low=stay.is_low)
    return steps_seconds + stay.num_others * _other_seconds(capacity)


def _quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, between two of them on the line through both."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    lower = int(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (place - lower) * (ordered[upper] - ordered[lower])
