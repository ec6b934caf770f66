"""The Kubernetes manifests as kustomize renders them: every overlay, every component, and the rules that hold for each.

For every rule a planted mistake shows that it can fail.
"""

import copy
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.kubernetes.prometheus_rule import OBJECT, as_object
from deploy.kubernetes.prometheus_rule import RULES as ALERT_RULES
from export.links import link_weights
from service.api import pages
from tests.deployment.artifacts import BUILDS, COMPOSE, IMAGE, KUBERNETES_DIR, OPENAPI_PATHS, PROJECT, ROOT, RULES
from tests.deployment.cluster import CHECKOUT, COMPONENTS, OVERLAYS, Cluster, container, pod_spec, rendered, rendered_by
from tests.deployment.cluster_hardening import weaknesses
from tests.deployment.cluster_rules import RULES as CLUSTER_RULES
from tests.deployment.cluster_rules import completeness
from tests.deployment.cluster_schemas import schema_mistakes
from tests.deployment.test_image import STAGES
from tests.deployment.tritons_repository import prepare

# What must stand before a component.
NEEDS = {"triton-on-cpu": ("triton",)}
ALL_DEVICES = ("gpu", "triton", "queue", "keys", "shared-files", "gateway-hpa", "monitoring", "keda", "ingress")
ALL_OUTSIDE = ("triton", "triton-on-cpu", "external-redis", "keys", "bucket", "gateway-hpa", "monitoring", "keda")
RENDERINGS = [
    *[(overlay,) for overlay in OVERLAYS],
    ("base",),
    *[(*NEEDS.get(component, ()), component) for component in COMPONENTS],
    ALL_DEVICES,
    ALL_OUTSIDE,
]
PAGE = (ROOT / "docs/kubernetes.md").read_text()
Change = Callable[[Cluster], object]


def changed(parts: tuple[str, ...], change: Change) -> Cluster:
    """A rendered cluster with a mistake."""
    cluster = copy.deepcopy(rendered(*parts))
    change(cluster)
    return cluster


def pod(cluster: Cluster, name: str) -> dict[str, Any]:
    return pod_spec(cluster.workloads[name])


def only(cluster: Cluster, name: str) -> dict[str, Any]:
    return container(cluster.workloads[name])


def variable(cluster: Cluster, workload: str, name: str) -> dict[str, Any]:
    return next(entry for entry in only(cluster, workload)["env"] if entry["name"] == name)


