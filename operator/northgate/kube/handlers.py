"""Who brings changes of Northgate's own kinds? Handlers of events that write nothing to any object.

They only hand over what they see. Whatever they miss is found by the audits of the mirror.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import kopf

from northgate.kube.access import Access
from northgate.kube.kinds import EVERYWHERE, KINDS, Kind, Scope
from northgate.kube.reading import Seen

OWN = tuple(kind for kind in KINDS if kind.own)
"""The kinds whose events are handled."""

Hand = Callable[[Kind, Seen, bool], None]
"""Takes an object of a kind, and whether it is gone. Called in the handlers' thread."""


log = logging.getLogger(__name__)


async def operate(access: Access, scope: Scope, hand: Hand, stop: asyncio.Event, probe_at: str = "") -> None:
    """Run the handlers in this loop until `stop`; raises when the API server is away for long.

    `probe_at` is an address such as `http://127.0.0.1:8080/healthz` under which the handlers' loop answers.
    """
    places = scope.places(OWN[0])
    everywhere = places == (EVERYWHERE,)
    async with AsyncExitStack() as sessions:
        await kopf.operator(
            registry=registry(access, hand, sessions),
            settings=settings(),
            standalone=True,
            clusterwide=everywhere,
            namespaces=() if everywhere else places,
            liveness_endpoint=probe_at or None,
            stop_flag=stop,
        )


def settings() -> kopf.OperatorSettings:
    """Nothing is posted, no peers are looked for, kinds and namespaces are not scanned, and no process is killed."""
    found = kopf.OperatorSettings()
    found.posting.enabled = False
    found.posting.loggers = False
    found.peering.standalone = True
    found.scanning.disabled = True
    found.networking.request_timeout = 15
    found.networking.connect_timeout = 10
    found.networking.trust_env = False
    found.watching.connect_timeout = 10
    found.watching.chunk_size = 500
    found.process.ultimate_exiting_timeout = None
    return found


def registry(access: Access, hand: Hand, sessions: AsyncExitStack) -> kopf.OperatorRegistry:
    """The handlers, and nobody else's; what they call the API server with is closed with `sessions`."""
    found = kopf.OperatorRegistry()
    for kind in OWN:
        _handle(found, kind, hand)

    async def login(**_: Any) -> kopf.AiohttpSession:
        session = await sessions.enter_async_context(access.session())
        return kopf.AiohttpSession(server=access.server, aiohttp_session=session, default_namespace=access.namespace)

    async def startup(**_: Any) -> None:
        log.info("the handlers of %s begin", ", ".join(kind.name for kind in OWN))

    async def cleanup(**_: Any) -> None:
        log.info("the handlers ended")

    async def alive(**_: Any) -> bool:
        return True

    kopf.on.login(registry=found)(login)
    kopf.on.startup(registry=found)(startup)
    kopf.on.cleanup(registry=found)(cleanup)
    kopf.on.probe(registry=found)(alive)
    return found


def _handle(registered: kopf.OperatorRegistry, kind: Kind, hand: Hand) -> None:
    served = kind.served[0]

    async def on_event(event: Mapping[str, Any], **_: Any) -> None:
        hand(kind, seen(kind, event["object"]), event["type"] == "DELETED")

    kopf.on.event(served.group, served.version, kind.plural, id=kind.plural, registry=registered)(on_event)


def seen(kind: Kind, document: Mapping[str, Any]) -> Seen:
    """An object as an event carries it."""
    metadata = document["metadata"]
    key = kind.key(kind.served[0].group, metadata.get("namespace", ""), metadata["name"])
    return Seen(key, metadata.get("resourceVersion", ""), lambda: dict(document))
