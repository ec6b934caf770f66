"""The scrape configuration and the rules, checked by promtool, and all of it in a real Prometheus on a real service."""

import io
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import httpx
import pytest
import yaml
from PIL import Image

from tests.deployment.artifacts import (
    DASHBOARDS,
    OTHERS_METRICS,
    OUR_SCRAPES,
    PROMETHEUS_DIR,
    RULES,
    RUNBOOKS_DIR,
    dashboard_targets,
    known_metrics,
    metrics_in,
)
from tests.deployment.pictures import draw
from tests.deployment.traffic import Traffic, traffic
from tests.deployment.watching import RATE_WINDOW, alert_states, query, running_prometheus
from tests.integration.processes import RunningService, wait_until

ALERTS = [rule for rule in RULES if "alert" in rule]
SECTIONS = ["Meaning", "What callers see", "Look", "Do", "Escalate"]


def _read(name: str) -> str:
    return (PROMETHEUS_DIR / name).read_text()


@pytest.mark.system
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "xmdpt.rules.yml"],
        ["test", "rules", "xmdpt.rules.test.yml"],
        ["test", "rules", "xmdpt.slo.test.yml"],
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
    tests = [test for name in ("rules", "slo") for test in yaml.safe_load(_read(f"xmdpt.{name}.test.yml"))["tests"]]
    checks = [check for test in tests for check in test.get("alert_rule_test", [])]
    names = {rule["alert"] for rule in ALERTS}

    assert {check["alertname"] for check in checks if check["exp_alerts"]} == names
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == names


def test_runbooks_when_listed_then_each_alert_has_one_and_each_belongs_to_an_alert() -> None:
    linked = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in ALERTS}

    assert linked == {name: f"docs/runbooks/{name}.md" for name in linked}
    assert {path.stem for path in RUNBOOKS_DIR.glob("Xmdpt*.md")} == linked.keys()
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", (RUNBOOKS_DIR / "README.md").read_text(), re.MULTILINE)
    assert rows == [(rule["alert"], rule["alert"], rule["labels"]["severity"]) for rule in ALERTS]


