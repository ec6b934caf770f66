"""Jobs that leave before their time: lost leases, cancels, deadlines and drains."""

import pytest

from service.domain.stage import Stage
from service.scheduling.actions import CancelJob, DropJob, EndJob, ReleaseJob
from service.scheduling.events import BatchFinished
from service.scheduling.policy import BatchPolicy
from tests.simulation.checked_shell import FAULT, OUT_OF_MEMORY, CheckedShell


def a_shell(names: str, *, max_batch: int = 2) -> CheckedShell:
    """These jobs, with the first batch at work."""
    shell = CheckedShell(BatchPolicy(max_batch, 4))
    for name in names:
        shell.arrive(name, 1)
    shell.act()
    return shell


def run_up_to_decode(shell: CheckedShell) -> None:
    while shell.running.stage is not Stage.DECODE:
        shell.finish()


def test_scheduler_when_a_waiting_job_is_lost_then_it_is_dropped_at_once() -> None:
    shell = a_shell("abc")
    shell.lose("c")
    assert shell.act() == [DropJob("c")]
    assert shell.scheduler.free_slots() == 2


def test_scheduler_when_a_running_job_is_lost_then_it_is_dropped_when_the_batch_ends() -> None:
    shell = a_shell("ab")
    shell.lose("a")
    assert shell.act() == []
    assert shell.finish()[0] == DropJob("a")
    assert shell.finish_all()[-1] == EndJob("b")


def test_scheduler_when_a_lost_job_ends_in_its_batch_then_it_is_still_dropped() -> None:
    shell = a_shell("a")
    run_up_to_decode(shell)
    shell.lose("a")
    assert shell.finish() == [DropJob("a")]


def test_scheduler_when_a_lost_job_fails_then_it_is_still_dropped() -> None:
    shell = a_shell("a")
    shell.lose("a")
    assert shell.fail(OUT_OF_MEMORY) == [DropJob("a")]


def test_scheduler_when_the_lease_is_lost_between_picture_and_exit_then_it_is_dropped() -> None:
    shell = a_shell("a")
    run_up_to_decode(shell)
    shell.tell(BatchFinished(shell.running.batch_id))
    shell.lose("a")
    assert shell.act() == [DropJob("a")]


def test_scheduler_when_a_dropped_job_comes_back_then_it_starts_from_the_beginning() -> None:
    shell = a_shell("a")
    run_up_to_decode(shell)
    shell.lose("a")
    shell.finish()
    shell.arrive("a", 1)
    shell.act()
    assert shell.running.stage is Stage.ENCODE_SOURCE
    assert shell.finish_all()[-1] == EndJob("a")


def test_scheduler_when_a_waiting_job_is_cancelled_then_it_leaves_at_once() -> None:
    shell = a_shell("abc")
    shell.cancel("c")
    assert shell.act() == [CancelJob("c")]
    assert shell.scheduler.free_slots() == 2


def test_scheduler_when_a_running_job_is_cancelled_then_it_leaves_after_its_batch_and_the_others_go_on() -> None:
    shell = a_shell("ab")
    shell.cancel("a")
    assert shell.act() == []
    assert shell.finish()[0] == CancelJob("a")
    assert shell.finish_all()[-1] == EndJob("b")


def test_scheduler_when_the_only_job_is_cancelled_then_it_is_idle() -> None:
    shell = a_shell("a")
    shell.cancel("a")
    assert shell.finish() == [CancelJob("a")]
    assert shell.scheduler.is_idle


def test_scheduler_when_a_cancelled_job_ends_in_its_batch_then_it_is_cancelled() -> None:
    shell = a_shell("a")
    run_up_to_decode(shell)
    shell.cancel("a")
    assert shell.finish() == [CancelJob("a")]


def test_scheduler_when_a_job_is_cancelled_between_picture_and_exit_then_it_is_cancelled() -> None:
    shell = a_shell("a")
    run_up_to_decode(shell)
    shell.tell(BatchFinished(shell.running.batch_id))
    shell.cancel("a")
    assert shell.act() == [CancelJob("a")]


def test_scheduler_when_a_cancelled_job_fails_then_it_is_cancelled() -> None:
    shell = a_shell("a")
    shell.cancel("a")
    assert shell.fail(OUT_OF_MEMORY) == [CancelJob("a")]


def test_scheduler_when_a_job_is_cancelled_and_lost_then_it_is_dropped_whichever_came_first() -> None:
    shell = a_shell("ab")
    shell.cancel("a")
    shell.lose("a")
    shell.lose("b")
    shell.cancel("b")
    assert shell.finish() == [DropJob("a"), DropJob("b")]


