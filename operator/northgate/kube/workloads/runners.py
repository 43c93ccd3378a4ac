"""Who keeps the pods running? A Deployment or a DaemonSet, and for the first perhaps an autoscaler."""

from __future__ import annotations

from northgate.api.proxy import Autoscaling
from northgate.kube.workloads.gateway import Gateway
from northgate.kube.workloads.labels import Document, child_name, metadata, selector

_REPLICAS = 2
_CPU_PERCENT = 60


def runner(gateway: Gateway, template: Document) -> Document:
    """The Deployment or DaemonSet of a gateway."""
    return _daemon_set(gateway, template) if gateway.proxy.kind == "DaemonSet" else _deployment(gateway, template)


def autoscaler(gateway: Gateway, autoscaling: Autoscaling) -> Document:
    """The HorizontalPodAutoscaler of a gateway's Deployment."""
    target = {"type": "Utilization", "averageUtilization": autoscaling.target_cpu_percent or _CPU_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(gateway),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": child_name(gateway)},
            "minReplicas": autoscaling.min_replicas or _REPLICAS,
            "maxReplicas": autoscaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _deployment(gateway: Gateway, template: Document) -> Document:
    proxy = gateway.proxy
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(gateway),
        "spec": {
            # An autoscaler's number is the autoscaler's business.
            **({} if proxy.autoscaling else {"replicas": proxy.replicas or _REPLICAS}),
            "selector": {"matchLabels": selector(gateway)},
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(gateway)},
            "template": template,
        },
    }


def _daemon_set(gateway: Gateway, template: Document) -> Document:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(gateway),
        "spec": {
            "selector": {"matchLabels": selector(gateway)},
            "revisionHistoryLimit": 3,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": _rolling(gateway)},
            "template": template,
        },
    }


def _rolling(gateway: Gateway) -> Document:
    """A new pod first, then the old one goes; the other way round where both would want one node's ports."""
    return {"maxSurge": 0, "maxUnavailable": 1} if gateway.proxy.host_network else {"maxSurge": 1, "maxUnavailable": 0}
