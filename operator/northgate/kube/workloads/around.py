"""What stands around a gateway's pods? The Service, the account, the disruption budget and the network's rules."""

from __future__ import annotations

from northgate.api.proxy import ProxyService
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.kube.workloads.labels import Document, metadata, selector
from northgate.translate.ports import STATS_PORT, bound_port


def service(gateway: Gateway) -> Document:
    """The Service clients reach the proxies by: the listeners' ports, mapped to those the pods bind."""
    wanted = gateway.proxy.service or ProxyService()
    kind = wanted.type or "LoadBalancer"
    found = metadata(gateway)
    if wanted.annotations:
        found["annotations"] = dict(sorted(wanted.annotations.items()))
    spec: Document = {
        "type": kind,
        "selector": selector(gateway),
        "ports": [
            {"name": f"port-{port}", "port": port, "protocol": "TCP", "targetPort": bound_port(port)}
            for port in gateway.ports
        ],
    }
    if kind != "ClusterIP":
        spec["externalTrafficPolicy"] = wanted.external_traffic_policy or "Local"
    if wanted.load_balancer_class:
        spec["loadBalancerClass"] = wanted.load_balancer_class
    return {"apiVersion": "v1", "kind": "Service", "metadata": found, "spec": spec}


def service_account(gateway: Gateway) -> Document:
    """The account of the pods, which has no rights and no token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(gateway),
        "automountServiceAccountToken": False,
    }


def disruption_budget(gateway: Gateway) -> Document:
    """How many pods may be missing while nodes are emptied."""
    wanted = gateway.proxy.pod_disruption_budget
    budget = wanted.model_dump(by_alias=True, exclude_none=True) if wanted else {"maxUnavailable": 1}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(gateway),
        "spec": {"selector": {"matchLabels": selector(gateway)}, **budget},
    }


def network_policy(gateway: Gateway, installation: Installation) -> Document:
    """Who may connect: everybody to the listeners, scrapers to the statistics.

    Nobody to the probes but the pod's own node, which no policy keeps out. Proxies may connect to anything: where
    upstreams are is for Routes to say.
    """
    listeners = {"ports": [{"protocol": "TCP", "port": bound_port(port)} for port in gateway.ports]}
    scraped = [_scraping(installation.scrapers)] if installation.scrapers else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(gateway),
        "spec": {
            "podSelector": {"matchLabels": selector(gateway)},
            "policyTypes": ["Ingress"],
            "ingress": [listeners, *scraped],
        },
    }


def _scraping(namespaces: tuple[str, ...]) -> Document:
    expression = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(namespaces)}
    return {
        "from": [{"namespaceSelector": {"matchExpressions": [expression]}}],
        "ports": [{"protocol": "TCP", "port": STATS_PORT}],
    }
