"""What must hold in every rendered cluster, each rule a function that tells what breaks it.

Those of pods' rights are in `cluster_hardening`, of their images in `cluster_images`, of connections in
`cluster_network`, of the form of one object in `cluster_schemas`. That each can fail is shown in `test_kubernetes`.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, ip_network

import pytest

from service.bootstrap.http_server import GOODBYE_SECONDS
from service.domain.errors import ConfigurationError
from service.settings import PREFIX, Settings, load_settings
from tests.deployment.artifacts import OPENAPI_PATHS, OPS_PATHS, known_metrics, metrics_in
from tests.deployment.cluster import (
    NAME,
    OF_POD,
    Cluster,
    container,
    is_our_role,
    pod_labels,
    pod_spec,
    selectors,
)
from tests.deployment.cluster_hardening import PROBES, hardening
from tests.deployment.cluster_images import images
from tests.deployment.cluster_network import PORTS, policies, traffic
from tests.deployment.cluster_schemas import schema_mistakes

DEFAULTS = Settings.model_construct()
GPU = "nvidia.com/gpu"
# What the user makes; everything else that is named must be there.
SECRETS = {"redis", "bucket"}
CLUSTER_WIDE = {"Namespace"}
_MARGIN_SECONDS = 10
# From the end of the endpoint to SIGTERM: 5 s until every node knows, and a gateway's calls have waited as is usual.
_PAUSES = {"gateway": DEFAULTS.gateway.default_wait_seconds + 5, "triton": 5, "worker": 0}
_PROBE_PATHS = {
    "gateway": OPENAPI_PATHS,
    "worker": OPS_PATHS,
    # Of the V2 inference protocol.
    "triton": {"/v2/health/live", "/v2/health/ready"},
}
_JOBS = {"http": "xmdpt-gateway", "ops": "xmdpt-worker", "metrics": "triton"}


def schemas(cluster: Cluster) -> Iterator[str]:
    """Every object is what its kind allows."""
    for manifest in cluster.manifests:
        yield from schema_mistakes(manifest)


def names(cluster: Cluster) -> Iterator[str]:
    """Nothing lies outside of the namespace, and nothing is named that is not there."""
    (namespace,) = cluster.of_kind("Namespace")
    for manifest in cluster.manifests:
        if manifest["kind"] not in CLUSTER_WIDE and manifest["metadata"].get("namespace") != namespace:
            yield f"{manifest['kind']}/{manifest['metadata']['name']} is not in {namespace}"
    there = {
        "configMapRef": set(cluster.of_kind("ConfigMap")),
        "secretRef": SECRETS,
        "persistentVolumeClaim": set(cluster.of_kind("PersistentVolumeClaim")),
    }
    for name, workload in cluster.workloads.items():
        pod = pod_spec(workload)
        sources = [*container(workload).get("envFrom", []), *pod["volumes"]]
        for kind, reference in ((k, s[k]) for s in sources for k in there if k in s):
            if reference.get("name", reference.get("claimName")) not in there[kind]:
                yield f"{name}: no {kind} {reference}"
        if pod.get("serviceAccountName", "xmdpt") not in cluster.of_kind("ServiceAccount"):
            yield f"{name}: no service account"
        if pod_labels(workload).get("app.kubernetes.io/part-of") != "xmdpt-serve":
            yield f"{name}: not labelled as part of xmdpt-serve"


def selection(cluster: Cluster) -> Iterator[str]:
    """Whoever selects pods finds some; a workload, and what bears its name, no others."""
    for name, selector in selectors(cluster):
        if not cluster.selected(selector):
            yield f"{name} selects nothing"
    for name, workload in cluster.workloads.items():
        if cluster.selected(workload["spec"]["selector"]) != {name}:
            yield f"{name} does not select itself alone"
    for name, service in cluster.of_kind("Service").items():
        if cluster.selected({"matchLabels": service["spec"]["selector"]}) != {name}:
            yield f"Service/{name} does not select {name} alone"
    for name, workload in cluster.workloads.items():
        # A lone pod with its disk can't be replaced before it goes.
        is_protected = any(
            name in cluster.selected(budget["spec"]["selector"])
            for budget in cluster.of_kind("PodDisruptionBudget").values()
        )
        if workload["kind"] == "Deployment" and not is_protected:
            yield f"{name}: no disruption budget"


def settings(cluster: Cluster) -> Iterator[str]:
    """The service knows every variable and takes its value, needs keys, and has the cores it computes with."""
    for name, workload in cluster.workloads.items():
        if not is_our_role(workload):
            continue
        variables = cluster.variables(name)
        unknown = [v for v in variables if not v.startswith(PREFIX) and v != "REDIS_URL"]
        if unknown:
            yield f"{name}: {unknown} are no settings"
        with pytest.MonkeyPatch.context() as environment:
            for variable, value in variables.items():
                environment.setenv(variable, value)
            try:
                loaded = load_settings()
            except ConfigurationError as error:
                yield f"{name}: {error}"
                continue
        if loaded.gateway.auth == "off":
            yield f"{name}: everybody may call"
        only = container(workload)
        is_computing = pod_labels(workload)[NAME] == "worker" and loaded.backend == "onnx"
        if is_computing and only["resources"]["limits"].get("cpu") != str(loaded.worker.num_threads):
            yield f"{name}: its cores are not its threads"
        if {"name": "pictures", "mountPath": "/data"} not in only["volumeMounts"]:
            yield f"{name}: /data is not mounted"
        if loaded.backend == "triton" and loaded.triton.url not in _addresses(cluster, "triton"):
            yield f"{name}: nobody listens at {loaded.triton.url}"
        if loaded.redis_url and loaded.redis_url not in {f"redis://{a}/0" for a in _addresses(cluster, "queue")}:
            yield f"{name}: nobody listens at {loaded.redis_url}"


def _addresses(cluster: Cluster, service: str) -> set[str]:
    found = cluster.of_kind("Service").get(service, {"spec": {"ports": []}})
    return {f"{service}:{port['port']}" for port in found["spec"]["ports"]}


def successors(cluster: Cluster) -> Iterator[str]:
    """A worker has its pod's name, so that who follows in the pod takes its jobs over, and no other pod does."""
    wanted = {"name": f"{PREFIX}WORKER__NAME", "valueFrom": OF_POD}
    for name, workload in cluster.workloads.items():
        if pod_labels(workload)[NAME] == "worker" and wanted not in container(workload).get("env", []):
            yield f"{name}: not named after its pod"


