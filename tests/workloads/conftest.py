"""Which gateways the tests of workloads use: the smallest, and others that between them use every field."""

from __future__ import annotations

import json

from northgate.api.gateway import EdgeGatewaySpec
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.translate.bootstrap import TcpAddress

INSTALLATION = Installation("registry.example/northgate:1", TcpAddress("northgate-xds.northgate-system.svc", 18000))
SCRAPED = Installation(INSTALLATION.image, INSTALLATION.xds, ("monitoring", "metrics"))
UID = "6b1c0d2e-0000-4000-8000-000000000001"

HTTP = {"name": "http", "port": 80, "protocol": "HTTP"}
HTTPS = {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "shop-tls"}]}}


def gateway(proxy: dict | None = None, *listeners: dict, name: str = "edge", **more: object) -> Gateway:
    spec = {"listeners": list(listeners) or [HTTP, HTTPS], **({"proxy": proxy} if proxy is not None else {}), **more}
    return Gateway("edge", name, UID, EdgeGatewaySpec.model_validate_json(json.dumps(spec)))


GATEWAYS: dict[str, tuple[Gateway, Installation]] = {
    "smallest": (gateway(), INSTALLATION),
    "scaled": (
        gateway(
            {
                "autoscaling": {"minReplicas": 3, "maxReplicas": 20, "targetCPUPercent": 70},
                "image": "registry.example/own@sha256:0123",
                "concurrency": 4,
                "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
                "nodeSelector": {"pool": "edge"},
                "tolerations": [{"key": "edge", "value": "yes", "effect": "NoExecute", "tolerationSeconds": 60}],
                "topologySpread": "Host",
                "priorityClassName": "edge",
                "service": {
                    "annotations": {"lb.example/pool": "edge", "a.example/b": ""},
                    "externalTrafficPolicy": "Cluster",
                    "loadBalancerClass": "lb.example/bgp",
                },
                "probes": {"readiness": {"periodSeconds": 1, "failureThreshold": 2}, "startup": {"periodSeconds": 5}},
                "shutdown": {"drainTimeout": "2m30s", "minDrainDuration": "12500ms"},
                "podDisruptionBudget": {"minAvailable": 2},
            },
            pop="fra1",
            hardening={"maxConnections": 1000},
        ),
        SCRAPED,
    ),
    "every-node": (
        gateway(
            {"kind": "DaemonSet", "hostNetwork": True, "tolerations": [{"operator": "Exists"}]},
            HTTP,
            {"name": "tcp", "port": 9000, "protocol": "TCP"},
            {"name": "other", "port": 80, "protocol": "HTTP", "hostname": "other.example"},
        ),
        INSTALLATION,
    ),
    "long-name": (gateway({"service": {"type": "ClusterIP"}}, name="edge." + "x" * 80 + ".example"), INSTALLATION),
}
