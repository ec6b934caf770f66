"""KEDA's two questions, asked of Prometheus' own evaluator: what they answer for a queue that is known."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deployment.cluster import rendered

QUERIES = {
    t["name"]: t["metadata"]["query"] for t in rendered("keda").of_kind("ScaledObject")["workers"]["spec"]["triggers"]
}
# Two gateways report one queue: 3 and 4 jobs wait, for 7 and 900 seconds; 2 run.
BY_PRIORITY = {
    'xmdpt_queue_depth{instance="%s", priority="interactive"}': 3,
    'xmdpt_queue_depth{instance="%s", priority="batch"}': 4,
    'xmdpt_queue_oldest_wait_seconds{instance="%s", priority="interactive"}': 7,
    'xmdpt_queue_oldest_wait_seconds{instance="%s", priority="batch"}': 900,
    'xmdpt_jobs_running{instance="%s"}': 2,
}


@pytest.mark.system
@pytest.mark.parametrize(
    ("query", "series", "expected"),
    [
        ("work", BY_PRIORITY, [9]),
        ("wait", BY_PRIORITY, [7]),
        # Nobody measures: an error for KEDA, and not an empty queue.
        ("work", {}, []),
        ("wait", {}, []),
    ],
)
def test_trigger_when_two_gateways_report_a_queue_then_it_counts_once_and_batches_may_wait(
    promtool: str, tmp_path: Path, query: str, series: dict[str, int], expected: list[int]
) -> None:
    inputs = [
        {"series": name % gateway, "values": f"{value}x10"} for name, value in series.items() for gateway in ("a", "b")
    ]
    asked = {
        "expr": QUERIES[query],
        "eval_time": "1m",
        "exp_samples": [{"labels": "{}", "value": value} for value in expected],
    }
    test = {"interval": "15s", "input_series": inputs, "promql_expr_test": [asked]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}))

    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
