"""How does a listener speak HTTP? The connection manager: hardened for strangers, its routes delivered by RDS."""

from __future__ import annotations

from collections.abc import Sequence

from envoy.config.core.v3 import protocol_pb2 as protocol
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2 as early

from northgate.api.gateway import Hardening
from northgate.resolve.attachment import Table
from northgate.translate import names
from northgate.translate.filters import http_filters
from northgate.translate.sources import ads

_Manager = hcm.HttpConnectionManager

_CONTROLS = ("x-envoy-",)
"""Headers that steer a proxy: nobody's business outside."""
_HOPS = ("x-forwarded-", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip")
"""Headers that tell what a proxy in front has seen: lies unless there is one. The proxy writes the true ones anew."""


def connection_manager(table: Table, hardening: Hardening) -> hcm.HttpConnectionManager:
    """The connection manager of one route table."""
    manager = _Manager(
        stat_prefix=names.table(table),
        codec_type=_Manager.AUTO,
        server_name="northgate",
        use_remote_address={"value": True},
        xff_num_trusted_hops=hardening.trusted_hops or 0,
        strip_any_host_port=True,
        strip_trailing_host_dot=True,
        http_filters=http_filters(),
    )
    manager.rds.route_config_name = names.table(table)
    manager.rds.config_source.CopyFrom(ads())
    # WebSockets are ordinary traffic of an edge; routes without them answer as their backends do.
    manager.upgrade_configs.add(upgrade_type="websocket")
    _forget_headers(manager, _CONTROLS if hardening.trusted_hops else (*_CONTROLS, *_HOPS))
    _harden(manager, frozenset(hardening.exceptions or ()))
    return manager


def _forget_headers(manager: hcm.HttpConnectionManager, prefixes: Sequence[str]) -> None:
    """Remove headers before anything reads them: client addresses, matches, limits and logs see only true ones."""
    mutation = early.HeaderMutation()
    for prefix in prefixes:
        mutation.mutations.add().remove_on_match.key_matcher.prefix = prefix
    extension = manager.early_header_mutation_extensions.add(name="northgate.early_header_mutation.forget")
    extension.typed_config.Pack(mutation, deterministic=True)


def _harden(manager: hcm.HttpConnectionManager, exceptions: frozenset[str]) -> None:
    manager.normalize_path.value = True
    manager.merge_slashes = "MergeSlashes" not in exceptions
    manager.path_with_escaped_slashes_action = (
        _Manager.KEEP_UNCHANGED if "EscapedSlashes" in exceptions else _Manager.UNESCAPE_AND_REDIRECT
    )
    manager.max_request_headers_kb.value = 60
    manager.request_headers_timeout.FromSeconds(5)
    # A reset must reach the client at once; 0 could cut the end of ordinary answers.
    manager.delayed_close_timeout.FromMilliseconds(50)
    if "StreamTimeouts" in exceptions:
        manager.stream_idle_timeout.SetInParent()
    else:
        manager.stream_idle_timeout.FromSeconds(300)
        manager.request_timeout.FromSeconds(300)
    common = manager.common_http_protocol_options
    common.idle_timeout.FromSeconds(3600)
    common.max_headers_count.value = 100
    common.headers_with_underscores_action = (
        protocol.HttpProtocolOptions.ALLOW
        if "UnderscoreHeaders" in exceptions
        else protocol.HttpProtocolOptions.REJECT_REQUEST
    )
    http2 = manager.http2_protocol_options
    http2.max_concurrent_streams.value = 100
    http2.initial_stream_window_size.value = 65_536
    http2.initial_connection_window_size.value = 1_048_576
