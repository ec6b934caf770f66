"""What a worker says of its work, report by report."""

from service.domain.capacity import Activity
from service.engine.tally import Tally


def test_tally_when_nothing_has_been_done_then_it_says_so() -> None:
    assert Tally().report(0) == Activity(0, 0.0, 0)


def test_tally_when_steps_were_taken_then_their_mean_rows_are_reported_once() -> None:
    tally = Tally()
    tally.count_steps(num_rows=4, num_steps=1)
    tally.count_steps(num_rows=1, num_steps=2)

    assert tally.report(1) == Activity(1, 2.0, 0)
    assert tally.report(0) == Activity(0, 0.0, 0)


def test_tally_when_a_loop_outlasts_a_report_then_the_rows_of_the_last_one_stand() -> None:
    tally = Tally()
    tally.count_steps(num_rows=3, num_steps=50)

    assert [tally.report(3).rows_per_step for _ in range(2)] == [3.0, 3.0]


def test_tally_when_pictures_were_delivered_then_they_stay_counted() -> None:
    tally = Tally()
    tally.count_pictures(2)
    tally.count_pictures(3)

    assert [tally.report(0).num_pictures for _ in range(2)] == [5, 5]
