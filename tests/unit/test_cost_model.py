"""How a worker should work, and what its figures promise; the promises are put to the test in virtual time."""

from dataclasses import replace

import pytest

from service.domain.capacity import Capacity, StepCurve, WorkerReport
from service.domain.execution import Execution
from service.scheduling.cost_model import (
    MIN_RATIOS,
    choose_capacity,
    eta,
    forecast_seconds,
    retry_after_seconds,
    work_seconds,
)

SIZES = (1, 2, 4, 8, 16, 32)
STAGES = {"source_encoder": 0.5, "pose_encoder": 0.1, "canet": 0.1, "vae_decoder": 0.3}


def line(base: float, per_row: float, call_seconds: float = 0.0) -> StepCurve:
    return StepCurve([(rows, base + per_row * rows + call_seconds) for rows in SIZES], call_seconds)


# A captured step of size S on a GPU, and a processor.
GPU = line(0.0004, 0.000055)
CPU = line(0.010, 0.300)


def chosen(curve: StepCurve, max_batch: int = 32) -> Capacity:
    return choose_capacity(curve, STAGES, max_batch, None, None)


def reports(*capacities: Capacity) -> list[WorkerReport]:
    return [WorkerReport(f"worker-{number}", "fake", "sha256:0", each) for number, each in enumerate(capacities)]


def stepwise(seconds: float = 0.1, max_batch: int = 4, num_slots: int = 4, **stages: float) -> Capacity:
    """Every step takes as long, whoever shares it."""
    return Capacity(
        StepCurve(((1, seconds), (max_batch + 1, seconds))), stages, Execution.STEPWISE, max_batch, num_slots
    )


def test_capacity_when_batching_pays_then_steps_are_shared_and_two_more_jobs_are_at_hand() -> None:
    capacity = chosen(GPU)
    assert (capacity.execution, capacity.max_batch, capacity.num_slots) == (Execution.STEPWISE, 32, 34)
    assert not capacity.is_shortest_first
    assert capacity.curve == GPU
    assert capacity.stage_seconds == STAGES


def test_capacity_when_batching_brings_nothing_then_one_row_and_the_shortest_first() -> None:
    capacity = chosen(CPU)
    assert (capacity.execution, capacity.max_batch, capacity.num_slots) == (Execution.STEPWISE, 1, 2)
    assert capacity.is_shortest_first


def test_capacity_when_more_rows_bring_next_to_nothing_then_the_smallest_good_batch() -> None:
    curve = StepCurve(((1, 1.0), (2, 1.2), (4, 2.0), (8, 3.9), (16, 8.0)))
    assert chosen(curve).max_batch == 4


@pytest.mark.parametrize(("max_batch", "expected"), [(1, 1), (12, 8), (16, 16), (99, 32)])
def test_capacity_when_the_operator_bounds_the_batch_then_stays_below(max_batch: int, expected: int) -> None:
    assert chosen(GPU, max_batch).max_batch == expected


def test_capacity_when_all_that_was_measured_is_larger_then_the_bound() -> None:
    assert chosen(StepCurve(((8, 1.0),)), max_batch=3).max_batch == 3


@pytest.mark.parametrize(
    ("call_seconds", "execution"),
    # The network takes 2.16 ms at 32 rows.
    [
        (0.0001, Execution.STEPWISE),
        (0.0003, Execution.STEPWISE),
        (0.0004, Execution.WHOLE_LOOP),
        (0.001, Execution.WHOLE_LOOP),
    ],
)
def test_capacity_when_a_call_is_dear_against_the_network_then_whole_loops(
    call_seconds: float, execution: Execution
) -> None:
    capacity = chosen(line(0.0004, 0.000055, call_seconds))
    assert capacity.execution is execution
    assert capacity.num_slots == (96 if execution is Execution.WHOLE_LOOP else 34)


def test_capacity_when_calls_are_dear_on_a_processor_then_loops_one_by_one() -> None:
    capacity = chosen(line(0.0, 0.002, 0.0006))
    assert (capacity.execution, capacity.max_batch, capacity.num_slots) == (Execution.WHOLE_LOOP, 1, 2)
    assert capacity.is_shortest_first


