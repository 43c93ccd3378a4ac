"""How are requests spread over endpoints? By load, by chance, or by a key of the request that keeps its endpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from northgate.api.base import AbsolutePath, CrossRule, Duration, HeaderName, Model, exactly_one, text

CookieName = Annotated[str, text(r"[A-Za-z0-9_-]+", 64)]
QueryName = Annotated[str, text(r"[A-Za-z0-9._~-]+", 128)]


class HashCookie(Model):
    """A cookie whose value is the key."""

    name: CookieName
    """Name of the cookie."""
    ttl: Duration | None = None
    """Give clients without the cookie a new one that lives so long, `0s` for the browser's session; when absent only
    the application issues it."""
    path: AbsolutePath | None = None
    """Path of the issued cookie; `/` when absent."""

    cross_rules = (
        CrossRule(
            "!has(self.path) || has(self.ttl)",
            "path belongs to an issued cookie; set ttl too, or remove path",
            lambda cookie: cookie.path is None or cookie.ttl is not None,
        ),
    )


class SourceAddress(Model):
    """The client's address is the key."""


class ConsistentHash(Model):
    """The part of a request that chooses the endpoint; any where it is absent. TCP and TLS know `sourceIP` only."""

    header: HeaderName | None = None
    """Value of this request header."""
    cookie: HashCookie | None = None
    """Value of a cookie."""
    source_ip: Annotated[SourceAddress | None, Field(alias="sourceIP")] = None
    """Address of the client, as the gateway's trusted hops tell it."""
    query_param: QueryName | None = None
    """Value of this query parameter."""

    cross_rules = (exactly_one("header", "cookie", "sourceIP", "queryParam"),)


class SlowStart(Model):
    """Let new endpoints warm up: their share of the requests grows from a tenth to the whole."""

    window: Duration
    """Time until a new endpoint has its whole share."""


class LoadBalancer(Model):
    """How an endpoint is chosen for each request."""

    type: Literal["LeastRequest", "RoundRobin", "Random", "Maglev", "RingHash"] | None = None
    """`LeastRequest`: the less busy of two endpoints drawn at random. `RoundRobin`: one after the other. `Random`: any.
    `Maglev` and `RingHash`: by `consistentHash`; when an endpoint leaves, Maglev moves the fewest keys of others.
    When absent: `Maglev` with `consistentHash`, else `LeastRequest` for requests and `RoundRobin` for connections."""
    consistent_hash: ConsistentHash | None = None
    """The part of a request that keeps it on one endpoint."""
    slow_start: SlowStart | None = None
    """Let new endpoints warm up."""

    cross_rules = (
        CrossRule(
            "has(self.type) ? (self.type in ['Maglev', 'RingHash']) == has(self.consistentHash) : true",
            "consistentHash is required for type Maglev and RingHash and forbidden for the others",
            lambda block: block.type is None or block.by_hash == (block.consistent_hash is not None),
        ),
        CrossRule(
            "!has(self.slowStart) || "
            "(has(self.type) ? self.type in ['LeastRequest', 'RoundRobin'] : !has(self.consistentHash))",
            "slowStart works with type LeastRequest and RoundRobin; choose one of them or remove slowStart",
            lambda block: block.slow_start is None or block.policy in ("LeastRequest", "RoundRobin"),
        ),
    )

    @property
    def policy(self) -> str:
        """The type that counts."""
        return self.type or ("Maglev" if self.consistent_hash is not None else "LeastRequest")

    @property
    def by_hash(self) -> bool:
        """True when a key of the request chooses the endpoint."""
        return self.policy in ("Maglev", "RingHash")
