"""What do the builders know? A gateway as it is to run, and what the installation gives to all gateways."""

from __future__ import annotations

from dataclasses import dataclass

from northgate.api.gateway import EdgeGatewaySpec
from northgate.api.proxy import Proxy
from northgate.translate.bootstrap import TcpAddress

_NOTHING_SAID = Proxy()


@dataclass(frozen=True, slots=True)
class Gateway:
    """An EdgeGateway: whose objects are made, and by what `uid` they know their owner."""

    namespace: str
    name: str
    uid: str
    spec: EdgeGatewaySpec

    @property
    def proxy(self) -> Proxy:
        """How its proxies are run."""
        return self.spec.proxy or _NOTHING_SAID

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of its listeners, sorted."""
        return tuple(sorted({listener.port for listener in self.spec.listeners}))


@dataclass(frozen=True, slots=True)
class Installation:
    """What all gateways of an installation share.

    `image` has the program `northgate` and Envoy in it. `xds` is the control plane's Service, whose certificate bears
    that host name. Statistics may be read from the namespaces in `scrapers`, nowhere else.
    """

    image: str
    xds: TcpAddress
    scrapers: tuple[str, ...] = ()
