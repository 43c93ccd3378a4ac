"""How does a listener speak HTTP? The connection manager: hardened for strangers, its routes delivered by RDS."""

from __future__ import annotations

from envoy.config.core.v3 import protocol_pb2 as protocol
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from northgate.api.gateway import Hardening
from northgate.resolve.attachment import Table
from northgate.translate import names
from northgate.translate.filters import http_filters
from northgate.translate.sources import ads

_Manager = hcm.HttpConnectionManager


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
    _harden(manager, frozenset(hardening.exceptions or ()))
    return manager


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