@pytest.mark.parametrize("path", sorted(RUNBOOKS_DIR.glob("Xmdpt*.md")), ids=lambda path: path.stem)
def test_runbook_when_read_then_it_says_all_of_it_and_its_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    (rule,) = [rule for rule in ALERTS if rule["alert"] == path.stem]

    assert text.startswith(f"# {path.stem}\n")
    assert f"**{rule['labels']['severity']}**" in text
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", sorted(RUNBOOKS_DIR.glob("Xmdpt*.md")), ids=lambda path: path.stem)
def test_runbook_when_it_asks_prometheus_then_for_metrics_that_exist(path: Path) -> None:
    questions = re.findall(r"^```promql\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)

    assert questions
    assert all(metrics_in(question) and metrics_in(question) <= known_metrics() for question in questions)


@pytest.mark.system
def test_runbooks_when_their_questions_are_given_to_promtool_then_each_is_promql(promtool: str, tmp_path: Path) -> None:
    pages = [path.read_text() for path in RUNBOOKS_DIR.glob("Xmdpt*.md")]
    questions = [
        line
        for page in pages
        for block in re.findall(r"^```promql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    rules = [{"record": f"question:{number}", "expr": question} for number, question in enumerate(questions)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def clients(service: RunningService) -> Iterator[Traffic]:
    with traffic(service) as clients:
        yield clients


@pytest.fixture(scope="module")
def watched(prometheus: httpx.Client, clients: Traffic) -> httpx.Client:
    """Prometheus, once its figures show pictures, and a ratio that is recorded from them."""

    def shows_traffic() -> bool:
        clients.round()
        # Rates need two scrapes that differ.
        return all(
            any(value > 0 for value in query(prometheus, expression))
            for expression in (
                f'sum(rate(xmdpt_request_duration_seconds_count{{route="/generate", code="200"}}[{RATE_WINDOW}]))',
                "count(xmdpt:request_errors:ratio_rate5m >= 0)",
            )
        )

    wait_until(shows_traffic, 120, "Prometheus shows the traffic")
    return prometheus


@pytest.mark.system
def test_prometheus_when_it_scrapes_the_service_then_every_target_is_up(watched: httpx.Client) -> None:
    def are_all_up() -> bool:
        return all(query(watched, name) == [1.0] * len(OUR_SCRAPES) for name in ("up", "xmdpt_ready"))

    # One answer that comes too late for its scrape is a target that is down until the next one.
    wait_until(are_all_up, 60, "all targets are up")


def empty_panels(prometheus: httpx.Client) -> set[tuple[str, str]]:
    """Dashboard and title of those none of whose queries finds a figure."""
    found: dict[tuple[str, str], bool] = {}
    for board, title, expression in dashboard_targets():
        has_figures = any(math.isfinite(value) for value in query(prometheus, expression))
        found[board, title] = found.get((board, title), False) or has_figures
    return {panel for panel, has_figures in found.items() if not has_figures}


@pytest.mark.system
def test_dashboards_when_asked_under_traffic_then_every_panel_has_figures_but_those_of_triton_and_gpus(
    watched: httpx.Client, clients: Traffic
) -> None:
    of_others = {
        (board, title) for board, title, expression in dashboard_targets() if metrics_in(expression) & OTHERS_METRICS
    }

    # Recorded ratios come later than what they are made of, and rare events with the next round.
    give_up_at = time.monotonic() + 120
    while (empty := empty_panels(watched)) != of_others and time.monotonic() < give_up_at:
        clients.round()

    assert empty == of_others


@pytest.mark.system
def test_picture_when_a_dashboard_is_drawn_then_its_lines_are_in_it(watched: httpx.Client) -> None:
    board, now = DASHBOARDS["xmdpt-engine"], time.time()

    with_lines = draw(board["title"], board["panels"], watched, now - 10, now)
    without = draw(board["title"], board["panels"], watched, now - 3610, now - 3600)

    assert len(without) < len(with_lines) < 60_000
    with Image.open(io.BytesIO(with_lines)) as image:
        assert (image.format, image.mode) == ("PNG", "P")
        assert image.width > 900


@pytest.mark.system
def test_rules_when_evaluated_on_real_figures_then_all_are_healthy_and_none_fires(watched: httpx.Client) -> None:
    def evaluated() -> list[dict] | None:
        groups = watched.get("/api/v1/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return rules if all(rule["health"] != "unknown" for rule in rules) else None

    rules = wait_until(evaluated, 60, "every rule has been evaluated")

    assert len(rules) == len(RULES)
    assert {rule["health"] for rule in rules} == {"ok"}
    # A slow machine may make some pending.
    assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []


@pytest.mark.system
def test_alert_when_the_worker_is_stopped_then_it_is_pending_then_fires_and_ends_when_it_is_back(
    prometheus_program: str, service: RunningService, tmp_path: Path
) -> None:
    seen: list[str] = []

    def state() -> str:
        return alert_states(prometheus).get("XmdptNoWorker", "none")

    def is_seen(awaited: str) -> bool:
        seen.append(state())
        return seen[-1] == awaited

    def is_watched() -> bool:
        return query(prometheus, 'up{job="xmdpt-worker"}') == [1] and state() == "none"

    # Long enough to be looked at while it is pending.
    rules = re.sub(r"for: \d+[mh]", "for: 8s", _read("xmdpt.rules.yml"))
    with running_prometheus(prometheus_program, service, tmp_path, rules) as prometheus:
        # Before the first scrape there is no worker.
        wait_until(is_watched, 60, "all is well")
        seen.append("none")
        worker = service.child("worker")
        os.kill(worker, signal.SIGSTOP)
        try:
            wait_until(lambda: is_seen("firing"), 60, "it fires")
        finally:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: is_seen("none"), 60, "it ends")

    assert [state for state, _ in groupby(seen)] == ["none", "pending", "firing", "none"]
    wait_until(service.is_worker_ready, 60, "the worker goes on")