def ports(cluster: Cluster) -> Iterator[str]:
    """Probes and Services name ports and paths that there are."""
    for name, workload in cluster.workloads.items():
        role, only = pod_labels(workload)[NAME], container(workload)
        own = {port["name"]: port["containerPort"] for port in only["ports"]}
        if own != PORTS[role]:
            yield f"{name}: {own} are not its ports"
        for probe in (only[probe]["httpGet"] for probe in PROBES if "httpGet" in only.get(probe, {})):
            if probe["path"] not in _PROBE_PATHS[role] or probe["port"] not in own:
                yield f"{name}: nothing answers {probe}"
    for name, service in cluster.of_kind("Service").items():
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        if not targets <= PORTS[name].keys():
            yield f"Service/{name}: no port {targets}"


def routes(cluster: Cluster) -> Iterator[str]:
    """Who comes from outside finds a gateway; Prometheus finds every process under the name that the rules know."""
    for route in cluster.of_kind("HTTPRoute").values():
        for backend in (backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"]):
            if f"{backend['name']}:{backend['port']}" not in _addresses(cluster, "gateway"):
                yield f"nobody listens at {backend}"
        for parent in route["spec"]["parentRefs"]:
            edge = cluster.of_kind("Gateway").get(parent["name"], {"spec": {"listeners": []}})
            listeners = {each["name"]: each["hostname"] for each in edge["spec"]["listeners"]}
            if [listeners.get(parent["sectionName"])] != route["spec"]["hostnames"]:
                yield f"no listener for {parent}"
    for monitor in cluster.of_kind("PodMonitor").values():
        scrapes = monitor["spec"]["podMetricsEndpoints"]
        jobs = {s["port"]: {r["targetLabel"]: r["replacement"] for r in s["relabelings"]}.get("job") for s in scrapes}
        if jobs != _JOBS or {scrape["path"] for scrape in scrapes} != {"/metrics"}:
            yield f"not scraped as the rules expect: {jobs}"


def rollout(cluster: Cluster) -> Iterator[str]:
    """A new version takes nothing away: gateways never fewer, everybody with time to end, spread over nodes."""
    for name, workload in cluster.workloads.items():
        if workload["kind"] != "Deployment":
            continue
        spec, pod, only = workload["spec"], pod_spec(workload), container(workload)
        has_gpu = GPU in only["resources"]["limits"]
        pause = only.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        # A GPU can't be doubled for a while, and a pod that is never ready would hold up the change for ever.
        wanted = {"maxSurge": 0, "maxUnavailable": 1} if has_gpu else {"maxSurge": 1, "maxUnavailable": 0}
        if spec["strategy"]["rollingUpdate"] != wanted and pod_labels(workload)[NAME] != "triton":
            yield f"{name}: rolls by {spec['strategy']}"
        if pod["terminationGracePeriodSeconds"] < pause + _drain_seconds(cluster, name) + _MARGIN_SECONDS:
            yield f"{name}: killed before it has drained"
        if pause < _PAUSES[pod_labels(workload)[NAME]]:
            yield f"{name}: stops before every node knows, or calls are answered"
        if [spread["topologyKey"] for spread in pod.get("topologySpreadConstraints", [])] != ["kubernetes.io/hostname"]:
            yield f"{name}: not spread over nodes"
        is_placed = bool(pod.get("nodeSelector")) and GPU in [each["key"] for each in pod.get("tolerations", [])]
        if has_gpu != is_placed:
            yield f"{name}: with a GPU {has_gpu}, on nodes that have one {is_placed}"


def _drain_seconds(cluster: Cluster, name: str) -> float:
    """From SIGTERM until a pod of it ends: a Triton is given as long as a worker."""
    variables = cluster.variables(name)
    if pod_labels(cluster.workloads[name])[NAME] == "gateway":
        own = float(variables.get("XMDPT_GATEWAY__DRAIN_SECONDS", DEFAULTS.gateway.drain_seconds))
        return own + GOODBYE_SECONDS
    return float(variables.get("XMDPT_WORKER__DRAIN_SECONDS", DEFAULTS.worker.drain_seconds))


def scaling(cluster: Cluster) -> Iterator[str]:
    """Whoever scales names a workload that is there, alone sets its replicas, and has bounds."""
    bounds = {
        "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas"),
        "ScaledObject": ("minReplicaCount", "maxReplicaCount"),
    }
    scaled = []
    for kind, (low, high) in bounds.items():
        for name, scaler in cluster.of_kind(kind).items():
            spec, target = scaler["spec"], scaler["spec"]["scaleTargetRef"]["name"]
            scaled.append(target)
            if target not in cluster.workloads:
                yield f"{name}: no {target} to scale"
            elif "cpu" not in container(cluster.workloads[target])["resources"]["requests"]:
                yield f"{name}: {target} asks for no CPU, of which to use a part"
            if not 0 <= spec[low] < spec[high]:
                yield f"{name}: from {spec[low]} to {spec[high]}"
            if kind == "ScaledObject" and spec["fallback"]["replicas"] > spec[high]:
                yield f"{name}: falls back to more than there may be"
    for name, workload in cluster.workloads.items():
        if ("replicas" in workload["spec"]) == (name in scaled):
            yield f"{name}: its replicas are set {'twice' if name in scaled else 'by nobody'}"
        if name in scaled and workload["kind"] == "StatefulSet":
            yield f"{name}: each of them would be a queue of its own"


