"""Batches when all goes well: what runs, with whom, in which order."""

import pytest

from service.domain.stage import Stage
from service.scheduling.actions import Action, EndJob, Row, RunBatch
from service.scheduling.events import BatchFailed, BatchFinished, JobArrived, LeaseLost
from service.scheduling.policy import BatchPolicy
from tests.simulation.checked_shell import ENCODERS, FAULT, CheckedShell


def a_shell(max_batch: int = 4, max_slots: int = 8) -> CheckedShell:
    return CheckedShell(BatchPolicy(max_batch, max_slots))


def shapes(actions: list[Action]) -> list[tuple[Stage, str]]:
    """Each batch as (stage, its jobs with their step indices)."""
    return [
        (action.stage, " ".join(f"{row.job_id}{row.step_index}" for row in action.rows))
        for action in actions
        if isinstance(action, RunBatch)
    ]


def test_scheduler_when_empty_then_has_nothing_to_do() -> None:
    shell = a_shell()
    assert shell.act() == []
    assert shell.scheduler.is_idle
    assert shell.scheduler.free_slots() == 8


def test_scheduler_when_one_job_arrives_then_it_runs_from_encoder_to_end() -> None:
    shell = a_shell()
    shell.arrive("a", 2)
    actions = shell.finish_all()
    assert shapes(actions) == [
        (Stage.ENCODE_SOURCE, "a0"),
        (Stage.ENCODE_POSE, "a0"),
        (Stage.CONDITION, "a0"),
        (Stage.DENOISE, "a0"),
        (Stage.DENOISE, "a1"),
        (Stage.DECODE, "a0"),
    ]
    assert actions[-1] == EndJob("a")


def test_scheduler_when_encoders_are_skipped_then_starts_at_the_condition() -> None:
    shell = a_shell()
    shell.arrive("a", 1, skipped=ENCODERS)
    assert [stage for stage, _ in shapes(shell.finish_all())] == [Stage.CONDITION, Stage.DENOISE, Stage.DECODE]


def test_scheduler_when_a_job_joins_then_it_catches_up_and_steps_mix() -> None:
    shell = a_shell()
    shell.arrive("a", 3)
    for _ in range(4):
        shell.act()
        shell.finish()
    shell.arrive("b", 2, skipped=ENCODERS)
    assert shapes(shell.finish_all()) == [
        (Stage.CONDITION, "b0"),
        (Stage.DENOISE, "a2 b0"),
        (Stage.DECODE, "a0"),
        (Stage.DENOISE, "b1"),
        (Stage.DECODE, "b0"),
    ]


def test_scheduler_when_nobody_is_left_out_then_a_batch_goes_on_for_as_many_steps_as_each_has() -> None:
    shell = a_shell(max_batch=2)
    shell.arrive("a", 5, skipped=ENCODERS)
    shell.arrive("b", 3, skipped=ENCODERS)
    conditions, steps = *shell.act(), *shell.finish()
    assert [action.num_steps for action in (conditions, steps) if isinstance(action, RunBatch)] == [1, 3]
    shell.arrive("c", 2, skipped=ENCODERS)
    assert shapes(shell.finish(2)) == [(Stage.CONDITION, "c0")]
    assert shapes(shell.finish()) == [(Stage.DENOISE, "a2 b2")]
    assert shell.running.num_steps == 1


@pytest.mark.parametrize("is_shortest_first", [False, True])
@pytest.mark.parametrize("num_steps", range(2, 7))
def test_scheduler_when_steps_were_taken_in_one_batch_then_it_goes_on_as_after_single_ones(
    num_steps: int, is_shortest_first: bool
) -> None:
    def later_batches(*steps_at_once: int) -> list[Action]:
        shell = CheckedShell(BatchPolicy(2, 4, is_shortest_first=is_shortest_first))
        shell.arrive("a", 9, skipped=ENCODERS)
        shell.arrive("b", 6, skipped=ENCODERS)
        shell.act()
        shell.finish()
        for steps in steps_at_once:
            shell.finish(steps)
        # With these, who goes first depends on who came and was served when.
        shell.arrive("c", 5, skipped=ENCODERS)
        shell.arrive("d", 4, skipped=ENCODERS)
        return shell.finish_all()

    assert later_batches(num_steps) == later_batches(*[1] * num_steps)


def test_scheduler_when_jobs_need_different_encoders_then_they_share_what_they_can() -> None:
    shell = a_shell()
    shell.arrive("a", 1, skipped=frozenset({Stage.ENCODE_SOURCE}))
    shell.arrive("b", 1)
    assert shapes(shell.finish_all()) == [
        (Stage.ENCODE_SOURCE, "b0"),
        (Stage.ENCODE_POSE, "a0 b0"),
        (Stage.CONDITION, "a0 b0"),
        (Stage.DENOISE, "a0 b0"),
        (Stage.DECODE, "a0 b0"),
    ]


def test_scheduler_when_a_batch_runs_then_starts_no_other() -> None:
    shell = a_shell()
    shell.arrive("a")
    shell.act()
    shell.arrive("b")
    assert shell.act() == []


def test_scheduler_when_more_are_ready_than_fit_then_they_take_turns() -> None:
    shell = a_shell(max_batch=2, max_slots=3)
    for name in "abc":
        shell.arrive(name, 2, skipped=ENCODERS)
    steps = [rows for stage, rows in shapes(shell.finish_all()) if stage is Stage.DENOISE]
    assert steps == ["a0 b0", "c0 a1", "b1 c1"]


