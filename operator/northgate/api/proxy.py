"""How are a gateway's proxies run in a cluster? As a Deployment, a DaemonSet, or outside of it by somebody else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from northgate.api.base import CrossRule, Duration, Model, Name, Size, at_most_one, exactly_one, text
from northgate.api.labels import AnnotationValue, LabelName, LabelValue

Replicas = Annotated[int, Field(ge=1, le=1000)]
Cpu = Annotated[str, text(r"([0-9]{1,4}(\.[0-9]{1,3})?|[0-9]{1,7}m)", 8)]
Image = Annotated[str, text(r"[a-z0-9][A-Za-z0-9._/:@-]*", 512)]

_MADE_IN_CLUSTER = (
    *("replicas", "autoscaling", "image", "concurrency", "resources", "nodeSelector", "tolerations", "topologySpread"),
    *("priorityClassName", "hostNetwork", "service", "probes", "shutdown", "podDisruptionBudget"),
)


class Amounts(Model):
    """Processor time and memory."""

    cpu: Cpu | None = None
    """Processors: `"2"`, `"0.5"`, `"250m"`."""
    memory: Size | None = None
    """Bytes of memory: `256Mi`, `1Gi`."""


class Resources(Model):
    """What a proxy is given, and what it may take at most."""

    requests: Amounts | None = None
    """What the node keeps free for a proxy; `250m` and `256Mi` where absent."""
    limits: Amounts | None = None
    """What a proxy may take; no limit where absent. Close to its memory's limit a proxy answers 503 to new requests."""


class Autoscaling(Model):
    """As many proxies as their processors' load asks for."""

    min_replicas: Replicas | None = None
    """Fewest proxies; 2 when absent."""
    max_replicas: Replicas
    """Most proxies."""
    target_cpu_percent: Annotated[int | None, Field(alias="targetCPUPercent", ge=1, le=100)] = None
    """Load to keep, in percent of the processors requested for each proxy; 60 when absent."""

    cross_rules = (
        CrossRule(
            "(has(self.minReplicas) ? self.minReplicas : 2) <= self.maxReplicas",
            "minReplicas, 2 when absent, must not exceed maxReplicas",
            lambda block: (block.min_replicas or 2) <= block.max_replicas,
        ),
    )


class Toleration(Model):
    """A taint of nodes that proxies do not mind."""

    key: LabelName | None = None
    """The taint's key; every taint when absent, with `operator: Exists`."""
    operator: Literal["Exists", "Equal"] | None = None
    """`Equal` (when absent): the value must be equal. `Exists`: any value."""
    value: LabelValue | None = None
    """The taint's value, for `operator: Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; every effect when absent."""
    toleration_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = None
    """How long a proxy stays on a node that gets the taint, for `effect: NoExecute`; for ever when absent."""

    cross_rules = (
        CrossRule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "key is required unless operator is Exists",
            lambda block: block.key is not None or block.operator == "Exists",
        ),
        CrossRule(
            "!has(self.value) || !has(self.operator) || self.operator == 'Equal'",
            "value is forbidden for operator: Exists",
            lambda block: block.value is None or block.operator != "Exists",
        ),
        CrossRule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "tolerationSeconds needs effect: NoExecute",
            lambda block: block.toleration_seconds is None or block.effect == "NoExecute",
        ),
    )


class ProxyService(Model):
    """How clients reach the proxies."""

    type: Literal["LoadBalancer", "NodePort", "ClusterIP"] | None = None
    """Type of the Service; `LoadBalancer` when absent."""
    annotations: Annotated[dict[LabelName, AnnotationValue], Field(min_length=1, max_length=32)] | None = None
    """Annotations of the Service, which load balancers read their settings from."""
    external_traffic_policy: Literal["Local", "Cluster"] | None = None
    """`Local` (when absent): a node sends connections to its own proxies alone, which see the client's address.
    `Cluster`: to all proxies, which see a node's address. For LoadBalancer and NodePort."""
    load_balancer_class: LabelName | None = None
    """Which load balancer serves the Service, for type LoadBalancer. It cannot change on a Service that exists."""

    cross_rules = (
        CrossRule(
            "!has(self.externalTrafficPolicy) || !has(self.type) || self.type != 'ClusterIP'",
            "externalTrafficPolicy is forbidden for type: ClusterIP",
            lambda block: block.external_traffic_policy is None or block.type != "ClusterIP",
        ),
        CrossRule(
            "!has(self.loadBalancerClass) || !has(self.type) || self.type == 'LoadBalancer'",
            "loadBalancerClass needs type: LoadBalancer",
            lambda block: block.load_balancer_class is None or block.type in (None, "LoadBalancer"),
        ),
    )


