"""How is a request closed without any answer?

`reset` closes the client's connection, or over HTTP/2 its stream alone, without a byte of an answer; no backend sees
the request. `drop` lets the client wait first. To treat a share of requests so, give the rule's matches a `percent`:
the other requests go on to the next rule that matches them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar, Final

from envoy.config.route.v3.route_components_pb2 import FilterConfig
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.wasm.v3.wasm_pb2 import Wasm
from envoy.type.v3.percent_pb2 import FractionalPercent
from google.protobuf.any_pb2 import Any as PackedMessage

from northgate.api.base import Duration, milliseconds
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature
from northgate.api.filters import FAULT

LONGEST_WAIT: Final = "1m"
MOST_WAITING: Final = 10_000
"""Requests of one listener that may wait before they are closed: each holds a connection or stream."""

_NAME = "northgate_reset"
_UNREACHED_STATUS = 503


def _wasm() -> Wasm:
    """The module is inline, so that a proxy needs nothing but its configuration; all listeners share one machine."""
    config = Wasm()
    config.config.name = config.config.root_id = _NAME
    machine = config.config.vm_config
    machine.vm_id = _NAME
    machine.runtime = "envoy.wasm.runtime.v8"
    machine.code.local.inline_bytes = _module()
    return config


@cache
def _module() -> bytes:
    """The assembled `tools/reset_module.wat`."""
    return files(__package__).joinpath("reset_module.wasm").read_bytes()


RESET: Final = HttpFilter("northgate.filters.reset", _wasm)
"""Closes the stream; where it is switched on, nothing behind it is reached."""


class Reset(RouteFeature):
    """Close the request's connection (HTTP/2: its stream) at once, without an answer."""

    answers: ClassVar[bool] = True
    filters: ClassVar[tuple[HttpFilter, ...]] = (RESET,)

    def apply(self, draft: RouteDraft) -> None:
        """Switch the module on."""
        _close(draft)


class Drop(RouteFeature):
    """Let the client wait, then close its connection (HTTP/2: its stream) without an answer."""

    answers: ClassVar[bool] = True
    filters: ClassVar[tuple[HttpFilter, ...]] = (FAULT, RESET)

    after: Duration
    """How long the client waits, at most `1m`. While 10,000 requests of a listener wait, more are closed at once."""

    def problems(self) -> Iterable[Problem]:
        """Waiting requests hold connections, so they wait for a bounded time."""
        if not 0 < milliseconds(self.after) <= milliseconds(LONGEST_WAIT):
            found = f"{self.after} is not between 1ms and {LONGEST_WAIT}; write reset: {{}} to close at once"
            yield Problem(("after",), Reason.UNSUPPORTED_VALUE, found)

    def apply(self, draft: RouteDraft) -> None:
        """Delay the request, then close it."""
        fault = HTTPFault()
        fault.delay.fixed_delay.FromMilliseconds(milliseconds(self.after))
        fault.delay.percentage.CopyFrom(FractionalPercent(numerator=100))
        fault.max_active_faults.value = MOST_WAITING
        draft.enable(FAULT.name, fault)
        _close(draft)


def _close(draft: RouteDraft) -> None:
    # A route needs an action; the module ends the request before it is taken.
    draft.route.direct_response.status = _UNREACHED_STATUS
    draft.enable(RESET.name, FilterConfig(config=_switched_on()))


def _switched_on() -> Any:
    return PackedMessage()