@pytest.mark.parametrize("is_shortest_first", [False, True])
@pytest.mark.parametrize(
    ("max_low_batch", "low"), [(None, ["c0 d0"]), (32, ["c0 d0"]), (1, ["c0", "d0"])], ids=["unsaid", "many", "one"]
)
def test_scheduler_when_batches_in_low_precision_are_smaller_then_only_those(
    max_low_batch: int | None, low: list[str], is_shortest_first: bool
) -> None:
    shell = CheckedShell(BatchPolicy(2, 4, is_shortest_first=is_shortest_first, max_low_batch=max_low_batch))
    for name in "abcd":
        shell.arrive(name, 1, skipped=ENCODERS, is_low=name in "cd")
    batches = shapes(shell.finish_all())
    for stages, expected in (
        ((Stage.DENOISE, Stage.DECODE), ["a0 b0"]),
        ((Stage.DENOISE_LOW, Stage.DECODE_LOW), low),
    ):
        assert [[rows for of, rows in batches if of is stage] for stage in stages] == [expected] * 2


def test_scheduler_when_one_row_fits_then_the_oldest_waits_no_longer_than_stated() -> None:
    """The worst case of the bound: the seven others step, end, and their successors are admitted first."""
    shell = a_shell(max_batch=1, max_slots=8)
    for number in range(8):
        shell.arrive(f"job{number}", 9 if number == 7 else 1, skipped=ENCODERS)
    waited, longest = 0, 0
    while not shell.scheduler.is_idle:
        for _ in range(shell.scheduler.free_slots() if shell.checker.num_arrived < 40 else 0):
            shell.arrive(f"job{shell.checker.num_arrived}", 1)
        if isinstance(shell.act_once()[0], RunBatch):
            waited = 0 if shell.running.rows[0].job_id == "job7" else waited + 1
            longest = max(longest, waited)
            shell.tell(BatchFinished(shell.running.batch_id))
    # Each of the other seven: a step, a decode, and three admissions of the newcomer in its slot.
    assert longest == 7 * 5


def test_scheduler_when_a_job_arrives_twice_then_it_is_one_job() -> None:
    shell = a_shell()
    shell.arrive("a", 2)
    shell.arrive("a", 5, is_suspect=True)
    assert shell.scheduler.free_slots() == 7
    assert shell.finish_all().count(EndJob("a")) == 1


def test_scheduler_when_more_arrive_than_slots_then_works_in_order_and_loses_none() -> None:
    shell = a_shell(max_batch=4, max_slots=2)
    for name in "abcde":
        shell.arrive(name, 1)
    assert shell.scheduler.free_slots() == 0
    actions = shell.finish_all()
    assert [action.job_id for action in actions if isinstance(action, EndJob)] == list("abcde")


def test_scheduler_when_a_job_ends_then_its_slot_can_be_claimed_before_the_next_batch() -> None:
    shell = a_shell(max_slots=2)
    shell.arrive("a", 1)
    shell.arrive("b", 2)
    shell.act()
    while shell.running.stage is not Stage.DECODE:
        shell.finish()
    shell.tell(BatchFinished(shell.running.batch_id))
    assert shell.scheduler.free_slots() == 0
    assert shell.act_once() == [EndJob("a")]
    assert shell.scheduler.free_slots() == 1


def test_scheduler_when_a_suspect_comes_then_it_waits_for_the_others_and_runs_alone() -> None:
    shell = a_shell()
    shell.arrive("s", 2, is_suspect=True)
    shell.arrive("a", 1)
    shell.arrive("t", 1, is_suspect=True)
    assert shell.scheduler.free_slots() == 0
    actions = shell.finish_all()
    assert [action.job_id for action in actions if isinstance(action, EndJob)] == ["a", "s", "t"]
    assert all(len(action.rows) == 1 for action in actions if isinstance(action, RunBatch))
    assert shell.scheduler.free_slots() == 8


def test_scheduler_when_a_job_comes_while_a_suspect_runs_then_the_suspect_goes_on() -> None:
    shell = a_shell()
    shell.arrive("s", 2, is_suspect=True)
    shell.act()
    shell.arrive("a", 1)
    ends = [action for action in shell.finish_all() if isinstance(action, EndJob)]
    assert ends == [EndJob("s"), EndJob("a")]


def test_scheduler_when_ids_are_unknown_then_nothing_changes() -> None:
    shell = a_shell()
    shell.tell(BatchFinished(1))
    shell.arrive("a", 1)
    shell.act()
    shell.tell(LeaseLost("b"))
    shell.tell(BatchFinished(shell.running.batch_id + 1))
    shell.tell(BatchFailed(shell.running.batch_id + 1, FAULT))
    assert shell.act() == []
    assert shell.running.rows == (Row("a"),)


def test_scheduler_when_a_batch_is_answered_twice_then_the_second_answer_is_late() -> None:
    shell = a_shell()
    shell.arrive("a", 1)
    shell.act()
    first = shell.running.batch_id
    shell.finish()
    shell.tell(BatchFinished(first))
    shell.tell(BatchFailed(first, FAULT))
    assert shell.running.stage is Stage.ENCODE_POSE


@pytest.mark.parametrize("event", [JobArrived("a", 0), JobArrived("a", 2, frozenset({Stage.DECODE}))])
def test_scheduler_when_an_arrival_makes_no_sense_then_refuses_and_is_unchanged(event: JobArrived) -> None:
    shell = a_shell()
    with pytest.raises(ValueError, match=r"num_steps|skipped"):
        shell.scheduler.handle(event, 0.0)
    assert shell.scheduler.is_idle
