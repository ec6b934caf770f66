"""What the real server decides about requests that wait: which share a call, and which are not run at all."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from export.verify import example_inputs
from tests.triton.lab_repository import MANIFEST, PATIENCE_MICROSECONDS, TABLE, a_lookup, a_shipped_model
from tests.triton.requests import Feeds, infer, inputs_of, rows
from tests.triton.running_triton import RunningTriton
from xmdpt.sampler import initial_noise, sampling_plan, stack_plans
from xmdpt.spec import VARIANTS, graph_specs

pytestmark = pytest.mark.system

VARIANT = VARIANTS[MANIFEST["variant"]]
STEP = graph_specs(VARIANT)["tdnet_step"]
# Steps: for seconds, which is longer than a cancellation takes to arrive; many times as many; and few.
LONG, ENDLESS, SHORT = 500, 10_000, 2
PATIENCE_SECONDS, CANCELLATION_SECONDS, NUM_ATTEMPTS = 200, 0.2, 3
ROWS = 9


@dataclass
class Answer:
    """What comes of a request that somebody else waits for."""

    asked_at: float = field(default_factory=time.monotonic)
    arrived_at: float = 0
    arrived: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: InferenceServerException | None = None
    call: Any = None

    def take(self, result: Any, error: InferenceServerException | None) -> None:
        self.result, self.error, self.arrived_at = result, error, time.monotonic()
        self.arrived.set()

    def array(self, name: str) -> np.ndarray:
        assert self.arrived.wait(PATIENCE_SECONDS)
        assert self.error is None, self.error
        return self.result.as_numpy(name)

    def refusal(self) -> str:
        assert self.arrived.wait(PATIENCE_SECONDS)
        assert self.error is not None
        return str(self.error)


def ask(triton: RunningTriton, model: str, feeds: Feeds) -> Answer:
    answer = Answer()
    answer.call = triton.grpc.async_infer(model, inputs_of(feeds), answer.take)
    return answer


def a_run(num_steps: int) -> Feeds:
    """More steps than a plan may have are the same plan several times."""
    most = min(num_steps, 1000)
    plan = stack_plans([sampling_plan(most, 2.0, "ddim", VARIANT.prediction)])
    return {
        "noise": initial_noise(num_steps)[None],
        "condition": np.zeros((1, VARIANT.width), np.float32),
        "timesteps": np.tile(plan.timesteps, (1, num_steps // most)),
        "guidance": np.tile(plan.guidance, (1, num_steps // most)),
        "coefficients": np.tile(plan.coefficients, (1, num_steps // most, 1)),
    }


def load(lab: RunningTriton, name: str) -> None:
    lab.grpc.load_model(name)
    assert lab.grpc.is_model_ready(name)


@pytest.fixture(scope="module")
def batching(lab: RunningTriton, lab_root: Path) -> str:
    """The denoiser; it waits for so many rows."""

    def wait_for_rows(config: Any) -> None:
        config.dynamic_batching.preferred_batch_size[:] = [ROWS]
        config.dynamic_batching.max_queue_delay_microseconds = PATIENCE_MICROSECONDS

    a_shipped_model(lab_root, "batching", "tdnet_step", wait_for_rows)
    load(lab, "batching")
    return "batching"


@pytest.fixture(scope="module")
def lookup(lab: RunningTriton, lab_root: Path) -> str:
    a_lookup(lab_root, "lookup", batch=4)
    load(lab, "lookup")
    return "lookup"


@pytest.fixture(scope="module")
def queueless(lab: RunningTriton, lab_root: Path) -> str:
    """Requests wait in front of the instance, where Triton doesn't look for those that were cancelled."""
    a_shipped_model(lab_root, "queueless", "sampler", lambda config: config.ClearField("dynamic_batching"))
    load(lab, "queueless")
    return "queueless"


def together(answers: Sequence[Answer], name: str) -> np.ndarray:
    return np.concatenate([answer.array(name) for answer in answers])