def spec(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    return cluster.of_kind(kind)[name]["spec"]


def drop(cluster: Cluster, kind: str, name: str) -> None:
    cluster.manifests.remove(cluster.of_kind(kind)[name])  # type: ignore[attr-defined]


def egress(cluster: Cluster, name: str) -> dict[str, Any]:
    return spec(cluster, "NetworkPolicy", name)["egress"][0]


@pytest.mark.parametrize("rule", CLUSTER_RULES)
@pytest.mark.parametrize("parts", RENDERINGS, ids="+".join)
def test_cluster_when_rendered_then_the_rule_holds(parts: tuple[str, ...], rule: str) -> None:
    assert list(CLUSTER_RULES[rule](rendered(*parts))) == []


@pytest.mark.parametrize("parts", [*[(overlay,) for overlay in OVERLAYS], ALL_DEVICES, ALL_OUTSIDE], ids="+".join)
def test_cluster_when_it_is_to_be_used_then_nothing_is_missing(parts: tuple[str, ...]) -> None:
    assert list(completeness(rendered(*parts))) == []


MISTAKES: list[tuple[str, Change]] = [
    ("schemas", lambda c: pod(c, "gateway").update(enableServiceLink=False)),
    ("schemas", lambda c: spec(c, "HorizontalPodAutoscaler", "gateway").update(maxReplica=3)),
    ("schemas", lambda c: spec(c, "ScaledObject", "workers").update(maxReplicas=3)),
    ("schemas", lambda c: spec(c, "ScaledObject", "workers")["triggers"][0].update(thresholds="1")),
    ("schemas", lambda c: spec(c, "ScaledObject", "workers").update(minReplicaCount="many")),
    ("schemas", lambda c: spec(c, "PodMonitor", "xmdpt")["podMetricsEndpoints"][0].update(ports="http")),
    ("schemas", lambda c: spec(c, "PrometheusRule", "xmdpt")["groups"][1]["rules"][0].pop("expr")),
    ("schemas", lambda c: spec(c, "Gateway", "edge")["listeners"][0].update(protocol="HTTP")),
    ("schemas", lambda c: spec(c, "HTTPRoute", "gateway")["rules"][0].update(timeout="0s")),
    ("schemas", lambda c: c.of_kind("HTTPRoute")["gateway"].update(kind="GRPCRoute")),
    ("hardening", lambda c: pod(c, "triton")["securityContext"].update(runAsUser=0)),
    ("hardening", lambda c: c.of_kind("Namespace")["xmdpt"]["metadata"].update(labels={})),
    ("names", lambda c: c.of_kind("Service")["gateway"]["metadata"].pop("namespace")),
    ("names", lambda c: drop(c, "PersistentVolumeClaim", "pictures")),
    ("names", lambda c: only(c, "gateway")["envFrom"][1]["secretRef"].update(name="passwords")),
    ("names", lambda c: drop(c, "ServiceAccount", "xmdpt")),
    (
        "names",
        lambda c: c.workloads["queue"]["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/part-of"),
    ),
    ("selection", lambda c: spec(c, "NetworkPolicy", "to-triton")["podSelector"]["matchLabels"].update(xmdpt="x")),
    ("selection", lambda c: spec(c, "Deployment", "worker")["selector"]["matchLabels"].pop("xmdpt-device")),
    ("selection", lambda c: spec(c, "Service", "gateway").update(selector={"app.kubernetes.io/name": "worker"})),
    ("selection", lambda c: drop(c, "PodDisruptionBudget", "worker")),
    ("images", lambda c: only(c, "worker-gpu").update(image=only(c, "worker")["image"])),
    ("images", lambda c: only(c, "gateway").update(image=only(c, "worker")["image"])),
    ("images", lambda c: only(c, "gateway").update(image=f"{IMAGE}-gateway-2")),
    ("images", lambda c: only(c, "worker").update(image=IMAGE)),
    ("images", lambda c: only(c, "worker-triton").update(image=only(c, "worker")["image"])),
    ("images", lambda c: only(c, "gateway").update(args=["all"])),
    ("images", lambda c: pod(c, "triton")["initContainers"][0].update(image=only(c, "worker")["image"])),
    ("settings", lambda c: c.settings.update(XMDPT_LOG_FORMATS="json")),
    ("settings", lambda c: c.settings.update(XMDPT_LOG_FORMAT="xml")),
    ("settings", lambda c: c.settings.update(LOG_FORMAT="json")),
    ("settings", lambda c: c.settings.update(XMDPT_GATEWAY__AUTH="off")),
    ("settings", lambda c: c.settings.update(XMDPT_WORKER__NUM_THREADS="4")),
    ("settings", lambda c: c.settings.update(REDIS_URL="redis://queue:6380/0")),
    ("settings", lambda c: variable(c, "worker-triton", "XMDPT_TRITON__URL").update(value="triton:8000")),
    ("settings", lambda c: only(c, "gateway")["volumeMounts"][0].update(mountPath="/pictures")),
    ("successors", lambda c: only(c, "worker-gpu")["env"].remove(variable(c, "worker-gpu", "XMDPT_WORKER__NAME"))),
    ("successors", lambda c: only(c, "worker").update(env=[{"name": "XMDPT_WORKER__NAME", "value": "one"}])),
    ("ports", lambda c: only(c, "worker")["livenessProbe"]["httpGet"].update(path="/healthz")),
    ("ports", lambda c: only(c, "triton")["readinessProbe"]["httpGet"].update(port="http")),
    ("ports", lambda c: only(c, "worker")["ports"][0].update(containerPort=8081)),
    ("ports", lambda c: spec(c, "Service", "triton")["ports"][0].update(targetPort="http")),
    ("routes", lambda c: spec(c, "HTTPRoute", "gateway")["rules"][0]["backendRefs"][0].update(port=80)),
    ("routes", lambda c: spec(c, "Gateway", "edge")["listeners"][0].update(hostname="other.example.org")),
    ("routes", lambda c: spec(c, "PodMonitor", "xmdpt")["podMetricsEndpoints"][1].update(port="metrics")),
    ("rollout", lambda c: spec(c, "Deployment", "gateway")["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
    ("rollout", lambda c: spec(c, "Deployment", "worker-gpu")["strategy"]["rollingUpdate"].update(maxSurge=1)),
    ("rollout", lambda c: pod(c, "worker").update(terminationGracePeriodSeconds=30)),
    ("rollout", lambda c: c.settings.update(XMDPT_WORKER__DRAIN_SECONDS="35")),
    ("rollout", lambda c: c.settings.update(XMDPT_GATEWAY__DRAIN_SECONDS="10")),
    ("rollout", lambda c: only(c, "gateway").pop("lifecycle")),
    ("rollout", lambda c: only(c, "gateway")["lifecycle"]["preStop"]["sleep"].update(seconds=5)),
    ("rollout", lambda c: only(c, "gateway")["lifecycle"]["preStop"]["sleep"].update(seconds=30)),
    ("rollout", lambda c: pod(c, "worker").pop("topologySpreadConstraints")),
    ("rollout", lambda c: pod(c, "triton").pop("tolerations")),
    ("scaling", lambda c: spec(c, "ScaledObject", "workers")["scaleTargetRef"].update(name="workers")),
    ("scaling", lambda c: spec(c, "ScaledObject", "workers")["scaleTargetRef"].update(name="worker-gpu")),
    ("scaling", lambda c: spec(c, "ScaledObject", "workers")["fallback"].update(replicas=11)),
    ("scaling", lambda c: spec(c, "HorizontalPodAutoscaler", "gateway").update(minReplicas=9)),
    ("scaling", lambda c: only(c, "gateway")["resources"]["requests"].pop("cpu")),
    ("scaling", lambda c: spec(c, "Deployment", "gateway").update(replicas=2)),
    (
        "queries",
        lambda c: spec(c, "ScaledObject", "workers")["triggers"][0]["metadata"].update(query="max(xmdpt_waits)"),
    ),
    ("queries", lambda c: spec(c, "ScaledObject", "workers")["triggers"][1]["metadata"].update(threshold="0")),
    ("queries", lambda c: spec(c, "PrometheusRule", "xmdpt")["groups"][1]["rules"][0].update(expr="xmdpt_downs > 0")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "to-queue")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "to-triton")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "triton")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "metrics")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "from-edge")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "to-names")),
    ("traffic", lambda c: drop(c, "NetworkPolicy", "default-deny")),
    ("traffic", lambda c: spec(c, "NetworkPolicy", "queue")["ingress"][0]["ports"][0].update(port=6380)),
    ("traffic", lambda c: spec(c, "NetworkPolicy", "queue")["ingress"][0].update({"from": [{"podSelector": {}}]})),
    ("traffic", lambda c: egress(c, "to-receivers")["to"][0]["ipBlock"]["except"].remove("10.0.0.0/8")),
    ("traffic", lambda c: spec(c, "NetworkPolicy", "to-receivers").update(podSelector={})),
    (
        "traffic",
        lambda c: spec(c, "NetworkPolicy", "gateway")["ingress"][0].update({"from": [{"namespaceSelector": {}}]}),
    ),
    ("policies", lambda c: drop(c, "NetworkPolicy", "default-deny")),
    ("policies", lambda c: egress(c, "to-queue").pop("ports")),
    ("policies", lambda c: egress(c, "to-queue").update(to=[{}])),
]


