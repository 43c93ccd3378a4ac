from __future__ import annotations

import pytest
from tests.harness.edge import RunningEdge
from tests.listeners.scenes import gateway, get, listener, route, services

from northgate.control import ControlPlane
from northgate.ops.exchange import Target
from northgate.translate.listeners import Binding

pytestmark = pytest.mark.envoy


async def test_a_listener_on_every_address_serves_both_families_and_knows_its_clients(envoy_binary):
    edge = RunningEdge(("edge", "edge"), [80])
    edge.plane = ControlPlane(Binding("::", edge.ports))
    only_ipv4 = {"respond": {"status": 204}, "access": {"allow": ["127.0.0.1"]}}
    async with edge:
        await edge.serve([gateway(listener("http", 80)), *services(), route("r", "http", "a.test", rule=only_ipv4)])
        by_address = [(await get(Target((where, edge.ports[80])), "a.test")).status for where in ("127.0.0.1", "::1")]
    assert by_address == [204, 403]
