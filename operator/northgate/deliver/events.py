"""What happened on a stream, as values: the ledger's and the logs' only source. They hold no secrets.

Times are no part of an event; whoever records it says when.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """A proxy told who it is: its node id, its group and the dialect it speaks."""

    proxy: str
    group: str
    dialect: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The stream is over."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The proxy asked for a type for the first time on this stream."""

    type_url: str


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The proxy asks for nothing of a type any more."""

    type_url: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A response was handed to the stream. `version` is the version of the set the proxy then holds."""

    type_url: str
    version: str


@dataclass(frozen=True, slots=True)
class Acked:
    """The proxy accepted a response, or came with that version already in use."""

    type_url: str
    version: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The proxy refused a response. `resources`: the culprits as far as they are known; `message` is scrubbed."""

    type_url: str
    version: str
    nonce: str
    resources: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a proxy is with a type: `behind` is the first revision it has not ACKed, None if it has all.

    Clusters and endpoints that are only waiting for their removal do not count: nothing uses them.
    """

    type_url: str
    behind: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """A gate timed out: these resources stay behind, because the proxy did not ACK clusters they depend on."""

    type_url: str
    resource: str
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedIdentity:
    """Two live proxies seem to use one node id: a stream that was closed for a newer one came back at once."""

    proxy: str


Event = (
    Connected | Disconnected | Subscribed | Unsubscribed | Sent | Acked | Rejected | Progress | Held | SharedIdentity
)
