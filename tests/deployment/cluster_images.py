"""Which image each pod must run: a rule of `cluster_rules`."""

from collections.abc import Iterator

from tests.deployment.artifacts import BUILDS
from tests.deployment.cluster import NAME, Cluster, container, is_our_role, pod_labels, pod_spec

# By role, or by the device of a worker: the target of the Dockerfile, and the extra.
_BUILDS = {
    "gateway": ("gateway", None),
    "cpu": ("worker", None),
    "gpu": ("worker-gpu", None),
    "triton": ("worker", "triton"),
}


def images(cluster: Cluster) -> Iterator[str]:
    """Each pod of ours runs what is built for its role and device, whatever the registry, and in this role.

    A Triton serves the models of its workers' image.
    """
    for name, workload in cluster.workloads.items():
        role, prepare = pod_labels(workload)[NAME], pod_spec(workload).get("initContainers", [])
        if is_our_role(workload):
            wanted = _BUILDS[pod_labels(workload).get("xmdpt-device", role)]
            if _built_of(container(workload)["image"]) != wanted:
                yield f"{name}: {container(workload)['image']} is not built of {wanted}"
            if container(workload)["args"] != [role]:
                yield f"{name}: not in its role"
        for init in prepare:
            if init["image"] != container(cluster.workloads["worker-triton"])["image"]:
                yield f"{name}: {init['image']} is not the image of Triton's workers"


def _built_of(image: str) -> tuple[str, str | None] | None:
    """Target and extra of an image of ours in any registry; None of others."""
    return BUILDS.get(image.rpartition("/")[2])
