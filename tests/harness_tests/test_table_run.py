from __future__ import annotations

from pathlib import Path

from tests.harness.certificates import TlsPairs
from tests.harness.ports import HeldPorts

from northgate.ops.echo import Answer, EchoUpstream, Seen
from northgate.ops.echo_server import EchoUpstreams, HttpEcho
from northgate.ops.table import read_table
from northgate.ops.table_run import Place, Result, run_table

WRONG = r"""
# requests:
# - get: http://a.test/
#   expect: {status: 404, upstream: echo-b, headers: {x-echo-upstream: null}}
# - get: http://a.test/?fail_first=2&key=w
#   times: 5
#   expect: {status: 200}
# - get: http://a.test/
#   expect: {outcome: reset}
# - get: http://a.test/?drop=reset
#   expect: {status: 200}
# - get: http://a.test/
#   expect: {shadowed: echo-b}
# - get: http://a.test/
#   expect: {shadowed: echo-z}
# - get: http://a.test:8080/
#   expect: {status: 200}
# - get: http://a.test/
#   certificate: alice
#   expect: {status: 200}
# - tcp: a.test:5432
#   times: 2
#   expect: {line: tcp-b, shares: {tcp-a: 1}}
# - tcp: a.test:5433
#   expect: {line: tcp-a}
"""


async def results(text: str, place: Place) -> list[Result]:
    return [result async for result in run_table(read_table(text), place)]


def direct(ups: EchoUpstreams, free_port: HeldPorts) -> Place:
    """No proxy: the first upstream stands for the edge."""
    http, tcp, nobody = ups.port("echo-a"), ups.port("tcp-a"), free_port()
    ports = {80: http, 5432: tcp, 5433: nobody}
    return Place({port: ("127.0.0.1", real) for port, real in ports.items()}, upstreams=ups, seconds=1)


async def test_every_wrong_row_fails_and_says_what_was_expected_and_got(
    echo_upstreams: EchoUpstreams, free_port: HeldPorts
) -> None:
    found = await results(WRONG, direct(echo_upstreams, free_port))
    told = [result.complaints for result in found]
    assert told[0] == (
        "expected status 404, got 200",
        "expected header x-echo-upstream absent, got 'echo-a'",
        "expected upstream 'echo-b', got 'echo-a'",
    )
    assert told[1] == ("expected status 200, got 503 (2 of 5)",)
    assert told[2] == ("expected outcome reset, got answered (200)",)
    assert told[3][0].startswith("expected outcome answered, got reset (")
    assert told[4] == ("expected a copy of the request at echo-b, which saw none",)
    assert told[5] == ("upstream 'echo-z' cannot be asked what it saw",)
    assert told[6] == ("no listener on port 8080 is known (known: 80, 5432, 5433)",)
    assert told[7] == ("no client certificate is called 'alice'",)
    assert told[8] == ("expected line 'tcp-b', got 'tcp-a' (2 of 2)", "share tcp-a: expected 1 to 1, got 2")
    assert told[9][0].startswith("expected outcome answered, got refused (")
    assert found[0].message.startswith("FAILED: GET http://a.test/\n    expected status 404, got 200")


async def test_a_second_run_of_a_table_begins_anew(echo_upstreams: EchoUpstreams, free_port: HeldPorts) -> None:
    text = "# requests:\n# - get: http://a.test/?fail_first=1&key=k\n#   expect: {status: 503}\n"
    place = direct(echo_upstreams, free_port)
    assert [result.message for _ in range(2) for result in await results(text, place)] == [
        "passed: GET http://a.test/?fail_first=1&key=k"
    ] * 2


async def test_sticky_rows_send_cookies_back_and_want_one_upstream(
    echo_upstreams: EchoUpstreams, free_port: HeldPorts
) -> None:
    text = (
        "# requests:\n"
        "# - get: http://a.test/?header=set-cookie:s%3Done;Path%3D/&header=set-cookie:t%3Dtwo\n"
        "#   sticky: true\n"
        "#   times: 3\n"
        "#   headers: {x-a: b}\n"
        "#   expect: {status: 200}\n"
    )
    (result,) = await results(text, direct(echo_upstreams, free_port))
    assert result.passed
    sent = [seen.headers.get("cookie") for seen in echo_upstreams["echo-a"].recent]
    assert sent == [None, ("s=one; t=two",), ("s=one; t=two",)]


class Wandering(EchoUpstream):
    """Calls itself something else each time."""

    def answer(self, seen: Seen) -> Answer:
        self.name = f"echo-{self.requests % 2}"
        return super().answer(seen)


async def test_a_sticky_row_that_wanders_fails() -> None:
    text = "# requests:\n# - get: http://a.test/\n#   sticky: true\n#   times: 4\n#   expect: {status: 200}\n"
    server = HttpEcho(Wandering("echo"))
    await server.start()
    (result,) = await results(text, Place({80: ("127.0.0.1", server.port)}))
    await server.stop()
    assert result.complaints == ("expected one upstream for all, got {'echo-0': 2, 'echo-1': 2}",)


async def test_a_host_header_may_differ_from_the_name_asked_for_by_sni(tls_pairs: TlsPairs, tmp_path: Path) -> None:
    tls = tls_pairs.issue("a.test").echo_tls(tmp_path)
    text = (
        "# requests:\n# - get: https://a.test/\n#   headers: {Host: b.test}\n"
        "#   expect: {sni: a.test, sees: {host: [b.test]}}\n"
        "# - get: https://c.test/\n#   expect: {outcome: handshake}\n"
    )
    async with EchoUpstreams(("echo-a",), tls=tls) as ups:
        place = Place({443: ("127.0.0.1", ups.port("echo-a"))}, ca=tls_pairs.write_ca(tmp_path))
        assert [result.message for result in await results(text, place) if not result.passed] == []
