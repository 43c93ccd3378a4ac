from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness.certificates import TlsPairs
from tests.harness.envoy import StartEnvoy
from tests.harness.load import Kind, Load
from tests.harness.static_envoy import bootstrap, cluster, http_listener, route

from northgate.ops.echo import Answer, EchoUpstream, Seen
from northgate.ops.echo_server import EchoUpstreams, HttpEcho
from northgate.ops.exchange import ClientTls, Outcome, Target


class Faulty(EchoUpstream):
    """Answers its hundredth request as the test says."""

    def __init__(self, fault: str) -> None:
        super().__init__("echo-a")
        self._fault = fault
        self._last = b""

    def answer(self, seen: Seen) -> Answer:
        good = super().answer(seen)
        previous, self._last = self._last, good.body
        if self.requests != 100:
            return good
        match self._fault:
            case "close" | "reset":
                return replace(good, drop=self._fault)
            case "foreign":
                return replace(good, body=previous)
            case "hang":
                return replace(good, delay=60)
            case _:
                return replace(good, status=int(self._fault))


@asynccontextmanager
async def serving(upstream: EchoUpstream) -> AsyncIterator[Target]:
    server = HttpEcho(upstream)
    await server.start()
    try:
        yield Target(("127.0.0.1", server.port))
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("503", "status 503"),
        ("close", "closed (end of stream)"),
        ("reset", "reset ("),
        ("foreign", "the answer to another request"),
        ("hang", "timeout (no answer within 1 s)"),
    ],
)
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "new"])
async def test_one_bad_answer_among_hundreds_is_found(fault: str, told: str, *, keep: bool) -> None:
    async with (
        serving(Faulty(fault)) as target,
        Load([Kind("plain", target, "load.example.test", keep=keep)], seconds=1) as load,
    ):
        await load.reach(200)
    assert [entry.error.startswith(told) for entry in load.unexpected] == [True], load.summary()
    with pytest.raises(AssertionError, match="1 unexpected"):
        load.assert_clean()


async def test_a_dead_upstream_and_a_wrong_one_are_found(echo_upstreams: EchoUpstreams) -> None:
    def kind(name: str) -> Kind:
        target = Target(("127.0.0.1", echo_upstreams.port(name)))
        return Kind(name, target, "load.example.test", keep=False, upstreams=frozenset({"echo-a"}))

    await echo_upstreams.stop("echo-c")
    async with Load([kind("echo-a"), kind("echo-b"), kind("echo-c")]) as load:
        await load.reach(90)
    errors = {entry.kind: (entry.outcome, entry.error) for entry in load.unexpected}
    assert errors["echo-b"] == (Outcome.ANSWERED, "answered by echo-b")
    assert errors["echo-c"][0] is Outcome.REFUSED
    assert set(errors) == {"echo-b", "echo-c"}


async def test_too_few_requests_are_no_proof(echo_upstreams: EchoUpstreams) -> None:
    target = Target(("127.0.0.1", echo_upstreams.port("echo-a")))
    async with Load([Kind("plain", target, "load.example.test")]) as load:
        await load.reach(5)
    with pytest.raises(AssertionError, match="0 unexpected"):
        load.assert_clean(at_least=100_000)


async def test_slow_answers_do_not_hold_back_later_requests(echo_upstreams: EchoUpstreams) -> None:
    target = Target(("127.0.0.1", echo_upstreams.port("echo-a")))
    slow = Kind("slow", target, "load.example.test", "/?delay=30s")
    async with Load([slow], seconds=1) as load:
        assert await echo_upstreams["echo-a"].saw(lambda seen: seen.headers["x-load"] == ("99",), 60)
        assert not load.ledger
    assert {entry.outcome for entry in load.ledger} == {Outcome.TIMEOUT}


async def test_clear_and_tls_kept_and_new_run_clean_through_a_real_envoy(
    echo_upstreams: EchoUpstreams, envoys: StartEnvoy, tls_pairs: TlsPairs, tmp_path: Path
) -> None:
    pair = tls_pairs.issue("load.example.test")
    routes = {"load.example.test": [route("/", "echo-a")]}
    listeners = [http_listener("http", routes), http_listener("https", routes, pair)]
    envoy = await envoys(bootstrap(listeners, [cluster("echo-a", echo_upstreams.port("echo-a"))]))
    at = await envoy.listeners()
    tls = ClientTls("load.example.test", tls_pairs.write_ca(tmp_path))
    targets = {"http": Target(at["http"]), "https": Target(at["https"], tls), "h2": Target(at["https"], tls, http=2)}
    kinds = [
        Kind(f"{name}-{'kept' if keep else 'new'}", target, "load.example.test", keep=keep, share=8 if keep else 1)
        for name, target in targets.items()
        for keep in (True, False)
    ]
    async with Load(kinds, rate=500) as load:
        await load.reach(1000)
    load.assert_clean(at_least=1000)
    assert {entry.kind for entry in load.ledger} == {kind.name for kind in kinds}
    assert all(not entry.reused for entry in load.ledger if entry.kind.endswith("new"))
    assert {entry.serial for entry in load.ledger} == {"", pair.serial}
    assert echo_upstreams["echo-a"].requests == len(load.ledger)
