"""The Kubernetes manifests: schema-valid, restricted, and in step with each other, the settings and the routes."""

import copy
from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network

import kubernetes_validate
import pytest

from service.settings import Settings
from tests.deployment.artifacts import (
    COMPOSE,
    IMAGE,
    KUBERNETES_DIR,
    KUSTOMIZATION,
    MANIFESTS,
    OPENAPI_PATHS,
    OPS_PATHS,
    WORKLOADS,
    manifests,
    setting_names,
)

KUBERNETES_VERSION = "1.37"
NAME_LABEL = "app.kubernetes.io/name"
PROBES = ["startupProbe", "livenessProbe", "readinessProbe"]
DEFAULTS = Settings.model_construct()


def container(workload: dict) -> dict:
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return only


def weaknesses(workload: dict) -> list[str]:
    """What a workload lacks of the restricted Pod Security Standard and of our own rules."""
    pod, only = workload["spec"]["template"]["spec"], container(workload)
    context, own = pod.get("securityContext", {}), only.get("securityContext", {})
    claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"] for mount in only["volumeMounts"]}
    rules = {
        "non-root": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
        "seccomp": context.get("seccompProfile") == {"type": "RuntimeDefault"},
        "escalation": own.get("allowPrivilegeEscalation") is False and not own.get("privileged"),
        "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "read-only root": own.get("readOnlyRootFilesystem") is True,
        "token": pod.get("automountServiceAccountToken") is False,
        # They would be variables XMDPT_..., which the service refuses as unknown settings.
        "service links": pod.get("enableServiceLinks") is False,
        "host": not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
        "volumes": mounts == volumes.keys() | claims
        and all(v.keys() & {"emptyDir", "persistentVolumeClaim"} for v in volumes.values()),
        "emptyDir": all("sizeLimit" in v.get("emptyDir", {"sizeLimit": 0}) for v in volumes.values()),
        "resources": "memory" in only["resources"]["limits"]
        and only["resources"]["requests"].keys() == {"cpu", "memory"},
        "probes": all(probe in only for probe in PROBES),
        "grace": pod.get("terminationGracePeriodSeconds") == 40,
        "tag": ":" in only["image"] and not only["image"].endswith(":latest"),
    }
    return [rule for rule, holds in rules.items() if not holds]


def selectors() -> Iterator[tuple[str, dict]]:
    """Whatever selects pods of this namespace, with its name."""
    for manifest in MANIFESTS:
        name, spec = f"{manifest['kind']}/{manifest['metadata']['name']}", manifest.get("spec", {})
        if manifest["kind"] == "Service":
            yield name, {"matchLabels": spec["selector"]}
        elif manifest["kind"] == "NetworkPolicy":
            yield name, spec["podSelector"]
            peers = [peer for rule in spec.get("ingress", []) for peer in rule["from"]]
            peers += [peer for rule in spec.get("egress", []) for peer in rule["to"]]
            for peer in peers:
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield name, peer["podSelector"]
        elif "selector" in spec:
            yield name, spec["selector"]


def selected(selector: dict) -> set[str]:
    """Names of the workloads whose pods it selects."""
    found = set()
    for name, workload in WORKLOADS.items():
        labels = workload["spec"]["template"]["metadata"]["labels"]
        equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
        among = all(
            e["operator"] == "In" and labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", [])
        )
        if equal and among:
            found.add(name)
    return found


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda m: f"{m['kind']}/{m['metadata']['name']}")
def test_manifest_when_compared_with_the_strict_schema_then_it_is_valid(manifest: dict) -> None:
    assert kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True) == KUBERNETES_VERSION


def test_schema_check_when_a_field_is_misspelt_then_it_refuses() -> None:
    misspelt = copy.deepcopy(WORKLOADS["gateway"])
    misspelt["spec"]["template"]["spec"]["enableServiceLink"] = False

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, KUBERNETES_VERSION, strict=True)


def test_kustomization_when_read_then_it_names_every_manifest() -> None:
    files = {path.name for path in KUBERNETES_DIR.glob("*.yaml")} - {"kustomization.yaml"}

    assert set(KUSTOMIZATION["resources"]) == files
    assert KUSTOMIZATION["namespace"] in manifests("Namespace")
    assert all("namespace" not in manifest["metadata"] for manifest in MANIFESTS)


