"""The load scenarios against a real service, for as long as it takes to see each of them work."""

import csv
import subprocess
import sys
from pathlib import Path

from tests.deployment.artifacts import ROOT
from tests.integration.processes import RunningService, free_port

LOCUST = Path(sys.executable).parent / "locust"


def test_locust_when_run_against_the_service_then_every_scenario_succeeds(
    service: RunningService, tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            *(LOCUST, "-f", "loadtests/locustfile.py", "--headless", "--only-summary", "--csv", tmp_path / "figures"),
            *("--users", "4", "--spawn-rate", "4", "--rate", "2", "--run-time", "8s", "--stop-timeout", "30"),
            *("--host", f"http://127.0.0.1:{service.port}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    with (tmp_path / "figures_stats.csv").open() as file:
        figures = {row["Name"]: row for row in csv.DictReader(file)}
    scenarios = {"generate": "/generate, ", "job": "submit to picture, "}
    counts = {
        scenario: sum(int(row["Request Count"]) for name, row in figures.items() if name.startswith(prefix))
        for scenario, prefix in scenarios.items()
    }

    # Locust exits 1 if any request failed.
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["Failure Count"] for row in figures.values()} == {"0"}
    assert all(count > 0 for count in counts.values()), counts


def test_locust_when_the_service_is_away_then_it_fails(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(LOCUST, "-f", "loadtests/locustfile.py", "--headless", "--only-summary"),
            *("--users", "4", "--spawn-rate", "4", "--run-time", "1s", "--host", f"http://127.0.0.1:{free_port()}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "not accepted: 0" in done.stderr
