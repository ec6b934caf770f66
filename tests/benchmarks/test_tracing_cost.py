"""The cost of traces is measured on real processes; no time is asserted."""

import pytest

from benchmarks.engine.tracing_cost import main


def test_tracing_cost_when_run_then_each_side_has_figures_of_gateway_and_worker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["--requests", "3", "--rounds", "1"])

    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| o")]
    assert [row[1].strip() for row in rows] == ["off", "on, none recorded", "on, all recorded"]
    assert all(float(figure) > 0 for row in rows for figure in row[2:4])
