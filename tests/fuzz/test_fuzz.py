"""Some time of schemathesis over every operation: all checks, all phases."""

from pathlib import Path

from tests.fuzz.run import run_fuzz

# Long runs look for more: `make soak`.
SEED = 2


def test_api_when_it_is_called_in_every_way_then_it_answers_as_described(tmp_path: Path) -> None:
    run = run_fuzz(tmp_path, 40, SEED)

    assert run.status == 0, run.report
    assert run.num_server_errors == 0
    assert "Stateful" in run.report, "it has come to its last phase"
