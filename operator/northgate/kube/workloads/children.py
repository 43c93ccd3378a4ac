"""Which objects does a gateway need in its cluster? All of them, in the order they are written."""

from __future__ import annotations

from northgate.kube.workloads.around import disruption_budget, network_policy, service, service_account
from northgate.kube.workloads.config import config_hash, config_map
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.kube.workloads.labels import Document
from northgate.kube.workloads.pods import pod_template
from northgate.kube.workloads.runners import autoscaler, runner

KINDS = (
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
)
"""Every kind a gateway may have an object of: `apiVersion` and `kind`."""


def children(gateway: Gateway, installation: Installation) -> tuple[Document, ...]:
    """The objects of a gateway; none where its proxies are run elsewhere. What pods need comes before them."""
    if gateway.proxy.kind == "External":
        return ()
    config = config_map(gateway, installation)
    template = pod_template(gateway, installation, config_hash(config))
    scaling = gateway.proxy.autoscaling
    return (
        service_account(gateway),
        config,
        service(gateway),
        network_policy(gateway, installation),
        disruption_budget(gateway),
        runner(gateway, template),
        *((autoscaler(gateway, scaling),) if scaling is not None else ()),
    )
