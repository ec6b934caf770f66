"""The dashboard's shape, and that each query names metrics which exist and parses as PromQL."""

import copy
import re
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from tests.deployment.artifacts import (
    DASHBOARD,
    RATE_INTERVAL,
    dashboard_targets,
    known_metrics,
    metrics_in,
)

GRID_WIDTH = 24
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# What a person on call looks for first.
NEEDED_METRICS = {
    "xmdpt_request_duration_seconds_bucket",
    "xmdpt_stage_duration_seconds_bucket",
    "xmdpt_queue_depth",
    "xmdpt_queue_oldest_wait_seconds",
    "xmdpt_step_batch_rows_sum",
    "xmdpt_jobs_total",
    "xmdpt_redis_errors_total",
}


def overlap(one: dict, other: dict) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def faults(dashboard: dict) -> list[str]:
    """What is wrong with a dashboard's shape."""
    panels = dashboard["panels"]
    places = [panel["gridPos"] for panel in panels]
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    ids = [panel["id"] for panel in panels]
    rules = {
        "ids": len(set(ids)) == len(ids),
        "titles": len({panel["title"] for panel in panels}) == len(panels),
        "grid": all(p["x"] >= 0 and p["x"] + p["w"] <= GRID_WIDTH and p["w"] > 0 and p["h"] > 0 for p in places),
        "overlap": not any(overlap(one, other) for one, other in combinations(places, 2)),
        "variable": variables == {"datasource": "datasource"},
        "data source": all(
            part["datasource"] == DATA_SOURCE for panel in panels for part in (panel, *panel["targets"])
        ),
        "unit": all(panel["fieldConfig"]["defaults"].get("unit") for panel in panels),
        "description": all(len(panel.get("description", "")) > 20 for panel in panels),
        "references": all(
            len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0 for panel in panels
        ),
        "legends": all(target.get("legendFormat") for panel in panels for target in panel["targets"]),
        "metrics": all(
            metrics_in(target["expr"]) and metrics_in(target["expr"]) <= known_metrics()
            for panel in panels
            for target in panel["targets"]
        ),
        # A fixed window is wrong at another zoom or scrape interval.
        "windows": not any(re.search(r"\[\d", target["expr"]) for panel in panels for target in panel["targets"]),
    }
    return [rule for rule, holds in rules.items() if not holds]


def test_dashboard_when_read_then_its_shape_is_sound() -> None:
    assert faults(DASHBOARD) == []


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("ids", lambda d: d["panels"][1].update(id=d["panels"][0]["id"])),
        ("titles", lambda d: d["panels"][1].update(title=d["panels"][0]["title"])),
        ("grid", lambda d: d["panels"][-1]["gridPos"].update(w=25 - d["panels"][-1]["gridPos"]["x"])),
        ("overlap", lambda d: d["panels"][1]["gridPos"].update(x=d["panels"][0]["gridPos"]["x"] + 1)),
        ("variable", lambda d: d["templating"]["list"].clear()),
        ("data source", lambda d: d["panels"][0]["targets"][0].update(datasource={"uid": "fixed"})),
        ("unit", lambda d: d["panels"][0]["fieldConfig"]["defaults"].pop("unit")),
        ("description", lambda d: d["panels"][0].pop("description")),
        ("references", lambda d: d["panels"][4]["targets"][1].update(refId="A")),
        ("legends", lambda d: d["panels"][0]["targets"][0].pop("legendFormat")),
        ("metrics", lambda d: d["panels"][0]["targets"][0].update(expr="sum(xmdpt_job_total)")),
        ("windows", lambda d: d["panels"][0]["targets"][0].update(expr="rate(xmdpt_jobs_total[5m])")),
    ],
)
def test_shape_check_when_a_dashboard_is_spoilt_then_it_says_so(rule: str, spoil: Callable[[dict], object]) -> None:
    spoilt = copy.deepcopy(DASHBOARD)
    spoil(spoilt)

    assert faults(spoilt) == [rule]


def test_dashboard_when_read_then_it_shows_what_is_needed() -> None:
    shown = set().union(*(metrics_in(expression) for _, expression in dashboard_targets()))

    assert shown >= NEEDED_METRICS
    for quantile in ("0.5", "0.95", "0.99"):
        assert any(
            f"histogram_quantile({quantile}, sum by (route, le)" in expression for _, expression in dashboard_targets()
        )


@pytest.mark.system
def test_dashboard_query_when_parsed_by_promtool_then_it_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{index}", "expr": expression.replace(RATE_INTERVAL, "1m")}
        for index, (_, expression) in enumerate(dashboard_targets())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
