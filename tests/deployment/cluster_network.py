"""Which connections must pass the network policies, and which must not; on which ports the pods listen."""

from collections.abc import Iterator

from service.settings import Settings
from tests.deployment.cluster import NAME, NAMESPACE_NAME, Cluster, Endpoint, is_our_role, pod_labels

_DEFAULTS = Settings.model_construct()
PORTS = {
    "gateway": {"http": _DEFAULTS.gateway.port},
    "worker": {"ops": _DEFAULTS.worker.ops_port},
    # Triton's own numbers.
    "triton": {"v2": 8000, "grpc": 8001, "metrics": 8002},
    "queue": {"redis": 6379},
}
SCRAPED = {"gateway": "http", "worker": "ops", "triton": "metrics"}
INTERNET = Endpoint(address="93.184.216.34")
STRANGER = Endpoint({"app": "other"}, {NAMESPACE_NAME: "other"})
CLIENT = Endpoint({"app": "shop"}, {NAMESPACE_NAME: "shop", "xmdpt-client": "true"})
PROMETHEUS = Endpoint({"app": "prometheus"}, {NAMESPACE_NAME: "monitoring"})
EDGE = Endpoint({"app": "envoy"}, {NAMESPACE_NAME: "envoy-gateway-system"})
NAME_SERVER = Endpoint({"k8s-app": "kube-dns"}, {NAMESPACE_NAME: "kube-system"})
NEAR = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1"]


def traffic(cluster: Cluster) -> Iterator[str]:
    """What is needed passes, and nothing else."""
    pods = {name: cluster.pod(name) for name in cluster.workloads}
    ours = [name for name, workload in cluster.workloads.items() if is_our_role(workload)]
    gateway, queue, triton = pods["gateway"], pods.get("queue"), pods.get("triton")
    needed = [("clients to gateway", CLIENT, gateway, 8080), ("webhooks", gateway, INTERNET, 443)]
    forbidden = [("metadata of the cloud", pod, Endpoint(address="169.254.169.254"), 80) for pod in pods.values()]
    for name, pod in pods.items():
        forbidden += [(f"strangers to {name}", STRANGER, pod, port) for port in (6379, 8000, 8001, 8002, 8080, 8082)]
        forbidden += [(f"{name} to {near}", pod, Endpoint(address=near), 443) for near in NEAR]
        is_outward = name == "gateway" or (name in ours and "XMDPT_PICTURES__BUCKET" in cluster.settings)
        (needed if is_outward else forbidden).append((f"{name} to the internet", pod, INTERNET, 443))
        if queue:
            (needed if name in ours else forbidden).append((f"{name} to queue", pod, queue, 6379))
        if triton:
            is_caller = name in ours and cluster.variables(name).get("XMDPT_BACKEND") == "triton"
            (needed if is_caller else forbidden).append((f"{name} to triton", pod, triton, 8001))
        role = pod_labels(cluster.workloads[name])[NAME]
        if role in SCRAPED and cluster.of_kind("PodMonitor"):
            needed.append((f"Prometheus to {name}", PROMETHEUS, pod, PORTS[role][SCRAPED[role]]))
    edge = needed if cluster.of_kind("HTTPRoute") else forbidden
    edge.append(("edge to gateway", EDGE, gateway, 8080))
    for text, source, target, port in needed:
        if not cluster.connects(source, target, port):
            yield f"{text}, port {port}: is stopped"
    for text, source, target, port in forbidden:
        if cluster.admits(source, target, port) if target.is_ours else cluster.connects(source, target, port):
            yield f"{text}, port {port}: passes"
    for name in ours:
        if not cluster.connects(pods[name], NAME_SERVER, 53, "UDP"):
            yield f"{name} finds no names"


def policies(cluster: Cluster) -> Iterator[str]:
    """Denied is what is not listed, and each list names peers and ports."""
    found = cluster.of_kind("NetworkPolicy")
    if found.get("default-deny", {}).get("spec") != {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
        yield "what is not listed is not denied"
    for name, policy in found.items():
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            peers = rule.get("from") or rule.get("to")
            if not rule.get("ports") or not peers or not all(peers):
                yield f"{name}: a rule for everybody or every port"
