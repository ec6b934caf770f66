"""Which jobs are workable and which of them run next, as functions of a few values."""

import pytest

from service.domain.stage import Stage
from service.scheduling.policy import STAGE_PRIORITY, BatchPolicy, choose_jobs, workable_jobs
from service.scheduling.progress import JobProgress, stage_table

POSITIONS = {stage: position for position, (stage, _) in enumerate(stage_table(1))}
LIMITS = dict.fromkeys(Stage, 4)


def a_job(
    job_id: str = "a",
    stage: Stage = Stage.DENOISE,
    *,
    served: int = 0,
    is_suspect: bool = False,
    must_run_alone: bool = False,
) -> JobProgress:
    return JobProgress(
        job_id, stage_table(1), is_suspect, served, position=POSITIONS[stage], must_run_alone=must_run_alone
    )


def ids(jobs: object) -> str:
    assert isinstance(jobs, list)
    return "".join(job.job_id for job in jobs)


@pytest.mark.parametrize("name", ["max_batch", "max_slots", "max_attempts"])
def test_policy_when_a_bound_is_below_one_then_refuses(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        BatchPolicy(**{name: 0})


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
    assert tuple(chosen) == STAGE_PRIORITY
    assert chosen[0] is Stage.DECODE
    assert chosen[-1] is Stage.DENOISE


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