@pytest.mark.parametrize(("rule", "change"), MISTAKES, ids=[f"{rule}-{i}" for i, (rule, _) in enumerate(MISTAKES)])
def test_rule_when_a_mistake_is_planted_then_it_says_so(rule: str, change: Change) -> None:
    cluster = changed(ALL_DEVICES, change)

    assert list(CLUSTER_RULES[rule](cluster)) != []


def test_rules_when_counted_then_for_each_a_mistake_is_planted() -> None:
    assert {rule for rule, _ in MISTAKES} == CLUSTER_RULES.keys()


@pytest.mark.parametrize(
    ("parts", "change"),
    [
        (("small",), lambda c: drop(c, "StatefulSet", "queue")),
        (("cloud",), lambda c: drop(c, "NetworkPolicy", "to-redis")),
        (("cloud",), lambda c: c.settings.update(REDIS_URL="redis://queue:6379/0")),
        (("cloud",), lambda c: c.settings.pop("XMDPT_PICTURES__BUCKET")),
        (("small",), lambda c: c.settings.update(XMDPT_PICTURES__BUCKET="s3://xmdpt")),
        (("small",), lambda c: spec(c, "PersistentVolumeClaim", "pictures").update(accessModes=["ReadWriteOnce"])),
        (("small",), lambda c: pod(c, "worker")["volumes"][0].pop("persistentVolumeClaim")),
        (("small",), lambda c: c.settings.pop("XMDPT_GATEWAY__AUTH")),
    ],
)
def test_completeness_when_a_part_is_missing_or_doubled_then_it_says_so(parts: tuple[str, ...], change: Change) -> None:
    assert list(completeness(changed(parts, change))) != []