def queries(cluster: Cluster) -> Iterator[str]:
    """Triggers and rules ask for what is measured."""
    known = known_metrics()
    triggers = [t["metadata"] for s in cluster.of_kind("ScaledObject").values() for t in s["spec"]["triggers"]]
    groups = [g for rule in cluster.of_kind("PrometheusRule").values() for g in rule["spec"]["groups"]]
    expressions = [t["query"] for t in triggers] + [rule["expr"] for g in groups for rule in g["rules"]]
    for expression in expressions:
        found = metrics_in(expression)
        if not found or found - known:
            yield f"{expression}: {found - known or 'nothing'} is measured by nobody"
    for trigger in triggers:
        if float(trigger["threshold"]) <= 0 or not re.fullmatch(r"https?://[a-z.-]+:\d+", trigger["serverAddress"]):
            yield f"{trigger} is no trigger"


def completeness(cluster: Cluster) -> Iterator[str]:
    """For what is to be used: one queue, one place for pictures that all pods share, and a key that is asked for."""
    outside = IPv4Network("10.0.0.0/8")
    blocks = [
        ip_network(peer["ipBlock"]["cidr"])
        for policy in cluster.of_kind("NetworkPolicy").values()
        for rule in policy["spec"].get("egress", [])
        if {"port": 6379, "protocol": "TCP"} in rule["ports"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    has_outer_queue = any(isinstance(block, IPv4Network) and block.subnet_of(outside) for block in blocks)
    if has_outer_queue in ("queue" in cluster.workloads, "REDIS_URL" in cluster.settings):
        yield "not one queue"
    shared = cluster.of_kind("PersistentVolumeClaim").get("pictures")
    if (shared is not None) == ("XMDPT_PICTURES__BUCKET" in cluster.settings):
        yield "not one place for pictures"
    if shared and shared["spec"]["accessModes"] != ["ReadWriteMany"]:
        yield "not every pod can write pictures"
    for name, workload in cluster.workloads.items():
        volumes = {volume["name"]: volume for volume in pod_spec(workload)["volumes"]}
        if is_our_role(workload) and ("persistentVolumeClaim" in volumes["pictures"]) != (shared is not None):
            yield f"{name}: its pictures are not those of the others"
    if cluster.settings.get("XMDPT_GATEWAY__AUTH") != "keys":
        yield "gateways wait for a key before they start"


RULES: dict[str, Callable[[Cluster], Iterator[str]]] = {
    rule.__name__: rule
    for rule in (
        schemas,
        hardening,
        names,
        selection,
        images,
        settings,
        successors,
        ports,
        routes,
        rollout,
        scaling,
        queries,
        traffic,
        policies,
    )
}
