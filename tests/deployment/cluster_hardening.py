"""What a pod may do: the restricted Pod Security Standard, and our own rules beyond it."""

from collections.abc import Iterator
from typing import Any

from tests.deployment.cluster import Cluster, container, pod_spec

PROBES = ["startupProbe", "livenessProbe", "readinessProbe"]


def weaknesses(workload: dict[str, Any]) -> list[str]:
    """What a workload lacks of the restricted Pod Security Standard and of our own rules."""
    pod, only = pod_spec(workload), container(workload)
    every = [only, *pod.get("initContainers", [])]
    context, own = pod.get("securityContext", {}), [each.get("securityContext", {}) for each in every]
    claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"] for each in every for mount in each["volumeMounts"]}
    rules = {
        "non-root": context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0,
        "seccomp": context.get("seccompProfile") == {"type": "RuntimeDefault"},
        "escalation": all(c.get("allowPrivilegeEscalation") is False and not c.get("privileged") for c in own),
        "capabilities": all(c.get("capabilities") == {"drop": ["ALL"]} for c in own),
        "read-only root": all(c.get("readOnlyRootFilesystem") is True for c in own),
        "token": pod.get("automountServiceAccountToken") is False,
        # They would be variables XMDPT_..., which the service refuses as unknown settings.
        "service links": pod.get("enableServiceLinks") is False,
        "host": not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
        "volumes": mounts == volumes.keys() | claims
        and all(v.keys() & {"emptyDir", "persistentVolumeClaim"} for v in volumes.values()),
        "emptyDir": all("sizeLimit" in v.get("emptyDir", {"sizeLimit": 0}) for v in volumes.values()),
        "resources": all(
            "memory" in each["resources"]["limits"] and each["resources"]["requests"].keys() == {"cpu", "memory"}
            for each in every
        ),
        "probes": all(probe in only for probe in PROBES),
        "grace": pod.get("terminationGracePeriodSeconds", 0) >= 40,
        "tag": all(":" in each["image"] and not each["image"].endswith(":latest") for each in every),
        "history": workload["spec"].get("revisionHistoryLimit") == 3,
    }
    return [rule for rule, holds in rules.items() if not holds]


def hardening(cluster: Cluster) -> Iterator[str]:
    """Every pod could run in a namespace that enforces the restricted standard, and ours does."""
    (namespace,) = cluster.of_kind("Namespace").values()
    if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace does not enforce the restricted standard"
    for name, workload in cluster.workloads.items():
        yield from (f"{name}: {weakness}" for weakness in weaknesses(workload))
