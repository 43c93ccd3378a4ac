"""How is a connection manager hardened? Every number, and what each exception takes back."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import HeaderMutation
from google.protobuf.json_format import MessageToDict
from tests.core.objects import gateway

from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import LISTENER

_BY_PROTOCOL = {"httpFilters", "rds", "earlyHeaderMutationExtensions"}


def manager(**hardening: Any) -> HttpConnectionManager:
    edge = Edge()
    edge.apply([gateway(**({"hardening": hardening} if hardening else {}))])
    assert not edge.engine.failures
    resource = edge.resources(("default", "edge"))[LISTENER]["default/edge/80"]
    found = HttpConnectionManager()
    assert Listener.FromString(resource.body).filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def told(found: HttpConnectionManager) -> dict[str, Any]:
    return {name: value for name, value in MessageToDict(found).items() if name not in _BY_PROTOCOL}


def forgotten(found: HttpConnectionManager) -> set[str]:
    mutation = HeaderMutation()
    assert found.early_header_mutation_extensions[0].typed_config.Unpack(mutation)
    return {one.remove_on_match.key_matcher.prefix for one in mutation.mutations}


PROFILE = {
    "statPrefix": "default/edge/80",
    "serverName": "northgate",
    "useRemoteAddress": True,
    "stripAnyHostPort": True,
    "stripTrailingHostDot": True,
    "normalizePath": True,
    "mergeSlashes": True,
    "pathWithEscapedSlashesAction": "UNESCAPE_AND_REDIRECT",
    "maxRequestHeadersKb": 60,
    "requestHeadersTimeout": "5s",
    "requestTimeout": "300s",
    "streamIdleTimeout": "300s",
    "delayedCloseTimeout": "0.050s",
    "commonHttpProtocolOptions": {
        "idleTimeout": "3600s",
        "maxHeadersCount": 100,
        "headersWithUnderscoresAction": "REJECT_REQUEST",
    },
    "http2ProtocolOptions": {
        "maxConcurrentStreams": 100,
        "initialStreamWindowSize": 65536,
        "initialConnectionWindowSize": 1048576,
    },
    "upgradeConfigs": [{"upgradeType": "websocket"}],
}


def test_everything_is_on_without_a_word() -> None:
    assert told(manager()) == PROFILE
    assert told(manager(profile="Edge")) == PROFILE


@pytest.mark.parametrize(
    ("exception", "changed"),
    [
        ("UnderscoreHeaders", {"commonHttpProtocolOptions": {"idleTimeout": "3600s", "maxHeadersCount": 100}}),
        ("EscapedSlashes", {"pathWithEscapedSlashesAction": "KEEP_UNCHANGED"}),
        ("MergeSlashes", {"mergeSlashes": None}),
        ("StreamTimeouts", {"requestTimeout": None, "streamIdleTimeout": "0s"}),
    ],
)
def test_an_exception_takes_back_its_own_protection_only(exception: str, changed: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**PROFILE, **changed}.items() if value is not None}
    assert told(manager(exceptions=[exception])) == expected


def test_what_clients_may_not_say() -> None:
    hops = {"x-forwarded-", "forwarded", "x-real-ip", "x-client-ip", "true-client-ip"}
    assert forgotten(manager()) == {"x-envoy-", *hops}
    behind = manager(trustedHops=2)
    assert forgotten(behind) == {"x-envoy-"}
    assert behind.xff_num_trusted_hops == 2