@pytest.mark.parametrize("execution", Execution)
@pytest.mark.parametrize(("num_slots", "batch"), [(24, 8), (5, 5)])
@pytest.mark.parametrize("curve", [GPU, CPU], ids=["GPU", "CPU"])
def test_capacity_when_the_operator_chooses_then_that_is_taken(
    curve: StepCurve, num_slots: int, batch: int, execution: Execution
) -> None:
    capacity = choose_capacity(curve, {}, 8, execution, num_slots)
    assert (capacity.execution, capacity.max_batch, capacity.num_slots) == (execution, batch, num_slots)
    assert capacity.is_shortest_first == (curve is CPU and execution is Execution.STEPWISE)


def test_capacity_when_the_operator_bounds_the_slots_then_batches_beyond_them_say_nothing_of_the_order() -> None:
    curve = StepCurve(((1, 1.0), (2, 1.8), (16, 5.0)))

    assert choose_capacity(curve, {}, 16, None, 2).is_shortest_first
    assert not choose_capacity(curve, {}, 16, None, 16).is_shortest_first


def test_capacity_when_the_operator_wants_one_slot_then_one_row() -> None:
    capacity = choose_capacity(GPU, {}, 8, None, 1)
    assert (capacity.max_batch, capacity.num_slots, capacity.is_shortest_first) == (1, 1, True)


def test_capacity_when_batching_brings_little_then_there_is_none() -> None:
    assert chosen(StepCurve(((1, 0.010), (8, 0.071)))).max_batch == 1
    assert chosen(StepCurve(((1, 0.010), (8, 0.068)))).max_batch == 8


@pytest.mark.parametrize(("of_eight", "num_slots"), [(0.041, 16), (0.039, 10)])
def test_capacity_when_rows_cost_more_than_half_then_there_are_jobs_of_which_the_shortest_share_the_batch(
    of_eight: float, num_slots: int
) -> None:
    capacity = chosen(StepCurve(((1, 0.010), (8, of_eight))))

    assert (capacity.max_batch, capacity.num_slots) == (8, num_slots)
    assert capacity.is_shortest_first == (num_slots == 16)


@pytest.mark.parametrize(
    ("of_two", "is_shortest_first"), [(0.017, True), (0.0134, True), (0.0132, False), (0.010, False)]
)
def test_capacity_when_two_rows_are_the_most_that_was_tried_then_half_of_what_they_can_bring_is_much(
    of_two: float, is_shortest_first: bool
) -> None:
    capacity = chosen(StepCurve(((1, 0.010), (2, of_two))))

    assert (capacity.max_batch, capacity.is_shortest_first) == (2, is_shortest_first)


def test_capacity_when_more_than_two_rows_were_tried_and_bring_no_more_then_the_shortest_share_the_two() -> None:
    capacity = chosen(StepCurve(((1, 0.010), (2, 0.0125), (8, 0.0499))))

    assert (capacity.max_batch, capacity.is_shortest_first) == (2, True)


def test_capacity_when_two_rows_are_the_most_that_may_be_then_a_gpu_serves_as_they_came() -> None:
    assert not chosen(GPU, max_batch=2).is_shortest_first
    assert not choose_capacity(GPU, {}, 32, None, 2).is_shortest_first


@pytest.mark.parametrize(("execution", "max_batch"), [(Execution.STEPWISE, 8), (Execution.WHOLE_LOOP, 1)])
def test_capacity_when_batching_brings_a_third_then_steps_are_shared_and_loops_are_not(
    execution: Execution, max_batch: int
) -> None:
    assert choose_capacity(StepCurve(((1, 0.010), (8, 0.060))), {}, 8, execution, None).max_batch == max_batch


