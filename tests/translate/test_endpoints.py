"""Which endpoints of EndpointSlices are used, where, and with which weight?"""

from __future__ import annotations

from typing import Any

import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from tests.core.objects import Put, gateway, put, route, service

from northgate.api.upstream_checks import usable_address
from northgate.snapshot.edge import Edge
from northgate.snapshot.resource import ENDPOINT

Group = tuple[int, str, str, str, int, list[str]]


def slice_(service_name: str, *endpoints: Any, name: str = "1", **more: Any) -> Put:
    more = {"addressType": "IPv4", "ports": [{"name": "web", "port": 8080}], **more}
    entries = [{"addresses": [one]} if isinstance(one, str) else one for one in endpoints]
    labels = {"kubernetes.io/service-name": service_name}
    return put("EndpointSlice", f"{service_name}-{name}", None, endpoints=entries, metadata={"labels": labels}, **more)


def one(address: str, zone: str | None = None, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions, **({"zone": zone} if zone else {})}


def assignment(*objects: Put, services: list[dict[str, Any]] | None = None) -> list[Group]:
    """What proxies are told: priority, region, zone, sub-zone, weight and addresses of each locality."""
    edge = Edge()
    refs = [{"name": "web", "port": 80}] if services is None else [{"kind": "Upstream", "name": "up"}]
    upstream = [put("Upstream", "up", {"services": services})] if services is not None else []
    edge.apply([gateway(), route("r", {"backendRefs": refs}), service("web"), *upstream, *objects])
    assert not edge.engine.failures
    (resource,) = edge.resources(("default", "edge"))[ENDPOINT].values()
    return [_group(locality) for locality in ClusterLoadAssignment.FromString(resource.body).endpoints]


def _group(locality: Any) -> Group:
    sockets = [one.endpoint.address.socket_address for one in locality.lb_endpoints]
    place = locality.locality
    addresses = [f"{socket.address}:{socket.port_value}" for socket in sockets]
    return (
        locality.priority,
        place.region,
        place.zone,
        place.sub_zone,
        locality.load_balancing_weight.value,
        addresses,
    )


def addresses(*objects: Put) -> list[str]:
    return [address for group in assignment(*objects) for address in group[-1]]


@pytest.mark.parametrize(
    ("conditions", "used"),
    [
        pytest.param({}, True, id="nothing said"),
        pytest.param({"ready": True}, True, id="ready"),
        pytest.param({"ready": False}, False, id="not ready"),
        pytest.param({"ready": False, "serving": True, "terminating": True}, False, id="leaving"),
        pytest.param({"ready": True, "serving": True, "terminating": True}, True, id="published though leaving"),
    ],
)
def test_ready_endpoints_are_used(conditions, used) -> None:
    found = addresses(slice_("web", one("10.0.0.1", **conditions), "10.0.0.2"))
    assert found == ["10.0.0.1:8080", "10.0.0.2:8080"][0 if used else 1 :]


@pytest.mark.parametrize(
    ("conditions", "used"),
    [
        pytest.param({"ready": False, "serving": True, "terminating": True}, True, id="still serving"),
        pytest.param({"ready": False, "terminating": True}, True, id="serving not said"),
        pytest.param({"ready": False, "serving": False, "terminating": True}, False, id="not serving"),
        pytest.param({"ready": False, "serving": True}, False, id="not leaving"),
    ],
)
def test_leaving_endpoints_are_used_when_no_other_is_there(conditions, used) -> None:
    assert addresses(slice_("web", one("10.0.0.1", **conditions))) == (["10.0.0.1:8080"] if used else [])


def test_all_slices_of_a_service_count_and_an_address_counts_once() -> None:
    found = addresses(slice_("web", "10.0.0.2", "10.0.0.1"), slice_("web", "10.0.0.2", "10.0.0.3", name="2"))
    assert found == ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]


def test_the_ports_name_chooses_and_each_slice_has_its_own_number() -> None:
    ports = [{"name": "admin", "port": 9}, {"name": "web", "port": 8081}]
    udp = [{"name": "web", "port": 5, "protocol": "UDP"}]
    found = addresses(
        slice_("web", "10.0.0.1", ports=ports),
        slice_("web", "10.0.0.2", name="2"),
        slice_("web", "10.0.0.3", ports=udp, name="3"),
    )
    assert found == ["10.0.0.1:8081", "10.0.0.2:8080"]


