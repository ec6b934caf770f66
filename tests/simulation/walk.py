"""Random walks: abstract moves that apply to whatever state the shell is in, so any list of moves is a legal test."""

import math
from collections.abc import Iterable
from enum import StrEnum
from random import Random

from service.domain.execution import Execution
from service.domain.job import Priority
from service.domain.stage import Stage
from service.scheduling.events import BatchFailed, BatchFinished, CancelRequested, DrainRequested, LeaseLost
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from tests.simulation.checked_shell import ENCODERS, FAULT, OUT_OF_MEMORY, CheckedShell

SKIPS = (frozenset[Stage](), frozenset({Stage.ENCODE_SOURCE}), frozenset({Stage.ENCODE_POSE}), ENCODERS)
MAX_NUMBER = 2**16


class Kind(StrEnum):
    ARRIVE = "arrive"
    ARRIVE_SUSPECT = "arrive_suspect"
    ARRIVE_AGAIN = "arrive_again"
    FINISH = "finish"
    FAIL = "fail"
    RUN_OUT_OF_MEMORY = "run_out_of_memory"
    LOSE_DEVICE = "lose_device"
    LOSE = "lose"
    CANCEL = "cancel"
    PASS_TIME = "pass_time"
    STRAY = "stray"
    DRAIN = "drain"


# How often each kind comes: mostly work that goes well, a drain about once in 700 moves, because nothing follows it.
WEIGHTS = {
    Kind.ARRIVE: 200,
    Kind.ARRIVE_SUSPECT: 3,
    Kind.ARRIVE_AGAIN: 10,
    Kind.FINISH: 400,
    Kind.FAIL: 20,
    Kind.RUN_OUT_OF_MEMORY: 15,
    Kind.LOSE_DEVICE: 5,
    Kind.LOSE: 20,
    Kind.CANCEL: 20,
    Kind.PASS_TIME: 30,
    Kind.STRAY: 30,
    Kind.DRAIN: 1,
}
Move = tuple[Kind, int]


def random_moves(seed: int, num_moves: int) -> list[Move]:
    """The same seed gives the same moves."""
    random = Random(seed)
    kinds = random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=num_moves)
    return [(kind, random.randrange(MAX_NUMBER)) for kind in kinds]


def random_policy(seed: int) -> BatchPolicy:
    """Small bounds, so that they are reached often."""
    random = Random(seed)
    is_shortest_first = random.random() < 0.3
    bounds = random.randint(1, 8), random.randint(1, 10), random.randint(1, 4)
    return BatchPolicy(*bounds, is_shortest_first, random.choice((None, 1, 2)))


def walk(
    policy: BatchPolicy, moves: Iterable[Move], execution: Execution, kind: type[Scheduler] = Scheduler
) -> CheckedShell:
    """Apply the moves, then let everything that is left end well.

    Raises:
        BrokenInvariantError: the scheduler broke a rule.
    """
    shell = CheckedShell(policy, execution, kind)
    for move in moves:
        _apply(shell, *move)
    shell.finish_all()
    return shell


def _apply(shell: CheckedShell, kind: Kind, number: int) -> None:
    """One move; the number says which job, how long, and whether the shell acts at once or hears more first."""
    in_flight = list(shell.checker.jobs)
    some_job = in_flight[number % len(in_flight)] if in_flight else "job-unknown"
    match kind:
        case Kind.ARRIVE:
            # One in eight is the shell's mistake: it comes although no slot is free.
            if shell.scheduler.free_slots() or number % 8 == 0:
                _arrive(shell, number)
        case Kind.ARRIVE_SUSPECT:
            shell.arrive(f"job-{shell.checker.num_arrived}", 1 + number % 3, is_suspect=True)
        case Kind.ARRIVE_AGAIN:
            if in_flight:
                shell.arrive(some_job, 3)
        case Kind.FINISH | Kind.FAIL | Kind.RUN_OUT_OF_MEMORY | Kind.LOSE_DEVICE:
            if shell.checker.running is not None:
                _end_batch(shell, kind, number)
        case Kind.LOSE | Kind.CANCEL:
            shell.tell(LeaseLost(some_job) if kind is Kind.LOSE else CancelRequested(some_job))
        case Kind.PASS_TIME:
            shell.now += number % 50
        case Kind.STRAY:
            # Late answers and ids from nowhere.
            shell.lose(f"job-gone-{number}")
            shell.cancel(f"job-gone-{number}")
            shell.tell(BatchFinished(-1 - number))
            shell.tell(BatchFailed(-1 - number, FAULT))
        case Kind.DRAIN:
            shell.tell(DrainRequested())
    if number % 4:
        shell.act()


def _arrive(shell: CheckedShell, number: int) -> None:
    """Half of the jobs are of the class BATCH, a quarter have a deadline that may come, a third are low."""
    shell.arrive(
        f"job-{shell.checker.num_arrived}",
        1 + number % 7,
        skipped=SKIPS[number // 8 % 4],
        priority=list(Priority)[number // 32 % 2],
        deadline=shell.now + number // 256 if number // 64 % 4 == 0 else math.inf,
        is_low=number % 3 == 0,
    )


def _end_batch(shell: CheckedShell, kind: Kind, number: int) -> None:
    batch_id = shell.running.batch_id
    # What happens between two steps ends their batch.
    most_steps = shell.running.num_steps if shell.checker.is_undisturbed else 1
    num_before = number // 8 % most_steps
    match kind:
        case Kind.FAIL:
            shell.tell(BatchFailed(batch_id, FAULT, num_steps=num_before))
        case Kind.RUN_OUT_OF_MEMORY:
            shell.tell(BatchFailed(batch_id, OUT_OF_MEMORY, is_out_of_memory=True, num_steps=num_before))
        case Kind.LOSE_DEVICE:
            shell.tell(BatchFailed(batch_id, FAULT, is_device_gone=True, num_steps=num_before))
        case _:
            shell.tell(BatchFinished(batch_id, num_before + 1))
