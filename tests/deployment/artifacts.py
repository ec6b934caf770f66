"""The deployment's files, parsed once, and the names that they may use."""

import json
import re
import sys
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
DASHBOARDS_DIR = ROOT / "deploy/grafana/dashboards"
RUNBOOKS_DIR = ROOT / "docs/runbooks"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENGINES_DOCKERFILE = (ROOT / "deploy/tensorrt.Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS_DIR.glob("*.json"))}
SCRAPES = yaml.safe_load((PROMETHEUS_DIR / "prometheus.yml").read_text())["scrape_configs"]
OUR_SCRAPES = [scrape for scrape in SCRAPES if scrape["job_name"].startswith("xmdpt-")]
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS_DIR / "xmdpt.rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
OPENAPI_PATHS = set(json.loads((ROOT / "docs/openapi.json").read_text())["paths"])
OPS_PATHS = {"/livez", "/readyz", "/metrics"}
# Compose itself, as a package brings it.
DOCKER_COMPOSE = Path(sys.executable).parent / "docker-compose"
IMAGE = f"xmdpt-serve:{PROJECT['version']}"
# What each image of a role is built of: a target of the Dockerfile, and an extra. Compose has no worker-gpu.
BUILDS = {
    service["image"]: (service["build"]["target"], service["build"].get("args", {}).get("EXTRA"))
    for service in COMPOSE["services"].values()
    if "build" in service
} | {f"{IMAGE}-gpu": ("worker-gpu", None)}
# What others measure: Triton on its port for metrics, NVIDIA's DCGM exporter.
OTHERS_METRICS = {
    *("nv_inference_request_success", "nv_inference_request_failure", "nv_inference_count", "nv_inference_exec_count"),
    *("nv_inference_request_duration_us", "nv_inference_queue_duration_us", "nv_inference_compute_infer_duration_us"),
    "nv_inference_pending_request_count",
    *("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_DEV_FB_USED"),
    *("DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK"),
}
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
    return samples(GatewayMetrics("0").registry) | samples(WorkerMetrics("0").registry) | recorded | {"up", "ALERTS"}


def metrics_in(expression: str) -> set[str]:
    """The metric names of an expression: ours and others' begin alike; Prometheus adds `up` and `ALERTS`."""
    pattern = r"\bxmdpt[a-z0-9_:]*|\bnv_[a-z0-9_]*|\bDCGM_[A-Z0-9_]*|\bup\b|\bALERTS\b"
    return set(re.findall(pattern, re.sub(r'"[^"]*"', '""', expression)))


def dashboard_targets() -> Iterator[tuple[str, str, str]]:
    """Dashboard, panel title and expression of every query."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield name, panel["title"], target["expr"]
