"""Batches that fail: who is to blame, what is repeated, and when patience ends."""

from service.domain.stage import Stage
from service.scheduling.actions import Action, EndJob, ReleaseJob, Row, RunBatch
from service.scheduling.events import BatchFailed, DrainRequested, JobArrived
from service.scheduling.policy import BatchPolicy
from service.scheduling.scheduler import Scheduler
from tests.simulation.checked_shell import ENCODERS, FAULT, OUT_OF_MEMORY, CheckedShell


def a_shell(names: str, num_steps: int = 2, *, max_batch: int = 8) -> CheckedShell:
    """These jobs, with their first batch, the condition, at work."""
    shell = CheckedShell(BatchPolicy(max_batch, 8))
    for name in names:
        shell.arrive(name, num_steps, skipped=ENCODERS)
    shell.act()
    return shell


def rows(shell: CheckedShell) -> str:
    """The jobs of the running batch."""
    return "".join(row.job_id for row in shell.running.rows)


def test_scheduler_when_a_shared_batch_fails_then_each_repeats_alone_and_then_shares_again() -> None:
    shell = a_shell("abc")
    seen = [rows(shell)]
    shell.fail()
    for _ in range(4):
        seen.append(rows(shell))
        shell.finish()
    assert seen == ["abc", "a", "b", "c", "abc"]


def test_scheduler_when_one_of_a_shared_batch_is_poison_then_only_that_one_fails() -> None:
    shell = a_shell("abc")
    actions: list[Action] = []
    while shell.checker.running is not None:
        actions += shell.fail() if Row("b", 1) in shell.running.rows else shell.finish()
    ends = {action for action in actions if isinstance(action, EndJob)}
    assert ends == {EndJob("a"), EndJob("b", FAULT), EndJob("c")}


def test_scheduler_when_a_job_alone_fails_three_times_then_it_ends_with_the_failure() -> None:
    shell = a_shell("a")
    for _ in range(2):
        (repeat,) = shell.fail()
        assert isinstance(repeat, RunBatch)
        assert repeat.rows == (Row("a", 0),)
    assert shell.fail() == [EndJob("a", FAULT)]
    assert shell.scheduler.is_idle


def test_scheduler_when_a_job_comes_forward_then_its_attempts_start_anew() -> None:
    shell = a_shell("a", num_steps=3)
    while shell.checker.running is not None:
        shell.fail()
        shell.fail()
        last = shell.finish()
    assert last == [EndJob("a")]


def test_scheduler_when_a_shared_failure_precedes_then_it_is_no_attempt() -> None:
    shell = a_shell("ab")
    shell.fail()
    shell.fail()
    shell.fail()
    assert shell.fail()[0] == EndJob("a", FAULT)


def test_scheduler_when_memory_runs_out_then_the_limit_halves_and_nobody_is_to_blame() -> None:
    shell = a_shell("abcdefgh")
    sizes = [len(rows(shell))]
    for _ in range(3):
        shell.fail(OUT_OF_MEMORY)
        sizes.append(len(rows(shell)))
    assert sizes == [8, 4, 2, 1]
    assert len([action for action in shell.finish_all() if isinstance(action, EndJob)]) == 8


def test_scheduler_when_full_batches_succeed_then_the_limit_grows_by_one_up_to_the_maximum() -> None:
    shell = a_shell("abcd", num_steps=20, max_batch=4)
    while shell.running.stage is Stage.CONDITION:
        shell.finish()
    shell.fail(OUT_OF_MEMORY)
    sizes: list[int] = []
    for _ in range(5):
        sizes.append(len(rows(shell)))
        shell.finish()
    assert sizes == [2, 3, 4, 4, 4]


def test_scheduler_when_a_batch_below_the_limit_does_not_fit_then_the_repeat_is_smaller() -> None:
    shell = a_shell("abc", max_batch=8)
    shell.fail(OUT_OF_MEMORY)
    assert rows(shell) == "a"


def test_scheduler_when_one_stage_does_not_fit_then_the_others_keep_their_limit() -> None:
    shell = a_shell("abcd")
    shell.fail(OUT_OF_MEMORY)
    while shell.running.stage is Stage.CONDITION:
        shell.finish()
    assert rows(shell) == "abcd"


def test_scheduler_when_memory_runs_out_then_the_first_in_line_still_comes_first() -> None:
    """Otherwise two jobs may fail together for ever while a third, served alone in between, brings the limit back."""
    shell = a_shell("abc", num_steps=20, max_batch=2)
    served: list[str] = []
    for _ in range(40):
        if len(rows(shell)) > 1:
            shell.fail(OUT_OF_MEMORY)
        else:
            served.append(rows(shell))
            shell.finish()
    assert "".join(served[:9]) == "abcabcabc"


def test_scheduler_when_memory_runs_out_for_a_job_alone_then_it_ends_at_once() -> None:
    shell = a_shell("a")
    assert shell.fail(OUT_OF_MEMORY) == [EndJob("a", OUT_OF_MEMORY)]


def test_scheduler_when_the_device_is_gone_then_that_is_no_attempt_and_a_drain_hands_back() -> None:
    scheduler = Scheduler(BatchPolicy(8, 8))
    scheduler.handle(JobArrived("a", 2, ENCODERS), 0)
    for is_device_gone in (False, False, True):
        (batch,) = scheduler.next_actions(0)
        assert isinstance(batch, RunBatch)
        scheduler.handle(BatchFailed(batch.batch_id, FAULT, is_device_gone=is_device_gone), 0)
    scheduler.handle(DrainRequested(), 0)
    assert scheduler.next_actions(0) == [ReleaseJob("a")]


def test_scheduler_when_a_suspect_fails_then_it_is_repeated_before_others_begin() -> None:
    shell = CheckedShell(BatchPolicy(4, 4))
    shell.arrive("s", 1, is_suspect=True)
    shell.act()
    shell.arrive("a", 1)
    shell.fail()
    assert rows(shell) == "s"
