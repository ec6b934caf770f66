"""A real Prometheus with this project's configuration and rules, on a real service, and what it is asked."""

import math
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

from tests.deployment.artifacts import OUR_SCRAPES, PROMETHEUS_DIR, RATE_INTERVAL
from tests.integration.processes import RunningService, free_port, wait_until

_PACE = "500ms"
# Of what is drawn: four scrapes fit into it.
_DRAWN_WINDOW = "10s"
# Of what is asked: a round of all calls and a look at every panel fit into it, also on a busy computer.
RATE_WINDOW = "60s"


@contextmanager
def running_prometheus(
    program: str, service: RunningService, folder: Path, rules: str | None = None
) -> Iterator[httpx.Client]:
    """The server until the block ends; scrapes and rules come twice a second, and other rules may be given."""
    config = yaml.safe_load((PROMETHEUS_DIR / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": _PACE, "scrape_timeout": _PACE, "evaluation_interval": _PACE}
    ports = {"xmdpt-gateway": service.port, "xmdpt-worker": service.ops_port}
    config["scrape_configs"] = [
        {"job_name": scrape["job_name"], "static_configs": [{"targets": [f"127.0.0.1:{ports[scrape['job_name']]}"]}]}
        for scrape in OUR_SCRAPES
    ]
    if rules is None:
        shutil.copy(PROMETHEUS_DIR / "xmdpt.rules.yml", folder)
    else:
        (folder / "xmdpt.rules.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address, log_path = f"127.0.0.1:{free_port()}", folder / "prometheus.log"
    command = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    with (
        log_path.open("w") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://{address}", timeout=60) as client,
    ):
        try:
            wait_until(lambda: _is_ready(client), 60, f"Prometheus is ready: {log_path}")
            yield client
        finally:
            process.kill()


def query(prometheus: httpx.Client, expression: str) -> list[float]:
    """The values of an instant query, which must be understood."""
    response = prometheus.get("/api/v1/query", params={"query": _of_grafana(expression, RATE_WINDOW)})
    assert response.status_code == httpx.codes.OK, response.text
    return [float(series["value"][1]) for series in response.json()["data"]["result"]]


def query_range(
    prometheus: httpx.Client, expression: str, start: float, end: float, step_seconds: float
) -> Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]:
    """Labels and finite (time, value) of each series."""
    arguments = {"query": _of_grafana(expression, _DRAWN_WINDOW), "start": start, "end": end, "step": step_seconds}
    response = prometheus.get("/api/v1/query_range", params=arguments)
    assert response.status_code == httpx.codes.OK, response.text
    return [
        (series["metric"], [(at, float(value)) for at, value in series["values"] if math.isfinite(float(value))])
        for series in response.json()["data"]["result"]
    ]


def alert_states(prometheus: httpx.Client) -> Mapping[str, str]:
    """Pending and firing alerts by name."""
    alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
    return {alert["labels"]["alertname"]: alert["state"] for alert in alerts}


def _of_grafana(expression: str, window: str) -> str:
    return expression.replace(RATE_INTERVAL, window)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