def test_completeness_when_a_component_with_workers_comes_after_the_files_then_it_says_so() -> None:
    cluster = rendered("queue", "keys", "shared-files", "gpu")

    assert list(completeness(cluster)) == ["worker-gpu: its pictures are not those of the others"]


@pytest.mark.parametrize(
    ("rule", "weaken"),
    [
        ("non-root", lambda p, _: p["securityContext"].update(runAsUser=0)),
        ("seccomp", lambda p, _: p["securityContext"].pop("seccompProfile")),
        ("escalation", lambda _, c: c["securityContext"].pop("allowPrivilegeEscalation")),
        ("capabilities", lambda _, c: c["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
        ("read-only root", lambda _, c: c["securityContext"].pop("readOnlyRootFilesystem")),
        ("read-only root", lambda p, _: p["initContainers"][0]["securityContext"].pop("readOnlyRootFilesystem")),
        ("token", lambda p, _: p.pop("automountServiceAccountToken")),
        ("service links", lambda p, _: p.pop("enableServiceLinks")),
        ("host", lambda p, _: p.update(hostNetwork=True)),
        ("volumes", lambda p, _: p["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
        ("emptyDir", lambda p, _: p["volumes"][-1].update(emptyDir={})),
        ("resources", lambda _, c: c["resources"]["limits"].pop("memory")),
        ("resources", lambda p, _: p["initContainers"][0]["resources"]["requests"].pop("cpu")),
        ("probes", lambda _, c: c.pop("livenessProbe")),
        ("grace", lambda p, _: p.update(terminationGracePeriodSeconds=20)),
        ("grace", lambda p, _: p.pop("terminationGracePeriodSeconds")),
        ("tag", lambda _, c: c.update(image="tritonserver")),
    ],
)
def test_hardening_check_when_a_workload_is_weakened_then_it_says_so(
    rule: str, weaken: Callable[[dict[str, Any], dict[str, Any]], object]
) -> None:
    weakened = copy.deepcopy(rendered("triton").workloads["triton"])
    weaken(pod_spec(weakened), container(weakened))

    assert weaknesses(weakened) == [rule]


def test_folder_when_looked_at_then_every_file_is_named_by_its_kustomization() -> None:
    unnamed = []
    for kustomization in KUBERNETES_DIR.rglob("kustomization.yaml"):
        read = yaml.safe_load(kustomization.read_text())
        named = {*read.get("resources", []), *[p["path"] for p in read.get("patches", []) if "path" in p]}
        unnamed += [p for p in kustomization.parent.glob("*.yaml") if p != kustomization and p.name not in named]

    assert unnamed == []


def test_components_when_listed_on_the_page_then_all_are_there() -> None:
    assert [name for name in [*COMPONENTS, *OVERLAYS] if f"| `{name}` |" not in PAGE] == []


def test_page_when_it_shows_an_overlay_then_it_keeps_the_rules_and_the_labels_are_added() -> None:
    overlay, labels, _ = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
    overlay["components"].append(f"{CHECKOUT}/components/monitoring")
    overlay["patches"] += labels

    cluster = rendered_by(overlay)

    assert [mistake for rule in CLUSTER_RULES.values() for mistake in rule(cluster)] == []
    assert list(completeness(cluster)) == []
    assert cluster.settings["XMDPT_QUEUE__MAX_LIVE"] == "5000"
    for kind in ("PodMonitor", "PrometheusRule"):
        assert "release" in cluster.of_kind(kind)["xmdpt"]["metadata"]["labels"]


def test_page_when_it_shows_a_pod_that_restores_then_it_may_run_and_finds_the_queues_disk() -> None:
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)[-1])
    queue = rendered("small").workloads["queue"]
    (claim,) = queue["spec"]["volumeClaimTemplates"]

    assert schema_mistakes(shown) == []
    assert shown["spec"]["securityContext"].items() <= pod_spec(queue)["securityContext"].items()
    (own,) = shown["spec"]["containers"]
    assert (own["image"], own["securityContext"]) == (container(queue)["image"], container(queue)["securityContext"])
    assert shown["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == f"{claim['metadata']['name']}-queue-0"


def test_secrets_when_looked_for_then_none_is_committed() -> None:
    kinds = {m["kind"] for parts in RENDERINGS for m in rendered(*parts).manifests}

    assert "Secret" not in kinds


def test_queue_when_read_then_it_runs_as_in_compose_and_only_once() -> None:
    cluster, queue = rendered("small"), COMPOSE["services"]["queue"]

    assert only(cluster, "queue")["image"] == queue["image"]
    assert only(cluster, "queue")["command"] + only(cluster, "queue")["args"] == queue["command"]
    assert spec(cluster, "StatefulSet", "queue")["replicas"] == 1


def test_alert_rules_when_they_are_an_object_then_they_are_those_that_are_tested() -> None:
    groups = spec(rendered("monitoring"), "PrometheusRule", "xmdpt")["groups"]

    assert OBJECT.read_text() == as_object(ALERT_RULES.read_text()), "python -m deploy.kubernetes.prometheus_rule"
    assert [rule for group in groups for rule in group["rules"]] == RULES


def test_route_when_a_path_is_asked_for_from_outside_then_only_health_and_metrics_are_missing() -> None:
    matches = spec(rendered("ingress"), "HTTPRoute", "gateway")["rules"][0]["matches"]
    prefixes = [m["path"]["value"] for m in matches if m["path"]["type"] == "PathPrefix"]
    exact = {m["path"]["value"] for m in matches if m["path"]["type"] == "Exact"}
    paths = OPENAPI_PATHS | {route.path for route in pages.router.routes}  # type: ignore[attr-defined]

    missing = {p for p in paths if p not in exact and not any(f"{p}/".startswith(f"{a}/") for a in prefixes)}

    assert missing == {"/metrics", "/livez", "/readyz", "/healthz"}


def test_overlay_with_gpus_when_rendered_then_keda_scales_them_and_no_worker_is_on_a_cpu() -> None:
    cluster = rendered("cloud-gpu")

    assert set(cluster.workloads) == {"gateway", "worker-gpu"}
    assert spec(cluster, "ScaledObject", "workers")["scaleTargetRef"]["name"] == "worker-gpu"


def test_page_when_it_builds_images_then_they_are_those_of_compose_and_one_for_gpus() -> None:
    lines = re.findall(r"^docker build -t (\S+) --target (\S+)(?: --build-arg EXTRA=(\S+))? \.$", PAGE, re.MULTILINE)

    assert {image: (target, extra or None) for image, target, extra in lines} == BUILDS
    assert {target for target, _ in BUILDS.values()} <= STAGES.keys()
    assert {extra for _, extra in BUILDS.values() if extra} <= PROJECT["optional-dependencies"].keys()


def test_overlay_when_it_names_a_registry_then_every_image_of_ours_is_from_there() -> None:
    for overlay in ("cloud", "cloud-gpu"):
        ours = [container(w)["image"] for w in rendered(overlay).workloads.values()]
        assert ours
        assert all(image.startswith("registry.example.org/xmdpt-serve:") for image in ours)


def test_tritons_repository_when_it_is_prepared_then_weights_lie_where_the_export_puts_them(tmp_path: Path) -> None:
    image, models, linked = tmp_path / "image", tmp_path / "models", tmp_path / "linked"
    for folder in (image, linked):
        shutil.copytree(ROOT / "model_repository", folder)
        # As the image has it: links to the weights stay outside.
        for link in folder.glob("*/1/*.safetensors"):
            link.unlink()
    models.mkdir()
    link_weights(linked)

    # Twice, as when the pod starts again.
    prepare(image, models)
    prepare(image, models)

    def weights(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in folder.rglob("*.safetensors")}

    assert weights(models) == weights(linked) != weights(image)
    (shared,) = models.glob("*.safetensors")
    assert all(path.samefile(shared) for path in models.rglob("*.safetensors"))


def test_triton_on_a_cpu_when_rendered_then_it_takes_the_cpus_configurations_and_no_gpu() -> None:
    cluster = rendered("triton", "triton-on-cpu")

    assert "--model-config-name=cpu" in only(cluster, "triton")["args"]
    assert "nvidia.com/gpu" not in yaml.safe_dump(cluster.workloads["triton"])
    assert list((ROOT / "model_repository").glob("*/configs/cpu.pbtxt"))
