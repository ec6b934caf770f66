"""The deployment's files, parsed once, and the names that they may use."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from service.settings import Settings
from service.telemetry.metrics import GatewayMetrics, WorkerMetrics

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS_DIR = ROOT / "deploy/prometheus"
KUBERNETES_DIR = ROOT / "deploy/kubernetes"
PROVISIONING_DIR = ROOT / "deploy/grafana/provisioning"
DASHBOARD_PATH = ROOT / "deploy/grafana/dashboards/xmdpt.json"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENGINES_DOCKERFILE = (ROOT / "deploy/tensorrt.Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DASHBOARD = json.loads(DASHBOARD_PATH.read_text())
SCRAPES = yaml.safe_load((PROMETHEUS_DIR / "prometheus.yml").read_text())["scrape_configs"]
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS_DIR / "xmdpt.rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
OPENAPI_PATHS = set(json.loads((ROOT / "docs/openapi.json").read_text())["paths"])
OPS_PATHS = {"/livez", "/readyz", "/metrics"}
IMAGE = f"xmdpt-serve:{PROJECT['version']}"
# Grafana's own variable, which no server knows.
RATE_INTERVAL = "$__rate_interval"


def setting_names() -> set[str]:
    """Every environment variable that the service reads."""
    names = set()
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"XMDPT_{name.upper()}")
        if isinstance(field.default, BaseModel):
            names |= {f"{variable}__{inner.upper()}" for inner in type(field.default).model_fields}
        else:
            names.add(variable)
    return names


def samples(registry: CollectorRegistry) -> set[str]:
    """Every name that a query can use, whether or not a labelled instrument has a sample yet."""
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    return {family.name + ending for family in registry.collect() for ending in endings[family.type]}


def known_metrics() -> set[str]:
    """What the processes measure, what the rules record, and what Prometheus adds."""
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    return samples(GatewayMetrics("0").registry) | samples(WorkerMetrics("0").registry) | recorded | {"up"}


def metrics_in(expression: str) -> set[str]:
    """The metric names of an expression: ours all begin alike, and `up` is the only other one."""
    return set(re.findall(r"\bxmdpt[a-z0-9_:]*|\bup\b", re.sub(r'"[^"]*"', '""', expression)))


def dashboard_targets() -> Iterator[tuple[str, str]]:
    """Panel title and expression of every query."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