def test_namespace_when_read_then_it_enforces_the_restricted_standard() -> None:
    (namespace,) = manifests("Namespace").values()
    labels = namespace["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload_when_read_then_it_is_hardened(name: str) -> None:
    assert weaknesses(WORKLOADS[name]) == []


@pytest.mark.parametrize(
    ("rule", "weaken"),
    [
        ("non-root", lambda pod, _: pod["securityContext"].update(runAsUser=0)),
        ("seccomp", lambda pod, _: pod["securityContext"].pop("seccompProfile")),
        ("escalation", lambda _, only: only["securityContext"].pop("allowPrivilegeEscalation")),
        ("capabilities", lambda _, only: only["securityContext"]["capabilities"].update(add=["SYS_ADMIN"])),
        ("read-only root", lambda _, only: only["securityContext"].pop("readOnlyRootFilesystem")),
        ("token", lambda pod, _: pod.pop("automountServiceAccountToken")),
        ("service links", lambda pod, _: pod.pop("enableServiceLinks")),
        ("host", lambda pod, _: pod.update(hostNetwork=True)),
        ("volumes", lambda pod, _: pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
        ("emptyDir", lambda pod, _: pod["volumes"][-1].update(emptyDir={})),
        ("resources", lambda _, only: only["resources"]["limits"].pop("memory")),
        ("probes", lambda _, only: only.pop("livenessProbe")),
        ("grace", lambda pod, _: pod.update(terminationGracePeriodSeconds=20)),
        ("tag", lambda _, only: only.update(image="xmdpt-serve")),
    ],
)
def test_hardening_check_when_a_workload_is_weakened_then_it_says_so(
    rule: str, weaken: Callable[[dict, dict], object]
) -> None:
    weakened = copy.deepcopy(WORKLOADS["gateway"])
    weaken(weakened["spec"]["template"]["spec"], container(weakened))

    assert weaknesses(weakened) == [rule]


@pytest.mark.parametrize("name", WORKLOADS)
def test_selector_when_it_is_a_workloads_own_then_it_selects_that_workload_alone(name: str) -> None:
    assert selected(WORKLOADS[name]["spec"]["selector"]) == {name}


@pytest.mark.parametrize(("name", "selector"), list(selectors()))
def test_selector_when_it_selects_pods_then_there_are_such_pods(name: str, selector: dict) -> None:
    assert selected(selector) != set(), name


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_selector_when_the_object_bears_a_workloads_name_then_it_selects_it(kind: str) -> None:
    for name, manifest in manifests(kind).items():
        selector = manifest["spec"]["selector"]
        assert selected(selector if kind == "PodDisruptionBudget" else {"matchLabels": selector}) == {name}


@pytest.mark.parametrize("name", ["gateway", "worker"])
def test_workload_when_it_is_ours_then_it_runs_our_image_in_its_role(name: str) -> None:
    only = container(WORKLOADS[name])
    (port,) = only["ports"]

    assert only["image"] == IMAGE
    assert only["args"] == [name]
    assert only["envFrom"] == [{"configMapRef": {"name": "settings"}}]
    assert port["containerPort"] == {"gateway": DEFAULTS.gateway.port, "worker": DEFAULTS.worker.ops_port}[name]
    assert {"name": "pictures", "mountPath": "/data"} in only["volumeMounts"]
    assert WORKLOADS[name]["spec"]["template"]["spec"]["securityContext"]["runAsUser"] == 10001


@pytest.mark.parametrize(("name", "paths"), [("gateway", OPENAPI_PATHS), ("worker", OPS_PATHS)])
def test_probe_when_sent_then_its_path_and_port_exist(name: str, paths: set[str]) -> None:
    only = container(WORKLOADS[name])
    requests = {probe: only[probe]["httpGet"] for probe in PROBES}

    assert {request["path"] for request in requests.values()} <= paths
    assert requests["livenessProbe"]["path"] == requests["startupProbe"]["path"] == "/livez"
    assert requests["readinessProbe"]["path"] == "/readyz"
    assert {request["port"] for request in requests.values()} == {port["name"] for port in only["ports"]}


def test_grace_when_a_worker_stops_then_it_is_longer_than_its_drain() -> None:
    pod = WORKLOADS["worker"]["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] > DEFAULTS.worker.drain_seconds + 10


def test_settings_when_read_then_the_service_knows_each_and_accepts_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    values = manifests("ConfigMap")["settings"]["data"]
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    assert values.keys() <= setting_names()
    assert all(isinstance(value, str) for value in values.values())
    threads = Settings().worker.num_threads
    assert container(WORKLOADS["worker"])["resources"]["limits"]["cpu"] == str(threads)


def test_queue_when_read_then_it_runs_as_in_compose_and_can_be_reached_by_its_url() -> None:
    only = container(WORKLOADS["queue"])
    queue = COMPOSE["services"]["queue"]
    (port,) = manifests("Service")["queue"]["spec"]["ports"]

    assert only["image"] == queue["image"]
    assert only["command"] + only["args"] == queue["command"]
    assert WORKLOADS["queue"]["spec"]["replicas"] == 1
    assert manifests("ConfigMap")["settings"]["data"]["REDIS_URL"] == f"redis://queue:{port['port']}/0"


def test_pictures_when_read_then_every_gateway_and_worker_can_write_them() -> None:
    claim = manifests("PersistentVolumeClaim")["pictures"]

    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_network_when_nothing_is_listed_then_nothing_passes() -> None:
    policies = manifests("NetworkPolicy")
    rules = [rule for p in policies.values() for side in ("ingress", "egress") for rule in p["spec"].get(side, [])]

    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(rule["ports"] and (rule.get("from") or rule.get("to")) for rule in rules)
    assert all(peer for rule in rules for peer in rule.get("from", rule.get("to")))


def test_network_when_listed_then_only_gateway_and_worker_reach_the_queue() -> None:
    policies = manifests("NetworkPolicy")
    into_queue = [
        (peer["podSelector"], rule["ports"])
        for policy in policies.values()
        if policy["metadata"]["name"] != "default-deny" and "queue" in selected(policy["spec"]["podSelector"])
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
    ]

    assert [(selected(selector), ports) for selector, ports in into_queue] == [
        ({"gateway", "worker"}, [{"protocol": "TCP", "port": 6379}])
    ]
    assert selected(policies["to-queue"]["spec"]["podSelector"]) == {"gateway", "worker"}


def test_network_when_listed_then_only_the_gateway_reaches_the_internet_and_no_private_network() -> None:
    outward = {
        name: policy["spec"]
        for name, policy in manifests("NetworkPolicy").items()
        for rule in policy["spec"].get("egress", [])
        if any("ipBlock" in peer for peer in rule["to"])
    }
    assert set(outward) == {"to-receivers"}
    assert selected(outward["to-receivers"]["podSelector"]) == {"gateway"}
    (rule,) = outward["to-receivers"]["egress"]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    reached = [ip_network(block["cidr"]) for block in blocks]
    kept_out = [ip_network(network) for block in blocks for network in block.get("except", [])]

    for near in (
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "::1",
        "fd00::1",
    ):
        address = ip_address(near)
        assert not any(address in network for network in reached) or any(address in network for network in kept_out)
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 8443}]
