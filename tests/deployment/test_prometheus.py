"""The scrape configuration and the rules, checked by promtool, and all of it in a real Prometheus on a real service."""

import math
import subprocess

import httpx
import pytest
import yaml

from tests.deployment.artifacts import (
    PROMETHEUS_DIR,
    RATE_INTERVAL,
    RULES,
    SCRAPES,
    dashboard_targets,
    known_metrics,
    metrics_in,
)
from tests.integration.processes import EXAMPLES, RunningService, multipart, wait_until

ALERTS = [rule for rule in RULES if "alert" in rule]


@pytest.mark.system
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "xmdpt.rules.yml"],
        ["test", "rules", "xmdpt.rules.test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_files_when_given_to_promtool_then_it_accepts_them(promtool: str, arguments: list[str]) -> None:
    done = subprocess.run([promtool, *arguments], cwd=PROMETHEUS_DIR, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("record") or rule["alert"])
def test_rule_when_read_then_its_metrics_exist(rule: dict) -> None:
    used = metrics_in(rule["expr"])

    assert used
    assert used <= known_metrics()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_alert_when_read_then_it_tells_how_bad_it_is_and_what_to_do(rule: dict) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


def test_alerts_when_read_then_each_is_tested_to_fire_and_not_to_fire() -> None:
    tests = yaml.safe_load((PROMETHEUS_DIR / "xmdpt.rules.test.yml").read_text())["tests"]
    checks = [check for test in tests for check in test.get("alert_rule_test", [])]
    names = {rule["alert"] for rule in ALERTS}

    assert {check["alertname"] for check in checks if check["exp_alerts"]} == names
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == names


@pytest.fixture(scope="module")
def watched(prometheus: httpx.Client, service: RunningService) -> httpx.Client:
    """Prometheus, once its figures show pictures and refused requests."""
    photo, pose = (EXAMPLES / "person.png").read_bytes(), (EXAMPLES / "pose.json").read_bytes()
    fields = multipart(photo, pose, {"steps": 10}) | {"headers": {"Prefer": "wait=60"}}
    fields["files"]["pose"] = ("pose.json", pose, "application/json")

    def shows_traffic() -> bool:
        assert service.client.post("/generate", **fields).status_code == httpx.codes.OK
        assert service.client.post("/generate", files={"source": b"x"}).is_client_error
        # Rates need two scrapes that differ.
        return all(
            any(value > 0 for value in query(prometheus, expression))
            for expression in (
                "sum(rate(xmdpt_jobs_total[1m]))",
                "sum(rate(xmdpt_input_rejected_total[1m]))",
                "sum(rate(xmdpt_finish_total[1m]))",
                'sum(rate(xmdpt_request_duration_seconds_count{route="/generate", code="200"}[1m]))',
                "count(xmdpt:request_errors:ratio_rate5m >= 0)",
            )
        )

    wait_until(shows_traffic, 30, "Prometheus shows the traffic")
    return prometheus


def query(prometheus: httpx.Client, expression: str) -> list[float]:
    """The values of an instant query, which must be understood."""
    response = prometheus.get("/api/v1/query", params={"query": expression})
    assert response.status_code == httpx.codes.OK, response.text
    return [float(series["value"][1]) for series in response.json()["data"]["result"]]


@pytest.mark.system
def test_prometheus_when_it_scrapes_the_service_then_every_target_is_up(watched: httpx.Client) -> None:
    assert query(watched, "up") == [1.0] * len(SCRAPES)
    assert query(watched, "xmdpt_ready") == [1.0] * len(SCRAPES)


@pytest.mark.system
@pytest.mark.parametrize(("title", "expression"), list(dashboard_targets()))
def test_dashboard_query_when_asked_under_traffic_then_it_has_figures(
    watched: httpx.Client, title: str, expression: str
) -> None:
    values = query(watched, expression.replace(RATE_INTERVAL, "1m"))

    assert [value for value in values if math.isfinite(value)], title


@pytest.mark.system
def test_rules_when_evaluated_on_real_figures_then_all_are_healthy_and_none_fires(watched: httpx.Client) -> None:
    def evaluated() -> list[dict] | None:
        groups = watched.get("/api/v1/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = wait_until(evaluated, 10, "every rule has been evaluated")

    assert len(rules) == len(RULES)
    assert {rule["health"] for rule in rules} == {"ok"}
    assert [rule["name"] for rule in rules if rule.get("state", "inactive") != "inactive"] == []