class Probe(Model):
    """How often the kubelet asks, and how many bad answers in a row count."""

    period_seconds: Annotated[int, Field(ge=1, le=300)] | None = None
    """Seconds between two questions."""
    failure_threshold: Annotated[int, Field(ge=1, le=600)] | None = None
    """Bad answers in a row after which the probe has failed."""


class Probes(Model):
    """How the kubelet asks a proxy whether it lives, and whether it serves. No answer needs the control plane."""

    readiness: Probe | None = None
    """A proxy that is configured, not leaving, and accepts connections on all its ports gets traffic; every 2 seconds,
    3 failures, when absent."""
    liveness: Probe | None = None
    """A proxy whose main thread does not answer is started anew; every 10 seconds, 6 failures, when absent."""
    startup: Probe | None = None
    """A proxy that does not come up is started anew; every second, 120 failures, when absent. Waiting for its first
    configuration is no failure."""


class Shutdown(Model):
    """How a proxy leaves: it says that it is not ready, goes on serving, closes connections as they fall idle, ends."""

    drain_timeout: Duration | None = None
    """Time connections may take to end before they are cut; `30s` when absent, one hour at most."""
    min_drain_duration: Duration | None = None
    """Time a proxy goes on accepting connections after it said that it leaves, while balancers learn of it; `5s` when
    absent, one hour at most. It counts in full even when it is longer than `drainTimeout`."""


class PodDisruptionBudget(Model):
    """How many proxies may be missing while nodes are emptied."""

    max_unavailable: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Most proxies that may be missing."""
    min_available: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Fewest proxies that must be there."""

    cross_rules = (exactly_one("maxUnavailable", "minAvailable"),)


class Proxy(Model):
    """The proxies of a gateway in a cluster. It has no meaning outside of one."""

    kind: Literal["Deployment", "DaemonSet", "External"] | None = None
    """`Deployment` (when absent): a number of proxies. `DaemonSet`: one on each chosen node. `External`: nothing is
    made; proxies started elsewhere connect with a certificate of this gateway."""
    replicas: Replicas | None = None
    """Number of proxies of a Deployment; 2 when absent."""
    autoscaling: Autoscaling | None = None
    """Let load decide the number of proxies of a Deployment."""
    image: Image | None = None
    """Image of the proxies, with `northgate` and Envoy in it; the release's own when absent."""
    concurrency: Annotated[int, Field(ge=1, le=256)] | None = None
    """Worker threads of each proxy; 2 when absent."""
    resources: Resources | None = None
    """Processor time and memory."""
    node_selector: Annotated[dict[LabelName, LabelValue], Field(min_length=1, max_length=16)] | None = None
    """Labels of nodes that proxies may run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(min_length=1, max_length=16)] | None = None
    """Taints that proxies do not mind."""
    topology_spread: Literal["Zone", "Host"] | None = None
    """Spread proxies over zones and, within them, nodes (`Zone`, when absent), or over nodes alone, as far as the
    cluster allows."""
    priority_class_name: Name | None = None
    """PriorityClass of the proxies."""
    host_network: bool | None = None
    """Use the node's network: ports are bound on the node itself, those below 1024 with 64512 added, as the pod's are.
    Namespaces with Pod Security `restricted` or `baseline` refuse such pods."""
    service: ProxyService | None = None
    """How clients reach the proxies."""
    probes: Probes | None = None
    """How the kubelet asks whether a proxy lives and serves."""
    shutdown: Shutdown | None = None
    """How a proxy leaves."""
    pod_disruption_budget: PodDisruptionBudget | None = None
    """How many proxies may be missing while nodes are emptied; one when absent."""

    cross_rules = (
        at_most_one("replicas", "autoscaling"),
        CrossRule(
            "!has(self.kind) || self.kind == 'Deployment' || !(has(self.replicas) || has(self.autoscaling))",
            "replicas and autoscaling need kind: Deployment",
            lambda block: block.kind in (None, "Deployment") or block.present("replicas", "autoscaling") == 0,
        ),
        CrossRule(
            "!has(self.kind) || self.kind != 'External' || !("
            + " || ".join(f"has(self.{field})" for field in _MADE_IN_CLUSTER)
            + ")",
            "nothing else is set for kind: External: whoever starts those proxies decides",
            lambda block: block.kind != "External" or block.present(*_MADE_IN_CLUSTER) == 0,
        ),
    )
