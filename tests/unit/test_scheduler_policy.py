"""Which jobs are workable and which of them run next, as functions of a few values."""

from dataclasses import replace

import pytest

from service.domain.execution import Execution
from service.domain.job import Priority
from service.domain.stage import Stage
from service.scheduling.policy import (
    BATCH_CLASS_LAG,
    DECODES_TOGETHER,
    PATIENCE,
    STAGE_PRIORITY,
    BatchPolicy,
    choose_jobs,
    workable_jobs,
)
from service.scheduling.progress import JobProgress, stage_table

TABLES = [
    stage_table(1, execution=execution, is_low=is_low, has_low_decoder=True)
    for execution in Execution
    for is_low in (True, False)
]
TABLE_OF = {stage: table for table in TABLES for stage, _ in table}
LIMITS = dict.fromkeys(Stage, 4)


def a_job(
    job_id: str = "a",
    stage: Stage = Stage.DENOISE,
    *,
    num_steps: int = 1,
    served: int = 0,
    is_suspect: bool = False,
    must_run_alone: bool = False,
    priority: Priority = Priority.INTERACTIVE,
) -> JobProgress:
    table = TABLE_OF[stage]
    return JobProgress(
        job_id,
        table,
        num_steps,
        is_suspect,
        served,
        priority,
        position=table.index((stage, 0)),
        must_run_alone=must_run_alone,
    )


def ids(jobs: object) -> str:
    assert isinstance(jobs, list)
    return "".join(job.job_id for job in jobs)


