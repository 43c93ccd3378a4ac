"""Which HTTP filters stand in every listener's chain? All of them, disabled; routes switch on what they use.

So a change of a route never touches a listener and no connection is drained for it.
"""

from __future__ import annotations

from collections.abc import Iterator

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2 as sfs
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from northgate.api.feature import HttpFilter
from northgate.api.route import FEATURES
from northgate.translate.matches import CLIENT_ADDRESS

_CLIENT_ADDRESS_FILTER = "northgate.filters.client_address"
_ROUTER = "envoy.filters.http.router"
_CLEAR_ROUTE_CACHE = b"\x10\x01"
"""`clear_route_cache: true`, a field (number 2) the message library does not know yet: the route is chosen again."""


def http_filters() -> tuple[hcm.HttpFilter, ...]:
    """The chain: the client's address first, so that matches can ask for it; features in their order; the router."""
    chain = [_chain_filter(_CLIENT_ADDRESS_FILTER, _remember_client_address())]
    chain.extend(_chain_filter(one.name, _packed(one.config())) for one in _feature_filters())
    router = hcm.HttpFilter(name=_ROUTER)
    router.typed_config.Pack(Router(suppress_envoy_headers=True), deterministic=True)
    return (*chain, router)


def enable_client_address(virtual_host: rc.VirtualHost) -> None:
    """Have the client's address remembered for every request to this host, so that matches can ask for it."""
    virtual_host.typed_per_filter_config[_CLIENT_ADDRESS_FILTER].Pack(
        rc.FilterConfig(config=_remember_client_address()), deterministic=True
    )


def _feature_filters() -> Iterator[HttpFilter]:
    seen: set[str] = set()
    for feature in FEATURES.values():
        for one in feature.filters:
            if one.name not in seen:
                seen.add(one.name)
                yield one


def _chain_filter(name: str, config: Any) -> hcm.HttpFilter:
    return hcm.HttpFilter(name=name, typed_config=config, disabled=True)


def _remember_client_address() -> Any:
    config = sfs.Config()
    value = config.on_request_headers.add(object_key=CLIENT_ADDRESS, factory_key="envoy.network.ip")
    value.format_string.text_format_source.inline_string = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
    packed = _packed(config)
    packed.value += _CLEAR_ROUTE_CACHE
    return packed


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message, deterministic=True)
    return packed
