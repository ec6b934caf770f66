"""What `kubectl kustomize` makes of the manifests, and who may speak to whom there.

It says what is; `cluster_rules` says what must be.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from tests.deployment.artifacts import KUBERNETES_DIR

NAME = "app.kubernetes.io/name"
NAMESPACE_NAME = "kubernetes.io/metadata.name"
# Beside the Python that runs this: another one in the PATH may be years older.
KUBECTL = Path(sys.executable).parent / "kubectl"
OVERLAYS = sorted(path.parent.name for path in KUBERNETES_DIR.glob("overlays/*/kustomization.yaml"))
COMPONENTS = sorted(path.parent.name for path in KUBERNETES_DIR.glob("components/*/kustomization.yaml"))
# As docs/kubernetes.md calls it.
CHECKOUT = "../xmdpt-serve/deploy/kubernetes"
# What a pod says of itself is its name, nowhere more.
OF_POD = {"fieldRef": {"fieldPath": "metadata.name"}}
_KEYS_OF_EXPRESSIONS = {"key", "operator", "values"}


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection: a pod by the labels of it and of its namespace, or an address outside."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether our policies are asked at this end."""
        return self.namespace.get(NAMESPACE_NAME) == "xmdpt"


@dataclass(frozen=True)
class Cluster:
    """Everything that one command would apply."""

    manifests: Sequence[dict[str, Any]]

    def of_kind(self, *kinds: str) -> dict[str, dict[str, Any]]:
        """All of these kinds, by name."""
        return {m["metadata"]["name"]: m for m in self.manifests if m["kind"] in kinds}

    @property
    def workloads(self) -> dict[str, dict[str, Any]]:
        """Whatever makes pods."""
        return self.of_kind("Deployment", "StatefulSet", "Job")

    @property
    def settings(self) -> dict[str, str]:
        """What gateway and worker share."""
        (settings,) = (m["data"] for name, m in self.of_kind("ConfigMap").items() if name.startswith("settings"))
        return settings

    def variables(self, workload: str) -> dict[str, str]:
        """What stands in the manifests of the environment of its container; secrets are not there."""
        own = {
            entry["name"]: f"{workload}-0" if entry.get("valueFrom") == OF_POD else entry["value"]
            for entry in container(self.workloads[workload]).get("env", [])
        }
        return self.settings | own if is_our_role(self.workloads[workload]) else own

    def pod(self, workload: str) -> Endpoint:
        """A pod of it."""
        return Endpoint(pod_labels(self.workloads[workload]), {NAMESPACE_NAME: "xmdpt"})

    def selected(self, selector: dict[str, Any]) -> set[str]:
        """Names of the workloads whose pods it selects."""
        return {name for name, workload in self.workloads.items() if selects(selector, pod_labels(workload))}

    def connects(self, source: Endpoint, target: Endpoint, port: int, protocol: str = "TCP") -> bool:
        """Whether the policies at both ends let the connection pass."""
        way = {"port": port, "protocol": protocol}
        return self._passes("Egress", source, target, way) and self._passes("Ingress", target, source, way)

    def admits(self, source: Endpoint, target: Endpoint, port: int) -> bool:
        """Whether the target's own policies let it pass, whatever the source's say."""
        return self._passes("Ingress", target, source, {"port": port, "protocol": "TCP"})

    def _passes(self, side: str, own: Endpoint, other: Endpoint, way: Mapping[str, Any]) -> bool:
        if not own.is_ours:
            return True
        specs = [policy["spec"] for policy in self.of_kind("NetworkPolicy").values()]
        asked = [s for s in specs if side in s["policyTypes"] and selects(s["podSelector"], own.labels)]
        peers = {"Egress": "to", "Ingress": "from"}[side]
        return not asked or any(
            way in rule["ports"] and any(_is_peer(peer, other) for peer in rule[peers])
            for spec in asked
            for rule in spec.get(side.lower(), [])
        )


def container(workload: dict[str, Any]) -> dict[str, Any]:
    """Its only one, beside those that prepare it."""
    (only,) = pod_spec(workload)["containers"]
    return only


def pod_spec(workload: dict[str, Any]) -> dict[str, Any]:
    """Of its pods."""
    return workload["spec"]["template"]["spec"]


def pod_labels(workload: dict[str, Any]) -> dict[str, str]:
    """Of its pods."""
    return workload["spec"]["template"]["metadata"]["labels"]


def is_our_role(workload: dict[str, Any]) -> bool:
    """Whether it runs a role of ours."""
    return pod_labels(workload)[NAME] in ("gateway", "worker")


def selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether the selector fits; of operators only `In` is known."""
    expressions = selector.get("matchExpressions", [])
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    assert all(e.keys() == _KEYS_OF_EXPRESSIONS and e["operator"] == "In" for e in expressions)
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        labels.get(e["key"]) in e["values"] for e in expressions
    )


def _is_peer(peer: dict[str, Any], end: Endpoint) -> bool:
    if "ipBlock" in peer:
        return bool(end.address) and _holds(peer["ipBlock"], end.address)
    if end.address:
        return False
    in_namespace = selects(peer["namespaceSelector"], end.namespace) if "namespaceSelector" in peer else end.is_ours
    return in_namespace and selects(peer.get("podSelector", {}), end.labels)


def _holds(block: dict[str, Any], address: str) -> bool:
    kept_out = block.get("except", [])
    return ip_address(address) in ip_network(block["cidr"]) and not any(
        ip_address(address) in ip_network(network) for network in kept_out
    )


@cache
def rendered(*parts: str) -> Cluster:
    """An overlay by its name, or the base with components by theirs, in this order."""
    if len(parts) == 1 and parts[0] in OVERLAYS:
        return _render(KUBERNETES_DIR / "overlays" / parts[0])
    return rendered_by(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [f"{CHECKOUT}/base"],
            "components": [f"{CHECKOUT}/components/{part}" for part in parts if part != "base"],
        }
    )


def rendered_by(kustomization: dict[str, Any]) -> Cluster:
    """By somebody's own file, whose paths begin with `CHECKOUT`."""
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        # Kustomize takes no absolute paths.
        here = Path(*[".."] * (len(folder.parts) - 1), *KUBERNETES_DIR.parts[1:])
        text = yaml.safe_dump(kustomization).replace(CHECKOUT, str(here))
        (folder / "kustomization.yaml").write_text(text)
        return _render(folder)


def _render(folder: Path) -> Cluster:
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return Cluster(list(yaml.safe_load_all(done.stdout)))


def selectors(cluster: Cluster) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whatever selects pods of this namespace, with its kind and name."""
    for manifest in cluster.manifests:
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
        if "template" in spec:
            for spread in pod_spec(manifest).get("topologySpreadConstraints", []):
                yield name, spread["labelSelector"]
