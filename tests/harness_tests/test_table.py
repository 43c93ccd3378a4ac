from __future__ import annotations

import pytest

from northgate.ops.exchange import Outcome, Reply
from northgate.ops.table import Expect, HttpRow, TableError, TcpRow, read_table
from northgate.ops.verdict import differences, label_of, share_differences


def table_of(*lines: str) -> str:
    return "\n".join(("# About this example.", "# requests:", *(f"# {line}".rstrip() for line in lines), "kind: Route"))


def only_row(*lines: str) -> HttpRow | TcpRow:
    (row,) = read_table(table_of(*lines)).rows
    return row


def test_a_text_without_a_table_has_no_rows() -> None:
    assert read_table("# requests are described elsewhere\nkind: Route\n").rows == ()


def test_the_table_ends_at_the_first_line_that_is_no_comment() -> None:
    row = "# - get: http://a.test/\n#   expect: {status: 200}\n"
    assert len(read_table(f"# requests:\n{row}#\n{row}kind: Route\n{row}").rows) == 2


def test_a_row_keeps_what_was_written() -> None:
    row = only_row(
        "- delete: https://A.example.test:8443//x/../%2e?y=%zz",
        "  headers: {x-one: '1', x-two: [a, b]}",
        "  body: hello",
        "  http: 2",
        "  times: 7",
        "  expect:",
        "    status: 200",
        "    headers: {vary: null, link: [a, b]}",
        "    shares: {echo-a: [1, 6], 429: 1}",
    )
    assert isinstance(row, HttpRow)
    assert (row.method, row.host, row.hostname, row.port) == ("DELETE", "A.example.test:8443", "a.example.test", 8443)
    assert (row.target, row.secure, row.http, row.times) == ("//x/../%2e?y=%zz", True, 2, 7)
    assert row.headers == {"x-one": "1", "x-two": ("a", "b")}
    assert row.expect.headers == {"vary": None, "link": ("a", "b")}
    assert row.expect.shares == {"echo-a": (1, 6), "429": (1, 1)}


@pytest.mark.parametrize(
    ("url", "port", "host", "target"),
    [
        ("http://a.test", 80, "a.test", "/"),
        ("https://a.test?q", 443, "a.test", "/?q"),
        ("http://a.test:80/b", 80, "a.test:80", "/b"),
        ("http://[::1]:81/", 81, "[::1]:81", "/"),
    ],
)
def test_the_url_gives_listener_host_and_path(url: str, port: int, host: str, target: str) -> None:
    row = only_row(f"- get: {url!r}", "  expect: {status: 200}")
    assert isinstance(row, HttpRow)
    assert (row.port, row.host, row.target) == (port, host, target)


