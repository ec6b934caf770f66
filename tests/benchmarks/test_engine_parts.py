"""What the benchmarks of the engine compute from what they saw: settings, notes, pictures; nothing runs here."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.engine import memory_growth, mixed_latency, worker_loss
from benchmarks.engine.cancel_time import Cancel, cancel_figures
from benchmarks.engine.curves import CURVES, INSTANT, STRETCH, bucketed_settings, full_rate, stepwise_settings
from benchmarks.engine.json_calls import job_call, matrix_call, matrix_names
from benchmarks.engine.noted_worker import Notes, Step
from benchmarks.engine.open_load import Connections
from benchmarks.engine.outbox import Change
from benchmarks.engine.plots import save_latency, save_memory, save_workers
from benchmarks.engine.step_overhead import between_steps
from benchmarks.figures import Figure, Result
from benchmarks.policies.stream import CURVE_L, CURVE_S, NUM_ROWS
from tests.benchmarks.test_figures import OCCASION
from tests.integration.processes import free_port


@pytest.mark.parametrize(("name", "original"), [("S", CURVE_S), ("L", CURVE_L)])
def test_settings_when_made_of_a_curve_then_the_worker_has_its_times_ten_times_over(name: str, original) -> None:
    for settings in (stepwise_settings(CURVES[name]), bucketed_settings(CURVES[name])):
        step_ms, row_ms = (float(settings[f"SIMULATED__{part}_MS"]) for part in ("STEP", "ROW"))

        for rows in (1, 5, NUM_ROWS):
            assert step_ms + rows * row_ms == pytest.approx(1000 * STRETCH * original.seconds(rows))


def test_settings_when_the_backend_is_instant_then_all_times_are_zero() -> None:
    settings = stepwise_settings(INSTANT)

    assert {value for name, value in settings.items() if name.endswith("_MS")} == {"0"}


def test_full_rate_when_all_slots_are_full_then_it_is_rows_over_the_time_of_their_step() -> None:
    assert full_rate(CURVES["S"]) == pytest.approx(16 / 0.018)


def steps_of(rows: list[int], seconds: float = 1.0, pause: float = 0.25) -> list[Step]:
    """Calls one after the other, with CPU time for half of each pause."""
    begins = [number * (seconds + pause) for number in range(len(rows))]
    return [Step(n, at, at + seconds, at / 2, at / 2 + seconds / 2) for n, at in zip(rows, begins, strict=True)]


def test_between_steps_when_other_rows_came_in_between_then_only_pairs_of_equal_rows_count() -> None:
    wall, cpu = between_steps(Notes(steps_of([1, 16, 16, 16, 1])), 16)

    assert wall.median == pytest.approx(250)
    assert cpu.median == pytest.approx(125)


def test_notes_when_cut_then_what_was_before_is_gone() -> None:
    notes = Notes(steps_of([1, 2, 3]), [(0.5, "a"), (3.0, "b")]).since(1.0)

    assert [step.rows for step in notes.steps] == [2, 3]
    assert notes.cancels == [(3.0, "b")]


def test_cancel_when_a_step_ran_then_its_slot_is_free_with_the_next_one() -> None:
    # The worker knows at 1.5, within the second step; the heartbeat says it once more.
    notes = Notes(steps_of([16, 16, 15, 15]), [(1.5, "a"), (2.0, "a")])

    begun, learning, freeing, ending = cancel_figures(notes, [[Cancel("a", 1.0, 2.0)]])

    assert begun.values == [0.0]
    assert learning.values == pytest.approx([500])
    assert freeing.values == pytest.approx([1000])
    assert ending.values == pytest.approx([2000])


def test_cancel_when_its_slot_stayed_for_two_steps_then_they_are_counted() -> None:
    notes = Notes(steps_of([16, 16, 16, 16, 15]), [(1.5, "a")])

    assert cancel_figures(notes, [[Cancel("a", 1.0, 2.0)]])[0].values == [2.0]


async def test_open_load_when_nobody_listens_then_each_call_is_answered_with_0() -> None:
    replies = await Connections(free_port()).offer("/", [job_call("src_0", 0, 2)] * 3, 1000)

    assert [reply.status for reply in replies] == [0, 0, 0]


def test_matrix_call_when_made_then_no_two_poses_are_alike_and_each_pair_has_a_name() -> None:
    matrix = json.loads(matrix_call(["src_0", "src_1"], 30, 2).body)["matrix"]

    assert len({json.dumps(pose) for pose in matrix["poses"]}) == 30
    assert len(matrix_names(2, 30)) == 60
    assert {"s0-p0", "s1-p29"} <= matrix_names(2, 30)


def test_latency_plot_when_drawn_then_it_shows_models_and_what_was_measured(tmp_path: Path) -> None:
    name = mixed_latency.latency_name("stepwise", "p50", "S")
    pictures = [tmp_path / "models.png", tmp_path / "both.png"]

    for path, value in zip(pictures, (None, 3.0), strict=True):
        real = Result("B7", "title", [Figure(name, [value])], False, OCCASION) if value else None
        save_latency(path, real, loads=[0.1, 0.4], num_jobs=60)

    without, both = (np.asarray(Image.open(path).convert("RGB")).astype(int) for path in pictures)
    # Either picture has a palette of its own.
    assert 0 < (np.abs(without - both).max(axis=2) > 64).sum() < 1000


def test_memory_plot_when_drawn_then_only_what_was_sampled_is_in_it(tmp_path: Path) -> None:
    figures = [Figure("growth", [3.0], "MB"), Figure("memory of the worker, each 100 jobs", [90.0, 91.0], "MB")]

    save_memory(tmp_path / "memory.png", Result("B15", "title", figures, False, OCCASION))

    with Image.open(tmp_path / "memory.png") as picture:
        assert picture.width == 800


def test_workers_plot_when_drawn_then_it_is_small(tmp_path: Path) -> None:
    figures = [
        Figure(worker_loss.ONE, [150]),
        Figure(worker_loss.OVER_TIME, [100.0 + 50 * (second % 7) for second in range(200)]),
        *[Figure(name, [40.0 * number], "s") for number, name in enumerate(worker_loss.MARKS)],
    ]

    save_workers(tmp_path / "workers.png", Result("B20", "title", figures, False, OCCASION))

    assert (tmp_path / "workers.png").stat().st_size < 25_000


def test_throughput_when_a_delivery_was_lost_then_only_the_one_that_ended_the_job_counts() -> None:
    seen = [
        Change(0.0, "job.started", "a"),
        Change(0.0, "job.started", "b"),
        Change(4.0, "job.succeeded", "b"),
        Change(5.0, "job.requeued", "a"),
        Change(6.0, "job.started", "a"),
        Change(8.0, "job.succeeded", "a"),
    ]

    work = worker_loss.deliveries(seen, {"a": 20, "b": 40})

    assert [worker_loss.rate(work, begin, begin + 2) for begin in (0, 2, 4, 6, 8)] == [10, 10, 0, 10, 0]
    assert worker_loss.rate(work, 3, 7) == (10 + 10) / 4


def test_growth_when_memory_rises_after_the_warm_up_then_it_is_the_rise() -> None:
    assert memory_growth.growth([10, 20, 30, 40, 50, 60, 60, 60, 61, 65, 65, 65]) == 5
