"""How does Envoy choose an endpoint? A cluster's load balancing policy, and the key that a route computes for it."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import LoadBalancingPolicy
from envoy.config.route.v3.route_components_pb2 import RouteAction
from envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from envoy.extensions.load_balancing_policies.maglev.v3.maglev_pb2 import Maglev
from envoy.extensions.load_balancing_policies.random.v3.random_pb2 import Random
from envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash
from envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2 import RoundRobin

from northgate.api.balancing import ConsistentHash, LoadBalancer
from northgate.api.base import milliseconds

_POLICIES: dict[str, tuple[str, Any]] = {
    "LeastRequest": ("least_request", LeastRequest),
    "RoundRobin": ("round_robin", RoundRobin),
    "Random": ("random", Random),
    "Maglev": ("maglev", Maglev),
    "RingHash": ("ring_hash", RingHash),
}


def balancing_policy(balancer: LoadBalancer, *, weighted_localities: bool) -> LoadBalancingPolicy:
    """The policy of a cluster; with `weighted_localities` a locality is drawn by its weight first."""
    name, message = _POLICIES[balancer.policy]
    config = message()
    if weighted_localities:
        places = config if balancer.by_hash else config.locality_lb_config
        places.locality_weighted_lb_config.SetInParent()
    if balancer.slow_start is not None:
        window = config.slow_start_config.slow_start_window
        window.FromMilliseconds(milliseconds(balancer.slow_start.window))
    policy = LoadBalancingPolicy()
    extension = policy.policies.add().typed_extension_config
    extension.name = f"envoy.load_balancing_policies.{name}"
    extension.typed_config.Pack(config, deterministic=True)
    return policy


def hash_policy(key: ConsistentHash) -> RouteAction.HashPolicy:
    """What a route computes the key from."""
    policy = RouteAction.HashPolicy()
    if key.header is not None:
        policy.header.header_name = key.header
    elif key.query_param is not None:
        policy.query_parameter.name = key.query_param
    elif key.cookie is not None:
        policy.cookie.name = key.cookie.name
        if key.cookie.ttl is not None:
            policy.cookie.ttl.FromMilliseconds(milliseconds(key.cookie.ttl))
            policy.cookie.path = key.cookie.path or "/"
    else:
        policy.connection_properties.source_ip = True
    return policy
