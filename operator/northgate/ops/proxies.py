"""What must a gateway's proxies be told at their start? The bootstrap's options, from the gateway itself."""

from __future__ import annotations

from northgate.resolve.gateways import ResolvedGateway
from northgate.translate import names
from northgate.translate.bootstrap import BootstrapOptions, Limits, NodeIdentity, TcpAddress, UnixAddress

_UNIX = "unix:"


def xds_address(text: str) -> TcpAddress | UnixAddress:
    """`host:port` or `unix:path`; ValueError when it is neither."""
    if text.startswith(_UNIX):
        return UnixAddress(text.removeprefix(_UNIX))
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{text!r} is neither host:port nor unix:path")
    return TcpAddress(host.strip("[]"), int(port))


def bootstrap_options(
    gateway: ResolvedGateway, node: str, xds: TcpAddress | UnixAddress, admin: str, *, delta: bool = True
) -> BootstrapOptions:
    """The options of one proxy of a gateway: `node` is its id, `admin` the path of its admin socket."""
    identity = NodeIdentity(node, names.group(gateway.name), gateway.pop)
    limits = Limits(connections=gateway.hardening.max_connections or Limits().connections)
    return BootstrapOptions(identity, xds, admin, delta, limits)
