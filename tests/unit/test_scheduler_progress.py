"""A job's table of stages, and its way down that table."""

import pytest

from service.domain.execution import Execution
from service.domain.stage import Stage
from service.scheduling.progress import SKIPPABLE, JobProgress, stage_table


def test_stage_table_when_nothing_is_skipped_then_holds_every_row_in_order() -> None:
    assert stage_table(3) == (
        (Stage.ENCODE_SOURCE, 0),
        (Stage.ENCODE_POSE, 0),
        (Stage.CONDITION, 0),
        (Stage.DENOISE, 0),
        (Stage.DENOISE, 1),
        (Stage.DENOISE, 2),
        (Stage.DECODE, 0),
    )


@pytest.mark.parametrize("num_steps", [1, 50])
def test_stage_table_when_the_loop_is_whole_then_one_row_stands_for_all_steps(num_steps: int) -> None:
    assert stage_table(num_steps, {Stage.ENCODE_POSE}, Execution.WHOLE_LOOP) == (
        (Stage.ENCODE_SOURCE, 0),
        (Stage.CONDITION, 0),
        (Stage.SAMPLE, 0),
        (Stage.DECODE, 0),
    )


@pytest.mark.parametrize(("has_low_decoder", "decode"), [(False, Stage.DECODE), (True, Stage.DECODE_LOW)])
@pytest.mark.parametrize("execution", Execution)
def test_stage_table_when_the_precision_is_low_then_each_step_is_a_row_in_any_execution(
    execution: Execution, has_low_decoder: bool, decode: Stage
) -> None:
    assert stage_table(2, SKIPPABLE, execution, is_low=True, has_low_decoder=has_low_decoder) == (
        (Stage.DENOISE_LOW, 0),
        (Stage.DENOISE_LOW, 1),
        (decode, 0),
    )


def test_stage_table_when_the_precision_is_not_low_then_a_low_decoder_is_left_alone() -> None:
    assert stage_table(1, has_low_decoder=True) == stage_table(1)


@pytest.mark.parametrize("stage", sorted(SKIPPABLE))
def test_stage_table_when_a_stage_before_the_steps_is_skipped_then_only_that_row_is_missing(stage: Stage) -> None:
    assert stage_table(2, {stage}) == tuple(row for row in stage_table(2) if row[0] is not stage)


def test_stage_table_when_both_encoders_are_skipped_then_starts_at_the_condition() -> None:
    assert stage_table(1, {Stage.ENCODE_SOURCE, Stage.ENCODE_POSE})[0] == (Stage.CONDITION, 0)


@pytest.mark.parametrize("num_steps", [0, -1])
def test_stage_table_when_there_is_no_step_then_refuses(num_steps: int) -> None:
    with pytest.raises(ValueError, match="num_steps"):
        stage_table(num_steps)


@pytest.mark.parametrize("stage", sorted(set(Stage) - SKIPPABLE))
def test_stage_table_when_another_stage_is_skipped_then_refuses(stage: Stage) -> None:
    with pytest.raises(ValueError, match=stage):
        stage_table(2, {stage})


def test_progress_when_every_row_is_done_then_is_complete() -> None:
    table = stage_table(2)
    job = JobProgress("a", table, 2, is_suspect=False, served=0)
    seen: list[tuple[Stage, int]] = []
    while not job.is_complete:
        seen.append((job.stage, job.step_index))
        job.advance(batch_id=len(seen))
    assert tuple(seen) == table
    assert job.served == len(table)


def test_progress_when_it_comes_forward_then_failures_are_forgiven() -> None:
    job = JobProgress("a", stage_table(2), 2, is_suspect=False, served=0, num_failures=2, must_run_alone=True)
    job.advance(batch_id=1)
    assert (job.num_failures, job.must_run_alone) == (0, False)


def test_progress_when_nothing_ran_then_is_not_started() -> None:
    job = JobProgress("a", stage_table(2), 2, is_suspect=True, served=0)
    assert not job.is_started
    job.num_failures = 1
    assert job.is_started