def test_scheduler_when_a_cancelled_job_is_drained_then_the_queue_hears_of_the_cancel() -> None:
    shell = a_shell("ab")
    shell.cancel("a")
    shell.drain()
    assert shell.finish() == [CancelJob("a"), ReleaseJob("b")]


def test_scheduler_when_a_suspect_is_cancelled_then_the_others_are_claimed_again() -> None:
    shell = CheckedShell(BatchPolicy())
    shell.arrive("s", is_suspect=True)
    shell.cancel("s")
    assert shell.act() == [CancelJob("s")]
    assert shell.scheduler.free_slots() == 8


def test_scheduler_when_a_deadline_comes_then_the_waiting_job_leaves() -> None:
    shell = a_shell("ab")
    shell.arrive("c", deadline=5.0)
    assert shell.scheduler.next_wakeup() == 5.0
    shell.now = 4.9
    assert shell.act() == []
    shell.now = 5.0
    assert shell.act() == [CancelJob("c")]
    assert shell.scheduler.next_wakeup() is None


def test_scheduler_when_a_deadline_comes_while_the_job_runs_then_it_leaves_after_its_batch() -> None:
    shell = CheckedShell(BatchPolicy())
    shell.arrive("a", deadline=5.0)
    shell.act()
    shell.now = 6.0
    assert shell.act() == []
    # Once noticed it wakes nobody again: there is nothing to do before the batch ends.
    assert shell.scheduler.next_wakeup() is None
    assert shell.finish() == [CancelJob("a")]


def test_scheduler_when_the_deadline_comes_with_the_end_of_the_last_batch_then_it_is_too_late() -> None:
    shell = CheckedShell(BatchPolicy())
    shell.arrive("a", 1, deadline=5.0)
    shell.act()
    run_up_to_decode(shell)
    shell.now = 4.0
    assert shell.finish() == [CancelJob("a")]


@pytest.mark.parametrize("now", [5.0, 4.0])
def test_scheduler_when_drained_then_a_deadline_goes_before_the_release(now: float) -> None:
    shell = CheckedShell(BatchPolicy())
    shell.arrive("a", deadline=5.0)
    shell.now = now
    assert shell.drain() == [CancelJob("a") if now == 5.0 else ReleaseJob("a")]


def test_scheduler_when_several_have_deadlines_then_wakes_for_the_first() -> None:
    shell = CheckedShell(BatchPolicy())
    assert shell.scheduler.next_wakeup() is None
    for name, deadline in (("a", 9.0), ("b", 5.0), ("c", 7.0)):
        shell.arrive(name, deadline=deadline)
    assert shell.scheduler.next_wakeup() == 5.0
    shell.cancel("b")
    assert shell.scheduler.next_wakeup() == 7.0


def test_scheduler_when_drained_while_empty_then_offers_no_slot() -> None:
    shell = CheckedShell(BatchPolicy())
    assert shell.drain() == []
    assert shell.scheduler.free_slots() == 0
    assert shell.scheduler.is_idle


def test_scheduler_when_drained_then_waiting_jobs_go_at_once_and_running_ones_after_their_batch() -> None:
    shell = a_shell("abc")
    assert shell.drain() == [ReleaseJob("c")]
    assert shell.drain() == []
    assert shell.finish() == [ReleaseJob("a"), ReleaseJob("b")]
    assert shell.scheduler.is_idle


def test_scheduler_when_the_batch_that_drain_waits_for_ends_the_job_then_it_ends() -> None:
    shell = a_shell("a")
    run_up_to_decode(shell)
    shell.drain()
    assert shell.finish() == [EndJob("a")]


def test_scheduler_when_the_batch_that_drain_waits_for_fails_then_its_jobs_are_released() -> None:
    shell = a_shell("ab")
    shell.drain()
    assert shell.fail() == [ReleaseJob("a"), ReleaseJob("b")]


def test_scheduler_when_drain_waits_for_a_last_attempt_then_the_failure_is_told() -> None:
    shell = a_shell("a")
    shell.fail()
    shell.fail()
    shell.drain()
    assert shell.fail() == [EndJob("a", FAULT)]


def test_scheduler_when_a_job_is_lost_before_its_release_then_it_is_dropped() -> None:
    shell = a_shell("a")
    shell.drain()
    shell.lose("a")
    assert shell.finish() == [DropJob("a")]


def test_scheduler_when_a_job_arrives_after_the_drain_then_it_is_handed_back() -> None:
    shell = CheckedShell(BatchPolicy())
    shell.drain()
    shell.arrive("a")
    assert shell.act() == [ReleaseJob("a")]