@pytest.mark.parametrize(
    ("curve", "max_low_rows", "expected"), [(CPU, None, 4), (CPU, 1, 1), (CPU, 2, 2), (CPU, 32, 4), (GPU, 1, 4)]
)
def test_capacity_when_graphs_in_low_precision_take_fewer_rows_then_so_do_batches_where_the_shortest_go_first(
    curve: StepCurve, max_low_rows: int | None, expected: int
) -> None:
    capacity = choose_capacity(curve, {}, 4, Execution.STEPWISE, 4, max_low_rows)

    assert (capacity.max_batch, capacity.most_rows(is_low=True)) == (4, expected)


def test_capacity_when_nothing_takes_time_then_is_chosen_all_the_same() -> None:
    assert chosen(StepCurve(((1, 0.0), (2, 0.0)))).max_batch == 1


def test_forecast_when_no_worker_is_calibrated_then_none() -> None:
    assert forecast_seconds([], 10, 0, 0, 0) is None


def test_forecast_when_nobody_is_there_then_the_stages_and_steps_of_the_job() -> None:
    assert forecast_seconds(reports(stepwise(vae_decoder=0.5, canet=0.1)), 10, 0, 0, 0) == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("num_steps", "num_others", "seconds"),
    [
        pytest.param(50, 0, 50 * 1.0, id="alone, at the pace of one row"),
        pytest.param(10, 3, 10 * 3.16, id="a short one, in the batches of longer ones"),
        pytest.param(
            50, 7, (50 + 7 * (25 + 25)) * 3.16 / 4, id="a long one, behind half of what is there and what follows"
        ),
    ],
)
def test_forecast_when_the_shortest_share_small_batches_then_a_step_takes_as_long_as_its_batch(
    num_steps: int, num_others: int, seconds: float
) -> None:
    curve = StepCurve(((1, 1.0), (2, 1.72), (4, 3.16)))
    capacity = Capacity(curve, {}, Execution.STEPWISE, 4, 8, is_shortest_first=True)

    forecast = forecast_seconds(reports(capacity), num_steps, 0, 50 * num_others, num_others)

    assert forecast == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("num_others", "num_images", "seconds"),
    [
        pytest.param(0, 1, 20 * 0.4 + 2, id="alone, at the pace of its own row"),
        pytest.param(0, 3, 3 * (20 * 0.4 + 2), id="pictures of a job, one by one"),
        # Two in five of 50 steps left are fewer than 20, then ten at the mean: 0.08 of a job, which another follows,
        # and so on; each with its part of a decode.
        pytest.param(
            3, 1, 20 * 0.4 + 2 + 3 * 4 / (1 - 0.08) * (3.16 / 4 + 6 / 50), id="in turn, behind what is shorter"
        ),
    ],
)
def test_forecast_when_rows_of_low_precision_go_one_by_one_beside_small_batches_then_each_takes_its_own_time(
    num_others: int, num_images: int, seconds: float
) -> None:
    curve, stages = StepCurve(((1, 1.0), (2, 1.72), (4, 3.16))), {"vae_decoder": 6.0, "vae_decoder_low": 2.0}
    capacity = Capacity(curve, stages, Execution.STEPWISE, 4, 8, True, low_step_ratio=0.4, max_low_batch=1)

    forecast = forecast_seconds(
        reports(capacity), 20, 0, 50 * num_others, num_others, num_images=num_images, is_low=True
    )

    assert forecast == pytest.approx(seconds)


def test_forecast_when_the_shortest_share_small_batches_and_nobody_is_there_then_other_stages_count_once() -> None:
    curve = StepCurve(((1, 1.0), (4, 3.16)))
    capacity = Capacity(curve, {"vae_decoder": 30.0}, Execution.STEPWISE, 4, 8, is_shortest_first=True)

    assert forecast_seconds(reports(capacity), 50, 0, 0, 0) == pytest.approx(50 + 30)


def test_forecast_when_a_slot_is_free_then_only_the_steps_are_longer() -> None:
    curve = StepCurve(((1, 0.1), (4, 0.4)))
    capacity = Capacity(curve, {"vae_decoder": 1.0}, Execution.STEPWISE, 4, 4)
    # Two rows a step, and beside each a twentieth of the other's decode.
    assert forecast_seconds(reports(capacity), 10, 0, 20, 1) == pytest.approx(10 * (0.2 + 1 / 20) + 1)


