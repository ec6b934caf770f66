"""The dashboards' shape, that they are what their module writes, and that each query is PromQL on real metrics."""

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from deploy.grafana.build import boards, text_of
from service.telemetry.metrics import GatewayMetrics, WorkerMetrics
from tests.deployment.artifacts import (
    DASHBOARDS,
    DASHBOARDS_DIR,
    OTHERS_METRICS,
    RATE_INTERVAL,
    ROOT,
    dashboard_targets,
    known_metrics,
    metrics_in,
    samples,
)

GRID_WIDTH = 24
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Constant, or of use only beside others.
NOT_SHOWN = {"xmdpt_build_info"}


def overlap(one: dict, other: dict) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def faults(dashboard: dict) -> list[str]:
    """What is wrong with a dashboard's shape."""
    everything = dashboard["panels"]
    panels = [panel for panel in everything if panel["type"] != "row"]
    places = [panel["gridPos"] for panel in everything]
    variables = {variable["name"]: variable["type"] for variable in dashboard["templating"]["list"]}
    ids = [panel["id"] for panel in everything]
    known = known_metrics() | OTHERS_METRICS
    rules = {
        "ids": len(set(ids)) == len(ids),
        "titles": len({panel["title"] for panel in panels}) == len(panels),
        "grid": all(p["x"] >= 0 and p["x"] + p["w"] <= GRID_WIDTH and p["w"] > 0 and p["h"] > 0 for p in places),
        "overlap": not any(overlap(one, other) for one, other in combinations(places, 2)),
        "variable": variables == {"datasource": "datasource"},
        "data source": all(
            part["datasource"] == DATA_SOURCE
            for panel in panels
            for part in (panel, *panel["targets"], *dashboard["annotations"]["list"])
        ),
        "unit": all(panel["fieldConfig"]["defaults"].get("unit") for panel in panels),
        "description": all(
            panel.get("description", "").endswith((".", ")")) and len(panel["description"]) > 10 for panel in panels
        ),
        "links": [(link["type"], link["tags"]) for link in dashboard["links"]] == [("dashboards", dashboard["tags"])],
        "references": all(
            len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0 for panel in panels
        ),
        "legends": all(target.get("legendFormat") for panel in panels for target in panel["targets"]),
        "metrics": all(
            metrics_in(target["expr"]) and metrics_in(target["expr"]) <= known
            for panel in panels
            for target in panel["targets"]
        ),
        # A fixed window is wrong at another zoom or scrape interval.
        "windows": not any(re.search(r"\[\d", target["expr"]) for panel in panels for target in panel["targets"]),
    }
    return [rule for rule, holds in rules.items() if not holds]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_when_read_then_its_shape_is_sound(name: str) -> None:
    assert faults(DASHBOARDS[name]) == []


def test_dashboards_when_listed_then_each_has_a_name_of_its_own_and_all_one_tag() -> None:
    assert {dashboard["uid"] for dashboard in DASHBOARDS.values()} == DASHBOARDS.keys()
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS) == 4
    assert {tag for dashboard in DASHBOARDS.values() for tag in dashboard["tags"]} == {"xmdpt"}


def test_dashboards_when_compared_with_their_module_then_they_are_what_it_writes() -> None:
    committed = {path.name: path.read_text() for path in DASHBOARDS_DIR.iterdir()}

    assert committed == {name: text_of(board) for name, board in boards().items()}, "python -m deploy.grafana.build"


def test_build_when_run_then_the_files_stay_as_they_are() -> None:
    before = {path: path.read_text() for path in DASHBOARDS_DIR.iterdir()}

    subprocess.run([sys.executable, "-m", "deploy.grafana.build"], cwd=ROOT, check=True)

    assert {path: path.read_text() for path in DASHBOARDS_DIR.iterdir()} == before


@pytest.mark.parametrize(
    ("rule", "spoil"),
    [
        ("ids", lambda d: d["panels"][1].update(id=d["panels"][0]["id"])),
        ("titles", lambda d: d["panels"][2].update(title=d["panels"][1]["title"])),
        ("grid", lambda d: d["panels"][-1]["gridPos"].update(w=25 - d["panels"][-1]["gridPos"]["x"])),
        ("overlap", lambda d: d["panels"][2]["gridPos"].update(x=d["panels"][1]["gridPos"]["x"] + 1)),
        ("variable", lambda d: d["templating"]["list"].clear()),
        ("data source", lambda d: d["panels"][1]["targets"][0].update(datasource={"uid": "fixed"})),
        ("data source", lambda d: d["annotations"]["list"][0].update(datasource={"uid": "fixed"})),
        ("unit", lambda d: d["panels"][1]["fieldConfig"]["defaults"].pop("unit")),
        ("description", lambda d: d["panels"][1].pop("description")),
        ("links", lambda d: d["links"].clear()),
        ("references", lambda d: d["panels"][-1]["targets"].append(d["panels"][-1]["targets"][0])),
        ("legends", lambda d: d["panels"][1]["targets"][0].pop("legendFormat")),
        ("metrics", lambda d: d["panels"][1]["targets"][0].update(expr="sum(xmdpt_job_total)")),
        ("metrics", lambda d: d["panels"][1]["targets"][0].update(expr="sum(nv_inference_requests)")),
        ("windows", lambda d: d["panels"][1]["targets"][0].update(expr="rate(xmdpt_jobs_total[5m])")),
    ],
)
def test_shape_check_when_a_dashboard_is_spoilt_then_it_says_so(rule: str, spoil: Callable[[dict], object]) -> None:
    spoilt = copy.deepcopy(DASHBOARDS["xmdpt-overview"])
    spoil(spoilt)

    assert faults(spoilt) == [rule]


def test_dashboards_when_read_then_every_metric_is_shown_somewhere() -> None:
    shown = set().union(*(metrics_in(expression) for _, _, expression in dashboard_targets()))
    registries = GatewayMetrics("0").registry, WorkerMetrics("0").registry

    unseen = {name for registry in registries for name in samples(registry)} - shown - NOT_SHOWN

    # Of a histogram one series is enough.
    endings = ("_bucket", "_sum", "_count")
    seen_parts = {name.rsplit("_", 1)[0] for name in shown if name.endswith(endings)}
    assert {name for name in unseen if not name.endswith(endings) or name.rsplit("_", 1)[0] not in seen_parts} == set()


@pytest.mark.system
def test_dashboard_query_when_parsed_by_promtool_then_it_is_promql(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{index}", "expr": expression.replace(RATE_INTERVAL, "1m")}
        for index, (_, _, expression) in enumerate(dashboard_targets())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