@pytest.mark.parametrize(
    ("families", "used"),
    [(None, "10.0.0.1:8080"), (["IPv4", "IPv6"], "10.0.0.1:8080"), (["IPv6", "IPv4"], "2001:db8::1:8080")],
)
def test_of_two_families_the_services_first_is_used(families, used) -> None:
    spec = {"ports": [{"name": "web", "port": 80}], **({"ipFamilies": families} if families else {})}
    both = (slice_("web", "10.0.0.1"), slice_("web", "2001:db8::1", name="2", addressType="IPv6"))
    assert addresses(put("Service", "web", spec), *both) == [used]


def test_the_other_family_is_used_where_the_first_has_no_endpoint() -> None:
    both = (slice_("web", one("10.0.0.1", ready=False)), slice_("web", "2001:db8::1", name="2", addressType="IPv6"))
    assert addresses(*both) == ["2001:db8::1:8080"]


def test_names_are_no_addresses() -> None:
    assert addresses(slice_("web", "origin.example", addressType="FQDN")) == []


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1"),  # noqa: S104 - refused
        *("::", "fe80::1", "ff02::1", "fd00:ec2::254", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "FE80::1"),
        *("10.0.0", "a.example", "0x7f.1", "10.0.0.1/32", ""),
    ],
)
def test_addresses_that_no_request_may_be_sent_to_are_dropped(address) -> None:
    assert not usable_address(address)
    assert addresses(slice_("web", address, "10.0.0.1")) == ["10.0.0.1:8080"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.0.1", "2001:db8::1", "100.64.0.1"])
def test_loopback_and_private_addresses_are_used(address) -> None:
    assert usable_address(address)


def test_zones_are_told_with_the_number_of_their_endpoints_as_weight() -> None:
    found = assignment(slice_("web", one("10.0.0.1", "a"), one("10.0.0.2", "b"), one("10.0.0.3", "a"), "10.0.0.4"))
    assert found == [
        (0, "", "", "", 1, ["10.0.0.4:8080"]),
        (0, "", "a", "", 2, ["10.0.0.1:8080", "10.0.0.3:8080"]),
        (0, "", "b", "", 1, ["10.0.0.2:8080"]),
    ]


TWO = (service("api"), slice_("web", one("10.0.0.1", "a"), one("10.0.0.2", "b")), slice_("api", one("10.0.1.1", "a")))


def test_services_without_weights_share_their_places() -> None:
    services = [{"name": "web", "port": 80}, {"name": "api", "port": 80}]
    assert assignment(*TWO, services=services) == [
        (0, "", "a", "", 2, ["10.0.0.1:8080", "10.0.1.1:8080"]),
        (0, "", "b", "", 1, ["10.0.0.2:8080"]),
    ]


def test_a_services_weight_is_split_between_its_zones() -> None:
    services = [{"name": "web", "port": 80, "weight": 3}, {"name": "api", "port": 80}]
    assert assignment(*TWO, services=services) == [
        (0, "", "a", "web/80", 15_000, ["10.0.0.1:8080"]),
        (0, "", "b", "web/80", 15_000, ["10.0.0.2:8080"]),
        (0, "", "a", "api/80", 10_000, ["10.0.1.1:8080"]),
    ]


def test_a_sources_own_locality_wins_and_priorities_have_no_gaps() -> None:
    services = [
        {"name": "web", "port": 80, "priority": 9, "locality": {"region": "eu", "zone": "z"}},
        {"name": "api", "port": 80, "priority": 4, "locality": {"region": "us"}},
    ]
    assert assignment(*TWO, services=services) == [
        (0, "us", "a", "", 1, ["10.0.1.1:8080"]),
        (1, "eu", "z", "", 2, ["10.0.0.1:8080", "10.0.0.2:8080"]),
    ]


def test_an_endpoint_of_two_services_stands_where_its_priority_is_lowest() -> None:
    services = [{"name": "web", "port": 80, "priority": 1}, {"name": "api", "port": 80}]
    found = assignment(
        service("api"), slice_("web", "10.0.0.1", "10.0.0.2"), slice_("api", "10.0.0.1"), services=services
    )
    assert found == [(0, "", "", "", 1, ["10.0.0.1:8080"]), (1, "", "", "", 1, ["10.0.0.2:8080"])]


def test_the_order_of_events_does_not_matter() -> None:
    services = [{"name": "web", "port": 80, "weight": 3}, {"name": "api", "port": 80, "weight": 2}]
    assert assignment(*TWO, services=services) == assignment(*reversed(TWO), services=services)