def test_forecast_when_all_slots_are_taken_then_waits_for_the_work_of_those_before_it() -> None:
    # Four rows of 0.1 s a step: 40 row-steps a second; a job of 20 ends each half second.
    assert forecast_seconds(reports(stepwise()), 10, 0, 80, 4) == pytest.approx(0.5 + 1)
    assert forecast_seconds(reports(stepwise()), 10, 100, 80, 4) == pytest.approx(0.5 + 100 / 40 + 1)


def test_forecast_when_a_crowd_waits_for_free_slots_then_only_what_does_not_fit_is_waited_for() -> None:
    alone, crowd = (forecast_seconds(reports(stepwise()), 10, ahead, 0, 0) for ahead in (30, 40))
    assert alone == pytest.approx(1)
    assert crowd == pytest.approx(1 + 10 / 40)


def test_forecast_when_there_are_two_workers_then_waits_half_as_long() -> None:
    one = forecast_seconds(reports(stepwise()), 10, 400, 80, 4)
    two = forecast_seconds(reports(stepwise(), stepwise()), 10, 400, 160, 8)
    assert one is not None
    assert two is not None
    assert two - 1 == pytest.approx((one - 1) / 2)


def test_forecast_when_workers_differ_then_the_one_with_more_slots_counts_more() -> None:
    fast, slow = stepwise(0.1, max_batch=6, num_slots=6), stepwise(1.0, max_batch=2, num_slots=2)
    assert forecast_seconds(reports(fast, slow), 10, 0, 0, 0) == pytest.approx((6 * 1 + 2 * 10) / 8)


def test_forecast_when_the_job_runs_then_what_is_left_of_it() -> None:
    capacity = stepwise(vae_decoder=0.5)
    at = [forecast_seconds(reports(capacity), 10, 99, 10, 1, steps_done, is_running=True) for steps_done in (0, 6, 10)]
    assert at == pytest.approx([1.5, 0.9, 0.5])


def test_forecast_when_loops_are_whole_then_no_step_pays_a_call_and_others_go_first() -> None:
    curve = StepCurve(((1, 0.2), (4, 0.2)), call_seconds=0.1)
    capacity = Capacity(curve, {}, Execution.WHOLE_LOOP, 4, 12)
    assert forecast_seconds(reports(capacity), 10, 0, 0, 0) == pytest.approx(1)
    # Two loops, of which the other may go first.
    assert forecast_seconds(reports(capacity), 10, 0, 20, 1) == pytest.approx(1 + 2)


def test_forecast_when_the_shortest_goes_first_then_a_short_job_hardly_waits() -> None:
    capacity = Capacity(StepCurve(((1, 0.1),)), {}, Execution.STEPWISE, 1, 2, is_shortest_first=True)
    # One in five of the 50 steps is fewer than ten, and then five of them at the mean: 0.02 of the job, which another
    # follows, and so on.
    assert forecast_seconds(reports(capacity), 10, 0, 50, 1) == pytest.approx(0.1 * (10 + 10 / 50 * 5 / (1 - 0.02)))
    assert forecast_seconds(reports(capacity), 50, 0, 50, 1) == pytest.approx(0.1 * (50 + 25 / (1 - 0.5)))


def test_forecast_when_a_job_makes_several_pictures_then_they_share_steps_as_far_as_batches_go() -> None:
    curve = StepCurve(((1, 0.1), (4, 0.4)))
    capacity = Capacity(curve, {"source_encoder": 0.25, "vae_decoder": 0.5}, Execution.STEPWISE, 4, 8)
    one, two, eight = (forecast_seconds(reports(capacity), 10, 0, 0, 0, num_images=count) for count in (1, 2, 8))
    assert one == pytest.approx(10 * 0.1 + 0.75)
    # Encoded once, and decoded each; a step of both rows takes what two rows take.
    assert two == pytest.approx(10 * (0.2 + 0.75 / 10) + 0.75 + 0.5)
    assert eight == pytest.approx(10 * 2 * (0.4 + 3 * 0.75 / 10) + 0.75 + 7 * 0.5)


