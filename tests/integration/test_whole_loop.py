"""Jobs that take all steps in one call: real processes, the same pictures as step by step."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import numpy as np
import pytest

from tests.integration.processes import RunningService, pixels, running_service, wait_until


class Case(NamedTuple):
    """Fields of one request; the numbers of steps repeat, so that jobs can share loops."""

    seed: int
    steps: int
    sampler: str
    guidance: float


CASES = [
    Case(1, 10, "ddim", 2.0),
    Case(2, 20, "dpmpp_2m", 2.0),
    Case(3, 10, "dpmpp_2m", 8.0),
    Case(4, 20, "ddim", 1.0),
    Case(5, 10, "ddim", 4.0),
    Case(6, 2, "ddim", 2.0),
]
FRONT_STEPS = 240


@pytest.fixture(scope="module")
def loop_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("loops")
    settings = {
        "XMDPT_WORKER__EXECUTION": "whole_loop",
        "XMDPT_WORKER__MAX_SLOTS": "8",
        "XMDPT_WORKER__HEARTBEAT_SECONDS": "0.1",
        "XMDPT_LOG_FORMAT": "json",
    }
    with running_service(folder, **settings) as running:
        yield running


def test_pictures_when_loops_are_whole_and_shared_then_at_most_one_grey_level_from_step_by_step(
    service: RunningService, loop_service: RunningService, photo: bytes, pose: dict
) -> None:
    stepwise = [pixels(service.generate(photo, pose, **case._asdict()).content) for case in CASES]
    steps_before = loop_service.metric("xmdpt_steps_total")
    shared_before = shared_steps(loop_service)

    # While it runs the others come, so that they meet.
    front = loop_service.submit(photo, pose, seed=9, steps=FRONT_STEPS)["id"]
    wait_until(lambda: loop_service.job(front)["progress"]["stage"] == "sampler", 60, "its loop runs")
    with ThreadPoolExecutor(len(CASES)) as pool:
        answers = list(pool.map(lambda case: loop_service.generate(photo, pose, **case._asdict()), CASES))

    assert [answer.status_code for answer in answers] == [httpx.codes.OK] * len(CASES)
    assert loop_service.ended(front)["status"] == "succeeded"
    for answer, expected in zip(answers, stepwise, strict=True):
        assert np.abs(pixels(answer.content) - expected).max() <= 1
    assert loop_service.metric("xmdpt_steps_total") - steps_before == FRONT_STEPS + sum(case.steps for case in CASES)
    assert shared_steps(loop_service) > shared_before


def shared_steps(service: RunningService) -> float:
    """Denoising steps that more than one row has shared."""
    alone = service.metric("xmdpt_step_batch_rows_bucket", '{le="1.0"}')
    return service.metric("xmdpt_step_batch_rows_count") - alone


def test_job_when_its_loop_was_whole_then_its_times_name_the_loop_and_all_steps_are_done(
    loop_service: RunningService, photo: bytes, pose: dict
) -> None:
    job = loop_service.submit(photo, pose, seed=7, steps=10)

    ended = loop_service.ended(job["id"])

    assert ended["status"] == "succeeded"
    assert (ended["progress"]["step"], ended["progress"]["ratio"]) == (10, 1)
    assert {"canet", "sampler", "vae_decoder"} <= ended["timings_ms"].keys()
    assert "tdnet_step" not in ended["timings_ms"]