@pytest.mark.parametrize("name", ["max_batch", "max_slots", "max_attempts", "max_low_batch"])
def test_policy_when_a_bound_is_below_one_then_refuses(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        replace(BatchPolicy(), **{name: 0})


def test_workable_jobs_when_there_are_more_than_slots_then_the_first_ones() -> None:
    assert ids(workable_jobs([a_job("a"), a_job("b"), a_job("c")], max_slots=2)) == "ab"


def test_workable_jobs_when_a_suspect_has_not_begun_then_the_others_go_on() -> None:
    jobs = [a_job("s", Stage.ENCODE_SOURCE, is_suspect=True), a_job("a"), a_job("b")]
    assert ids(workable_jobs(jobs, max_slots=4)) == "ab"


def test_workable_jobs_when_a_suspect_has_begun_then_only_that_one() -> None:
    jobs = [a_job("a"), a_job("r", Stage.ENCODE_SOURCE, is_suspect=True), a_job("s", is_suspect=True)]
    assert ids(workable_jobs(jobs, max_slots=4)) == "s"


def test_workable_jobs_when_only_suspects_are_left_then_one_at_a_time() -> None:
    jobs = [a_job(name, Stage.ENCODE_SOURCE, is_suspect=True) for name in "rs"]
    assert ids(workable_jobs(jobs, max_slots=4)) == "r"


def test_choose_jobs_when_stages_differ_then_follows_the_priorities() -> None:
    jobs = [a_job(stage.value, stage) for stage in Stage]
    chosen: list[Stage] = []
    while jobs:
        (job,) = choose_jobs(jobs, LIMITS)
        chosen.append(job.stage)
        jobs.remove(job)
    assert tuple(chosen[:-3]) == STAGE_PRIORITY
    assert chosen[0] is Stage.DECODE
    assert set(chosen[-3:]) == {Stage.DENOISE, Stage.DENOISE_LOW, Stage.SAMPLE}


def test_choose_jobs_when_steps_of_both_precisions_wait_then_they_take_turns_and_share_no_call() -> None:
    jobs = [
        a_job("a", served=3),
        a_job("b", Stage.DENOISE_LOW, served=2),
        a_job("c", served=4),
        a_job("d", Stage.DENOISE_LOW, served=5),
    ]
    assert ids(choose_jobs(jobs, LIMITS)) == "bd"
    jobs[1].served = jobs[3].served = 6
    assert ids(choose_jobs(jobs, LIMITS)) == "ac"


def test_choose_jobs_when_decodes_of_both_precisions_wait_then_they_share_no_call() -> None:
    jobs = [a_job("a", Stage.DECODE_LOW, served=1), a_job("b", Stage.DECODE), a_job("c", Stage.DECODE_LOW, served=2)]
    assert ids(choose_jobs(jobs, LIMITS)) == "b"
    assert ids(choose_jobs(jobs[::2], LIMITS)) == "ac"


def test_choose_jobs_when_decodes_of_one_precision_are_few_then_those_of_the_other_go_all_the_same() -> None:
    few = a_job("a", Stage.DECODE, served=9, priority=Priority.BATCH)
    jobs = [few, a_job("b", Stage.DECODE_LOW, served=9), a_job("c", served=8)]
    assert ids(choose_jobs(jobs, LIMITS)) == "b"
    assert ids(choose_jobs([few, jobs[2]], LIMITS)) == "c"


def test_choose_jobs_when_more_are_ready_than_fit_then_the_longest_unserved_go() -> None:
    jobs = [
        a_job("a", served=9),
        a_job("b", served=3),
        a_job("c", served=9),
        a_job("d", served=1),
        a_job("e", served=4),
    ]
    assert ids(choose_jobs(jobs, LIMITS)) == "dbea"


def test_choose_jobs_when_the_stage_has_a_lower_limit_then_obeys_it() -> None:
    assert ids(choose_jobs([a_job("a"), a_job("b")], LIMITS | {Stage.DENOISE: 1})) == "a"


def test_choose_jobs_when_the_first_must_run_alone_then_it_does() -> None:
    assert ids(choose_jobs([a_job("a", must_run_alone=True), a_job("b")], LIMITS)) == "a"


def test_choose_jobs_when_a_later_one_must_run_alone_then_it_is_left_out() -> None:
    jobs = [a_job("a"), a_job("b", must_run_alone=True), a_job("c")]
    assert ids(choose_jobs(jobs, LIMITS)) == "ac"


def test_choose_jobs_when_loops_wait_then_those_as_long_as_the_one_of_the_longest_unserved_go() -> None:
    jobs = [
        a_job("a", Stage.SAMPLE, num_steps=10, served=5),
        a_job("b", Stage.SAMPLE, num_steps=50, served=3),
        a_job("c", Stage.SAMPLE, num_steps=50, served=9),
        a_job("d", Stage.SAMPLE, num_steps=10, served=4),
        a_job("e", Stage.SAMPLE, num_steps=50, served=6),
    ]
    assert ids(choose_jobs(jobs, LIMITS)) == "bec"
    assert ids(choose_jobs(jobs, LIMITS | {Stage.SAMPLE: 2})) == "be"


def test_choose_jobs_when_nothing_else_tells_loops_apart_then_the_first_arrival_decides() -> None:
    jobs = [a_job(name, Stage.SAMPLE, num_steps=steps) for name, steps in (("a", 50), ("b", 10), ("c", 50))]
    assert ids(choose_jobs(jobs, LIMITS)) == "ac"


def test_choose_jobs_when_a_loop_must_run_alone_then_equals_do_not_join_it() -> None:
    jobs = [a_job("a", Stage.SAMPLE, must_run_alone=True), a_job("b", Stage.SAMPLE)]
    assert ids(choose_jobs(jobs, LIMITS)) == "a"
    assert ids(choose_jobs(jobs[::-1], LIMITS)) == "b"


def test_choose_jobs_when_steps_wait_then_their_numbers_do_not_matter() -> None:
    jobs = [a_job(name, num_steps=steps) for name, steps in (("a", 50), ("b", 10), ("c", 50))]
    assert ids(choose_jobs(jobs, LIMITS)) == "abc"


@pytest.mark.parametrize("stage", Stage)
def test_choose_jobs_when_rows_are_scarce_then_interactive_goes_before_batch(stage: Stage) -> None:
    jobs = [a_job("a", stage, served=3, priority=Priority.BATCH), a_job("b", stage, served=7)]
    assert ids(choose_jobs(jobs, LIMITS | {stage: 1})) == "b"
    assert ids(choose_jobs(jobs, LIMITS)) == "ba"


@pytest.mark.parametrize("stage", [Stage.DECODE, Stage.DECODE_LOW])
@pytest.mark.parametrize(
    ("num_decodes", "served", "priority", "limits", "is_put_off"),
    [
        (DECODES_TOGETHER - 1, 9, Priority.BATCH, LIMITS, True),
        (DECODES_TOGETHER, 9, Priority.BATCH, LIMITS, False),
        (1, 9 - BATCH_CLASS_LAG, Priority.BATCH, LIMITS, False),
        (1, 9, Priority.INTERACTIVE, LIMITS, False),
        (1, 9, Priority.BATCH, LIMITS | {Stage.DECODE: 1, Stage.DECODE_LOW: 1}, False),
    ],
    ids=["few", "enough", "one that has waited", "interactive", "no two at a time"],
)
def test_choose_jobs_when_batch_jobs_decode_beside_an_interactive_step_then_a_few_wait_for_others(
    num_decodes: int, served: int, priority: Priority, limits: dict[Stage, int], is_put_off: bool, stage: Stage
) -> None:
    decodes = [a_job("d", stage, served=served, priority=priority) for _ in range(num_decodes)]

    chosen = ids(choose_jobs([*decodes, a_job("a", served=9)], limits))

    assert chosen == ("a" if is_put_off else "d" * num_decodes)


def test_choose_jobs_when_only_batch_jobs_step_then_their_decodes_go_first() -> None:
    jobs = [a_job("d", Stage.DECODE, priority=Priority.BATCH), a_job("a", priority=Priority.BATCH)]
    assert ids(choose_jobs(jobs, LIMITS)) == "d"


def test_choose_jobs_when_a_batch_job_has_let_enough_pass_then_it_goes_first() -> None:
    jobs = [a_job("a", served=3, priority=Priority.BATCH), a_job("b", served=4 + BATCH_CLASS_LAG)]
    assert ids(choose_jobs(jobs, LIMITS | {Stage.DENOISE: 1})) == "a"


def test_choose_jobs_when_the_shortest_goes_first_then_the_fewest_steps_left_decide() -> None:
    jobs = [a_job("a", num_steps=50), a_job("b", num_steps=10), a_job("c", num_steps=20)]
    assert ids(choose_jobs(jobs, LIMITS | {Stage.DENOISE: 1}, is_shortest_first=True)) == "b"


def test_choose_jobs_when_the_shortest_share_a_batch_then_it_holds_those_with_the_fewest_steps_left() -> None:
    jobs = [a_job("a", num_steps=50), a_job("b", num_steps=10), a_job("c", num_steps=20)]
    assert ids(choose_jobs(jobs, LIMITS | {Stage.DENOISE: 2}, is_shortest_first=True)) == "bc"


@pytest.mark.parametrize(("priority", "first"), [(Priority.INTERACTIVE, "b"), (Priority.BATCH, "a")])
def test_choose_jobs_when_the_shortest_is_of_the_class_batch_then_its_steps_weigh_more(
    priority: Priority, first: str
) -> None:
    jobs = [a_job("a", num_steps=20), a_job("b", num_steps=10, priority=priority)]
    assert ids(choose_jobs(jobs, LIMITS | {Stage.DENOISE: 1}, is_shortest_first=True)) == first


@pytest.mark.parametrize(("num_steps", "priority"), [(50, Priority.INTERACTIVE), (10, Priority.BATCH)])
def test_choose_jobs_when_it_has_let_enough_newcomers_pass_then_the_longest_goes_first(
    num_steps: int, priority: Priority
) -> None:
    old = a_job("a", num_steps=num_steps, priority=priority)
    patience = num_steps * PATIENCE[priority]
    for served, first in ((patience - PATIENCE[Priority.INTERACTIVE] - 1, "b"), (patience, "a")):
        newcomer = a_job("b", num_steps=1, served=served)
        assert ids(choose_jobs([old, newcomer], LIMITS | {Stage.DENOISE: 1}, is_shortest_first=True)) == first