def test_forecast_when_rows_go_one_by_one_then_a_picture_more_takes_all_its_steps_more() -> None:
    capacity = Capacity(StepCurve(((1, 0.1),)), {}, Execution.STEPWISE, 1, 2, is_shortest_first=True)
    assert forecast_seconds(reports(capacity), 10, 0, 0, 0, num_images=8) == pytest.approx(8)
    assert forecast_seconds(reports(capacity), 10, 0, 80, 1, 5, is_running=True, num_images=8) == pytest.approx(4)


@pytest.mark.parametrize("execution", Execution)
def test_forecast_when_nothing_takes_time_then_zero(execution: Execution) -> None:
    capacity = Capacity(StepCurve(((1, 0.0),)), {}, execution, 1, 1)
    assert forecast_seconds(reports(capacity), 10, 100, 10, 1) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("ratios", [[], [3.0] * (MIN_RATIOS - 1)])
def test_eta_when_there_are_few_ratios_then_the_forecast_and_half_as_much_again(ratios: list[float]) -> None:
    promised = eta(10.0, ratios)
    assert (promised.p50_seconds, promised.p90_seconds) == (10.0, 15.0)


def test_eta_when_ratios_are_known_then_their_quantiles_scale_it() -> None:
    promised = eta(10.0, [number / 10 for number in range(20, -1, -1)])
    assert (promised.p50_seconds, promised.p90_seconds) == (pytest.approx(10.0), pytest.approx(18.0))


def test_eta_when_a_quantile_lies_between_two_ratios_then_on_the_line_through_both() -> None:
    promised = eta(1.0, [1.0] * 10 + [2.0] * 10)
    assert (promised.p50_seconds, promised.p90_seconds) == (1.5, 2.0)


def test_retry_after_when_jobs_end_rarely_then_when_the_next_one_does() -> None:
    # 40 row-steps a second.
    assert retry_after_seconds(reports(stepwise()), 2000, 10) == pytest.approx(5)


@pytest.mark.parametrize(("num_workers", "cost", "num_jobs"), [(0, 100, 2), (1, 0, 0), (1, 100, 10)])
def test_retry_after_when_unknown_or_soon_then_a_second(num_workers: int, cost: int, num_jobs: int) -> None:
    assert retry_after_seconds(reports(*[stepwise()] * num_workers), cost, num_jobs) == 1


def test_forecast_when_the_precision_is_low_then_its_steps_take_what_was_measured() -> None:
    low = replace(stepwise(vae_decoder=0.5), low_step_ratio=0.4)

    assert forecast_seconds(reports(low), 10, 0, 0, 0, is_low=True) == pytest.approx(10 * 0.1 * 0.4 + 0.5)
    assert forecast_seconds(reports(low), 10, 0, 0, 0) == pytest.approx(1.5)
    half_done = forecast_seconds(reports(low), 10, 0, 10, 1, steps_done=5, is_running=True, is_low=True)
    assert half_done == pytest.approx(5 * 0.1 * 0.4 + 0.5)
    assert forecast_seconds(reports(stepwise()), 10, 0, 0, 0, is_low=True) == pytest.approx(1), "no graph, no gain"


def test_forecast_when_there_is_a_low_decoder_then_a_job_counts_the_decoder_of_its_own_precision() -> None:
    both = stepwise(vae_decoder=0.5, vae_decoder_low=0.2, canet=0.1)

    usual = stepwise(vae_decoder=0.5, canet=0.1)

    exact, low = (forecast_seconds(reports(both), 10, 0, 0, 0, num_images=2, is_low=is_low) for is_low in (False, True))

    assert exact == forecast_seconds(reports(usual), 10, 0, 0, 0, num_images=2)
    assert low == pytest.approx(exact - 2 * (0.5 - 0.2))
    assert work_seconds(reports(both), 10, 1) == work_seconds(reports(usual), 10, 1)
