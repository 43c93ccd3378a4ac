"""A bootstrap is what a real Envoy takes, and an Envoy without a control plane waits instead of serving nothing."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.envoy import validate
from tests.harness.static_envoy import http_listener

from northgate.api.regex import MAX_PROGRAM_SIZE, regex_problem
from northgate.translate.bootstrap import (
    BootstrapOptions,
    Limits,
    NodeIdentity,
    TcpAddress,
    UnixAddress,
    bootstrap,
    bootstrap_json,
    bootstrap_yaml,
)

EDGE = NodeIdentity("edge-1", "edge/edge", "fra1", "eu", "a")
OPTIONS = BootstrapOptions(
    EDGE, TcpAddress("127.0.0.1", 18000), "/run/northgate/admin.sock", limits=Limits(heap_bytes=1 << 30)
)


def loaded(options: BootstrapOptions) -> dict:
    return json.loads(bootstrap_json(options))


def test_what_a_proxy_says_of_itself():
    found = loaded(OPTIONS)
    assert found["node"] == {
        "id": "edge-1",
        "cluster": "edge/edge",
        "locality": {"region": "eu", "zone": "a"},
        "metadata": {"gateway": "edge/edge", "pop": "fra1"},
    }
    tags = found["stats_config"]["stats_tags"]
    assert tags == [{"tag_name": "gateway", "fixed_value": "edge/edge"}, {"tag_name": "pop", "fixed_value": "fra1"}]


@pytest.mark.parametrize(("delta", "api_type"), [(True, "DELTA_GRPC"), (False, "GRPC")])
def test_configuration_comes_over_one_stream_and_is_waited_for(delta, api_type):
    dynamic = loaded(BootstrapOptions(EDGE, UnixAddress("/x"), "/a", delta=delta))["dynamic_resources"]
    assert dynamic["ads_config"]["api_type"] == api_type
    assert dynamic["ads_config"]["set_node_on_first_message_only"] is True
    assert dynamic["ads_config"]["transport_api_version"] == "V3"
    assert dynamic["ads_config"]["grpc_services"][0]["envoy_grpc"]["cluster_name"] == "xds_cluster"
    for source in (dynamic["cds_config"], dynamic["lds_config"]):
        assert source == {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}


@pytest.mark.parametrize(
    ("address", "kind", "written"),
    [
        (
            TcpAddress("cp.example", 18000),
            "STRICT_DNS",
            {"socket_address": {"address": "cp.example", "port_value": 18000}},
        ),
        (UnixAddress("/run/x.sock"), "STATIC", {"pipe": {"path": "/run/x.sock"}}),
    ],
)
def test_a_silent_control_plane_is_noticed(address, kind, written):
    [cluster] = loaded(BootstrapOptions(EDGE, address, "/a"))["static_resources"]["clusters"]
    assert (cluster["name"], cluster["type"]) == ("xds_cluster", kind)
    [http] = cluster["typed_extension_protocol_options"].values()
    http2 = http["explicit_http_config"]["http2_protocol_options"]
    assert http2 == {"connection_keepalive": {"interval": "5s", "timeout": "5s"}}
    assert cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] == written


def test_limits_layers_and_deferral():
    found = loaded(OPTIONS)
    assert [layer["name"] for layer in found["layered_runtime"]["layers"]] == ["static", "admin"]
    monitors = found["overload_manager"]["resource_monitors"]
    assert [monitor["name"].rpartition(".")[2] for monitor in monitors] == [
        "global_downstream_max_connections",
        "fixed_heap",
    ]
    assert monitors[0]["typed_config"]["max_active_downstream_connections"] == "50000"
    without_heap = loaded(BootstrapOptions(EDGE, UnixAddress("/x"), "/a"))["overload_manager"]
    assert len(without_heap["resource_monitors"]) == 1
    assert "actions" not in without_heap
    assert found["deferred_stat_options"]["enable_deferred_creation_stats"] is True
    assert found["cluster_manager"]["enable_deferred_cluster_creation"] is True


def test_the_only_way_in_is_a_unix_socket_for_the_owner_alone():
    assert loaded(OPTIONS)["admin"] == {"address": {"pipe": {"path": "/run/northgate/admin.sock", "mode": 0o600}}}
    assert "listeners" not in loaded(OPTIONS)["static_resources"]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@given(texts, texts, texts, st.booleans())
def test_both_texts_say_the_same_as_the_message(name, group, place, delta):
    options = BootstrapOptions(NodeIdentity(name, group, place, place), TcpAddress(place, 1), name, delta)
    message = bootstrap(options)
    assert yaml.safe_load(bootstrap_yaml(options)) == json.loads(bootstrap_json(options))
    assert ParseDict(json.loads(bootstrap_json(options)), type(message)()) == message


@pytest.mark.envoy
@pytest.mark.parametrize(
    "options", [OPTIONS, BootstrapOptions(NodeIdentity("a", "b"), UnixAddress("/x"), "/a", delta=False)]
)
async def test_envoy_takes_it(envoy_binary, options, tmp_path):
    assert await validate(bootstrap_yaml(options)) is None
    assert await validate(loaded(options)) is None


@pytest.mark.envoy
@pytest.mark.parametrize(("pattern", "taken"), [("/x{300}", True), ("/x{600}y{600}", False)])
async def test_envoy_and_validation_take_the_same_expressions(envoy_binary, pattern, taken):
    values = loaded(OPTIONS)
    regex = {"match": {"safe_regex": {"regex": pattern}}, "route": {"cluster": "xds_cluster"}}
    values["static_resources"]["listeners"] = [http_listener("l", {"*": [regex]})]
    said = await validate(values)
    assert (said is None) == taken
    assert taken or f"> max program size of {MAX_PROGRAM_SIZE}" in said
    assert (not tuple(regex_problem(pattern, ()))) == taken


async def test_without_a_control_plane_envoy_waits_and_answers_its_admin(envoys, free_port):
    envoy = await envoys(
        bootstrap_yaml(BootstrapOptions(EDGE, TcpAddress("127.0.0.1", free_port()), "/ignored")), live=False
    )

    async def tried_to_connect() -> bool:
        found = await envoy.stats("xds_cluster.upstream_cx_connect_fail")
        return found["cluster.xds_cluster.upstream_cx_connect_fail"] >= 2

    await envoy.wait_for(tried_to_connect, "Envoy tried the control plane twice")
    info = await envoy.server_info()
    assert info["state"] in ("PRE_INITIALIZING", "INITIALIZING")
    assert (info["node"]["id"], info["node"]["cluster"]) == ("edge-1", "edge/edge")
    runtime = json.loads(await envoy.admin("/runtime"))
    assert runtime["layers"] == ["static", "admin"]
    assert runtime["entries"]["re2.max_program_size.error_level"]["final_value"] == "1000"
    metrics = await envoy.admin("/stats/prometheus")
    assert re.search(r'envoy_server_live\{[^}]*gateway="edge/edge"[^}]*pop="fra1"', metrics)
    assert not re.search(r"deprecated|\[warning\]", envoy.log(200), re.IGNORECASE), envoy.log(200)
