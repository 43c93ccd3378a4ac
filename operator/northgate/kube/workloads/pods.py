"""What does a proxy's pod look like? One container without any rights: the supervisor, and Envoy below it."""

from __future__ import annotations

from math import ceil

from northgate.api.base import milliseconds
from northgate.api.proxy import Amounts, Probe, Probes, Toleration
from northgate.kube.workloads import config
from northgate.kube.workloads.gateway import Gateway, Installation
from northgate.kube.workloads.labels import Document, certificate_name, child_name, labels, selector
from northgate.translate.ports import PROBE_PORT, STATS_PORT

CONFIG_HASH = "northgate.dev/config-hash"

_USER = 65_532
_REQUESTS = {"cpu": "250m", "memory": "256Mi"}
_WORKERS = 2
_DRAIN, _LEAST = "30s", "5s"
_LONGEST_DRAIN_MS = 3_600_000
_ENDING_SECONDS = 10
"""Between the end of draining and the end of the pod: Envoy is told to end, then killed."""
_PROBE_TIMEOUT = 3
_TOPOLOGY = {"Zone": ("topology.kubernetes.io/zone", "kubernetes.io/hostname"), "Host": ("kubernetes.io/hostname",)}


def pod_template(gateway: Gateway, installation: Installation, config_hash: str) -> Document:
    """The template of a gateway's pods. It changes only when pods have to be replaced."""
    return {
        "metadata": {"labels": labels(gateway), "annotations": {CONFIG_HASH: config_hash}},
        "spec": {
            "serviceAccountName": child_name(gateway),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": sum(drain_seconds(gateway)) + _ENDING_SECONDS,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(gateway, installation)],
            "volumes": _volumes(gateway),
            **_placement(gateway),
        },
    }


def drain_seconds(gateway: Gateway) -> tuple[int, int]:
    """How long a proxy goes on accepting once it leaves, and how long connections may take after that, in seconds."""
    shutdown = gateway.proxy.shutdown
    least = min(milliseconds((shutdown and shutdown.min_drain_duration) or _LEAST), _LONGEST_DRAIN_MS)
    most = min(milliseconds((shutdown and shutdown.drain_timeout) or _DRAIN), _LONGEST_DRAIN_MS)
    return ceil(least / 1000), max(0, ceil((most - least) / 1000))


def _container(gateway: Gateway, installation: Installation) -> Document:
    return {
        "name": "proxy",
        "image": gateway.proxy.image or installation.image,
        "command": ["northgate", "proxy"],
        "args": _arguments(gateway),
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        # The listeners' ports are not named here: a pod need not be replaced because a listener comes or goes.
        "ports": [
            {"name": "stats", "containerPort": STATS_PORT, "protocol": "TCP"},
            {"name": "probes", "containerPort": PROBE_PORT, "protocol": "TCP"},
        ],
        **_probes(gateway.proxy.probes or Probes()),
        "resources": _resources(gateway),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": config.CONFIG, "readOnly": True},
            {"name": "certificates", "mountPath": config.CERTIFICATES, "readOnly": True},
            {"name": "run", "mountPath": config.RUN},
        ],
    }


def _arguments(gateway: Gateway) -> list[str]:
    least, rest = drain_seconds(gateway)
    return [
        f"--bootstrap={config.BOOTSTRAP}",
        "--node=$(POD_NAME)",
        f"--admin={config.ADMIN}",
        f"--probes=0.0.0.0:{PROBE_PORT}",
        f"--concurrency={gateway.proxy.concurrency or _WORKERS}",
        f"--min-drain={least}",
        f"--drain={least + rest}",
    ]


def _probes(probes: Probes) -> Document:
    return {
        "startupProbe": _probe("/startup", probes.startup, 1, 120),
        "livenessProbe": _probe("/live", probes.liveness, 10, 6),
        "readinessProbe": _probe("/ready", probes.readiness, 2, 3),
    }


def _probe(path: str, probe: Probe | None, period: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "probes"},
        "periodSeconds": (probe and probe.period_seconds) or period,
        "timeoutSeconds": _PROBE_TIMEOUT,
        "failureThreshold": (probe and probe.failure_threshold) or failures,
    }


def _resources(gateway: Gateway) -> Document:
    resources = gateway.proxy.resources
    limits = _amounts(resources.limits if resources else None)
    # Where there is a limit and no request, the limit is what is requested, as the API server would have it.
    requests = _REQUESTS | limits | _amounts(resources.requests if resources else None)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _amounts(amounts: Amounts | None) -> dict[str, str]:
    return {} if amounts is None else amounts.model_dump(exclude_none=True)


def _volumes(gateway: Gateway) -> list[Document]:
    return [
        {"name": "config", "configMap": {"name": child_name(gateway)}},
        {"name": "certificates", "secret": {"secretName": certificate_name(gateway), "defaultMode": 0o440}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]


def _placement(gateway: Gateway) -> Document:
    proxy = gateway.proxy
    found: Document = {"topologySpreadConstraints": [_spread(gateway, key) for key in _topology(gateway)]}
    if proxy.node_selector:
        found["nodeSelector"] = dict(sorted(proxy.node_selector.items()))
    if proxy.tolerations:
        found["tolerations"] = [_toleration(one) for one in proxy.tolerations]
    if proxy.priority_class_name:
        found["priorityClassName"] = proxy.priority_class_name
    if proxy.host_network:
        # Names of the cluster, such as the control plane's, are to be known there too.
        found |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    return found


def _topology(gateway: Gateway) -> tuple[str, ...]:
    return _TOPOLOGY[gateway.proxy.topology_spread or "Zone"]


def _spread(gateway: Gateway, key: str) -> Document:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(gateway)},
    }


def _toleration(toleration: Toleration) -> Document:
    return {"operator": "Equal", **toleration.model_dump(by_alias=True, exclude_none=True)}