def test_tcp_rows_name_the_listener_by_its_port() -> None:
    row = only_row("- tcp: db.test:5432", '  send: "hello\\n"', "  expect: {line: tcp-a}")
    assert isinstance(row, TcpRow)
    assert (row.hostname, row.port, row.send, row.expect.line) == ("db.test", 5432, "hello\n", "tcp-a")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["status: 200"], "cases.yaml:2: the lines after `# requests:` are no YAML list"),
        (["- get http://a.test/"], "cases.yaml:3: a request is a mapping"),
        (["- fetch: http://a.test/"], "cases.yaml:3: a request has exactly one of get, head,"),
        (["- get: http://a.test/", "  put: http://a.test/"], "cases.yaml:3: a request has exactly one of"),
        (["- get: http://a.test/"], "cases.yaml:3: expect: Field required"),
        (["- get: http://a.test/", "  expect: {}"], "cases.yaml:3: expect: expects nothing"),
        (["- get: a.test/", "  expect: {status: 200}"], "cases.yaml:3: 'a.test/' is no http:// or https:// URL"),
        (["- get: http://a.test/", "  expect: {statu: 200}"], "expect.statu: Extra inputs are not permitted"),
        (["- get: http://a.test/", "  expect: {status: '200'}"], "expect.status: Input should be a valid integer"),
        (
            ["- get: http://a.test/", "  headers: {a: 1}", "  expect: {status: 200}"],
            "headers.a: Input should be a valid",
        ),
        (["- get: http://a.test/", "  expect: {body: '/(/'}"], "expect.body: /(/ is no regular expression"),
        (["- get: http://a.test/", "  expect: {seconds: [2, 1]}"], "the first bound is above the second"),
        (["- get: http://a.test/", "  expect: {shares: {a: true}}"], "expect.shares.a: "),
        (
            ["- get: http://a.test/", "  expect: {outcome: lost}"],
            "expect.outcome: Input should be 'answered', 'closed'",
        ),
        (
            ["- get: http://a.test/", "  expect: {outcome: reset, status: 200}"],
            "expect: outcome reset has no answer, so no status",
        ),
        (
            ["- get: http://a.test/", "  expect: {status: 200}", "  times: 1", "  times: 2"],
            "cases.yaml:6: times is written twice",
        ),
        (["- get: http://a.test/", "  sticky: true", "  parallel: 2", "  expect: {status: 200}"], "parallel must be 1"),
        (
            ["- get: http://a.test/", "  expect: {status: 200}", "- tcp: a.test", "  expect: {line: x}"],
            "cases.yaml:5: tcp:",
        ),
        (["- {get: ["], "cases.yaml: while parsing"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(lines: list[str], told: str) -> None:
    with pytest.raises(TableError) as error:
        read_table(table_of(*lines), "cases.yaml")
    assert told in str(error.value)
    assert str(error.value).startswith("cases.yaml:")


def test_a_comment_without_a_space_is_a_mistake() -> None:
    text = "# requests:\n# - get: http://a.test/\n#   expect: {status: 200}\n#  \n#x\n"
    with pytest.raises(TableError, match="t:5: a line of the table begins with `# `"):
        read_table(text, "t")


ANSWER = Reply(
    Outcome.ANSWERED,
    status=200,
    headers=(("Vary", "Origin"), ("vary", "Accept"), ("x-echo-upstream", "echo-a")),
    body=b'{"upstream": "echo-a", "path": "/p", "headers": {"x-a": ["1", "2"]}, "tls": {"sni": "s.test"}}',
    seconds=0.5,
)


@pytest.mark.parametrize(
    "expect",
    [
        {"status": 200, "upstream": "echo-a", "path": "/p", "sni": "s.test", "seconds": (0.4, 0.6)},
        {"headers": {"vary": "Accept"}},
        {"headers": {"VARY": ("Origin", "Accept")}},
        {"headers": {"vary": "/^Acc/", "x-none": None}},
        {"sees": {"x-a": "2", "X-A": ("1", "2"), "x-b": None}},
        {"body": '/"path": "/p"/'},
        {"shares": {"echo-a": (1, 1)}},
    ],
)
def test_a_right_answer_has_no_differences(expect: dict[str, object]) -> None:
    assert differences(Expect.model_validate(expect), ANSWER) == ()


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ({"status": 404}, "expected status 404, got 200"),
        ({"upstream": "echo-b"}, "expected upstream 'echo-b', got 'echo-a'"),
        ({"path": "/q"}, "expected path at the upstream '/q', got '/p'"),
        ({"sni": "t.test"}, "expected SNI at the upstream 't.test', got 's.test'"),
        ({"seconds": (0.0, 0.4)}, "expected 0 to 0.4 seconds, got 0.500"),
        ({"headers": {"vary": "Cookie"}}, "expected header vary 'Cookie', got 'Origin', 'Accept'"),
        ({"headers": {"vary": None}}, "expected header vary absent, got 'Origin', 'Accept'"),
        (
            {"headers": {"vary": ("Accept", "Origin")}},
            "expected header vary ('Accept', 'Origin'), got 'Origin', 'Accept'",
        ),
        ({"headers": {"x-none": "/./"}}, "expected header x-none '/./', got none"),
        ({"sees": {"x-a": "3"}}, "expected upstream saw x-a '3', got '1', '2'"),
        ({"sees": {"x-a": None}}, "expected upstream saw x-a absent, got '1', '2'"),
        ({"body": ""}, "expected body '', got '{\"upstream\""),
        ({"body": "/nothing/"}, "expected body '/nothing/', got"),
        ({"outcome": Outcome.RESET}, "expected outcome reset, got answered (200)"),
    ],
)
def test_a_wrong_answer_is_told_as_expected_against_got(expect: dict[str, object], told: str) -> None:
    (text,) = differences(Expect.model_validate(expect), ANSWER)
    assert text.startswith(told)


def test_a_request_without_an_answer_differs_from_any_expected_answer() -> None:
    lost = Reply(Outcome.CLOSED, detail="end of stream")
    assert differences(Expect(status=200), lost) == ("expected outcome answered, got closed (end of stream)",)
    assert differences(Expect(outcome=Outcome.CLOSED), lost) == ()


def test_shares_count_upstreams_own_answers_and_lost_requests() -> None:
    own = Reply(Outcome.ANSWERED, status=429)
    labels = [label_of(reply) for reply in (ANSWER, own, own, Reply(Outcome.RESET))]
    assert labels == ["echo-a", "429", "429", "reset"]
    assert share_differences({"echo-a": (1, 1), "429": (1, 2), "reset": (1, 1), "echo-b": (0, 0)}, labels) == ()
    assert share_differences({"echo-a": (2, 3), "429": (0, 2)}, labels) == (
        "share echo-a: expected 2 to 3, got 1",
        "1 x reset, which no share names",
    )
