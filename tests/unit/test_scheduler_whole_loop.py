"""Whole loops: who shares one, what happens when one fails, and how long the others wait."""

from service.domain.execution import Execution
from service.domain.stage import Stage
from service.scheduling.actions import Action, EndJob, Row, RunBatch
from service.scheduling.events import BatchFailed, BatchFinished
from service.scheduling.policy import BatchPolicy
from tests.simulation.checked_shell import ENCODERS, OUT_OF_MEMORY, CheckedShell


def a_shell(max_batch: int = 4, max_slots: int = 8) -> CheckedShell:
    return CheckedShell(BatchPolicy(max_batch, max_slots), Execution.WHOLE_LOOP)


def loops(actions: list[Action]) -> list[str]:
    """The jobs of each loop."""
    return [
        "".join(row.job_id for row in action.rows)
        for action in actions
        if isinstance(action, RunBatch) and action.stage is Stage.SAMPLE
    ]


def is_in_a_loop(shell: CheckedShell, job_id: str) -> bool:
    batch = shell.checker.running
    return batch is not None and batch.stage is Stage.SAMPLE and Row(job_id) in batch.rows


def start_loops(shell: CheckedShell, **num_steps: int) -> None:
    """These jobs, with the first loop at work."""
    for name, steps in num_steps.items():
        shell.arrive(name, steps, skipped=ENCODERS)
    shell.act()
    while shell.running.stage is not Stage.SAMPLE:
        shell.finish()


def test_scheduler_when_loops_are_whole_then_a_job_runs_from_encoder_to_end_in_five_batches() -> None:
    shell = a_shell()
    shell.arrive("a", 50)
    actions = shell.finish_all()
    assert [(action.stage, action.rows) for action in actions if isinstance(action, RunBatch)] == [
        (stage, (Row("a", 0),))
        for stage in (Stage.ENCODE_SOURCE, Stage.ENCODE_POSE, Stage.CONDITION, Stage.SAMPLE, Stage.DECODE)
    ]
    assert actions[-1] == EndJob("a")


def test_scheduler_when_loops_differ_in_length_then_only_equals_share_one() -> None:
    shell = a_shell()
    for name, steps in (("a", 10), ("b", 50), ("c", 10), ("d", 20), ("e", 50)):
        shell.arrive(name, steps, skipped=ENCODERS)
    assert loops(shell.finish_all()) == ["ac", "be", "d"]


def test_scheduler_when_a_job_comes_during_a_loop_then_it_joins_the_next() -> None:
    shell = a_shell()
    start_loops(shell, a=10, b=50)
    shell.arrive("c", 50)
    assert loops(shell.finish_all()) == ["bc"]


def test_scheduler_when_more_equals_wait_than_fit_then_the_rest_takes_its_turn_after_older_lengths() -> None:
    shell = a_shell(max_batch=2)
    for name, steps in (("a", 10), ("b", 10), ("c", 50), ("d", 10)):
        shell.arrive(name, steps, skipped=ENCODERS)
    assert loops(shell.finish_all()) == ["ab", "c", "d"]


def test_scheduler_when_a_shared_loop_fails_then_each_repeats_alone() -> None:
    shell = a_shell()
    start_loops(shell, a=10, b=10)
    actions = shell.fail() + shell.finish_all()
    assert loops(actions) == ["a", "b"]
    assert [action for action in actions if isinstance(action, EndJob)] == [EndJob("a"), EndJob("b")]


def test_scheduler_when_memory_runs_out_in_a_loop_then_fewer_share_it_and_steps_would_keep_their_limit() -> None:
    shell = a_shell()
    start_loops(shell, a=10, b=10, c=10, d=10)
    assert loops(shell.fail(OUT_OF_MEMORY)) == ["ab"]


def test_scheduler_when_a_suspect_waits_then_it_loops_alone_among_equals() -> None:
    shell = a_shell()
    shell.arrive("s", 10, is_suspect=True)
    shell.arrive("a", 10)
    assert loops(shell.finish_all()) == ["a", "s"]


def test_scheduler_when_others_pass_by_company_then_the_oldest_waits_no_longer_than_stated() -> None:
    """The worst case of the bound: only loops fit more than one row, and late-comers are as long as the next loop."""
    max_slots = 8
    shell = a_shell(max_batch=max_slots, max_slots=max_slots)
    for number in range(1, max_slots):
        shell.arrive(f"job{number}", number, skipped=ENCODERS)
    shell.arrive("last", 250, skipped=ENCODERS)
    batches: list[Stage] = []
    while not is_in_a_loop(shell, "last"):
        if shell.act_once():
            while shell.scheduler.free_slots():
                shell.arrive(f"job{shell.checker.num_arrived}", 1 + batches.count(Stage.SAMPLE))
            continue
        batch = shell.running
        if len(batch.rows) > 1 and batch.stage is not Stage.SAMPLE:
            shell.tell(BatchFailed(batch.batch_id, OUT_OF_MEMORY, is_out_of_memory=True))
        else:
            # The wait begins when its condition is there.
            batches = [] if batch.rows == (Row("last"),) else [*batches, batch.stage]
            shell.tell(BatchFinished(batch.batch_id))
    assert batches.count(Stage.SAMPLE) == max_slots - 1
    assert len(batches) == (max_slots - 1) * (2 * max_slots + 1)