def test_requests_when_they_wait_then_they_share_a_call_and_each_gets_its_own_rows(
    lab: RunningTriton, batching: str
) -> None:
    feeds, sizes = example_inputs(STEP, ROWS), [1, 2, 1, 3, 2]
    ends = np.cumsum(sizes)
    before = lab.counts(batching)
    alone = infer(lab, "grpc", batching, feeds, ["next_latents"])[0]
    answers = [ask(lab, batching, rows(feeds, end - size, end)) for size, end in zip(sizes, ends, strict=True)]

    found = together(answers, "next_latents")

    counted = lab.counted_since(before, batching, 1 + len(sizes))
    assert (counted["succeeded"], counted["rows"], counted["failed"]) == (6, 2 * ROWS, 0)
    assert counted["calls"] == 2
    # The kernels round the same whatever the number of rows; elsewhere the last digit may differ.
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6 * np.abs(alone).max())


def test_requests_when_the_server_serves_one_after_another_then_each_is_a_call(triton: RunningTriton) -> None:
    feeds = example_inputs(STEP, 3)
    before = triton.counts("tdnet_step")
    answers = [ask(triton, "tdnet_step", rows(feeds, row, row + 1)) for row in range(3)]

    together(answers, "next_latents")

    counted = triton.counted_since(before, "tdnet_step", 3)
    assert (counted["succeeded"], counted["calls"]) == (3, 3)


def test_batch_when_one_of_its_requests_fails_then_the_others_are_answered(lab: RunningTriton, lookup: str) -> None:
    before = lab.counts(lookup)
    good = [ask(lab, lookup, {"index": np.array([[index]])}) for index in (2, 0, 3)]
    bad = ask(lab, lookup, {"index": np.array([[len(TABLE)]])})

    np.testing.assert_array_equal(together(good, "row")[:, 0], TABLE[[2, 0, 3]])
    assert "ONNX Runtime could not run it: " in bad.refusal()
    assert "idx=4" in bad.refusal()
    assert lab.counted_since(before, lookup, 4)["calls"] == 1


def cancel_one_that_waits(server: RunningTriton, model: str) -> tuple[dict[str, float], float]:
    """While another one runs; a third comes after it. Again with a longer one, where the first has ended too early.

    Returns:
        What was counted of the three, and the seconds that a step of the first one took.
    """
    for num_steps in [LONG * 2**attempt for attempt in range(NUM_ATTEMPTS)]:
        before = server.counts(model)
        occupied = ask(server, model, a_run(num_steps))
        # Behind it on the same connection: it comes first to the queue.
        server.grpc.is_model_ready(model)
        waiting = ask(server, model, a_run(ENDLESS))
        if server.waits(model, occupied.arrived):
            waiting.call.cancel()
            assert "CANCELLED" in waiting.refusal()
            time.sleep(CANCELLATION_SECONDS)
        is_told = not occupied.arrived.is_set()
        after = ask(server, model, a_run(SHORT))
        assert [answer.array("latents").shape for answer in (occupied, after)] == [(1, 4, 32, 32)] * 2
        counted = server.counted_since(before, model, 3)
        if is_told:
            return counted, (occupied.arrived_at - occupied.asked_at) / num_steps
    return pytest.fail(f"{num_steps} steps were over too early")


def test_request_when_cancelled_in_the_queue_then_it_is_not_run(triton: RunningTriton) -> None:
    counted, _ = cancel_one_that_waits(triton, "sampler")

    assert (counted["succeeded"], counted["cancelled"], counted["rows"]) == (2, 1, 2)


def test_request_when_cancelled_behind_the_queue_then_the_backend_does_not_run_it(
    lab: RunningTriton, queueless: str
) -> None:
    counted, of_step = cancel_one_that_waits(lab, queueless)

    # Triton itself counts what a Python backend refuses as if it had run.
    assert counted["seconds"] < of_step * ENDLESS / 2
