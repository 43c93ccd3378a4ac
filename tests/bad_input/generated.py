"""Which bad inputs are too large, or too fresh, to be written down? Limits, and certificates no proxy would take."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping

from tests.bad_input.cases import Case, object_text, rules_text
from tests.harness.certificates import Pair, TlsPairs

FAULTS = {
    "mismatched": {"tls.key": "does not belong to the first certificate in tls.crt"},
    "garbage": {"tls.crt": "holds a damaged certificate", "tls.key": "holds a damaged private key"},
    "truncated": {"tls.key": "holds a damaged private key"},
    "encrypted": {"tls.key": "is encrypted; store it without a pass phrase"},
    "rsa_1024": {"tls.key": "is an RSA key of 1024 bits; proxies take 2048 or more"},
}
"""What is told of each bad pair, by the key of the Secret."""


def limits() -> Iterator[Case]:
    """Objects and files at and above what is allowed."""
    yield _rules(
        "ten-thousand-rules",
        "- respond: {status: 200}\n" * 10_000,
        "8:…: spec.rules: 10000 entries were found; write at most 128",
    )
    yield _rules(
        "body-of-four-thousand-letters",
        f"- respond: {{status: 200, body: {'é' * 4096}}}\n",
        "8:…: spec.rules[0].respond.body: has 8192 bytes in UTF-8; shorten it to 4096",
    )
    yield _rules(
        "body-too-long",
        f"- respond: {{status: 200, body: {'e' * 4097}}}\n",
        "8:…: spec.rules[0].respond.body: the text has 4097 characters; write at most 4096",
    )
    yield _rules(
        "page-of-four-thousand-letters",
        f"- maintenance: {{page: {{body: {'é' * 4096}}}}}\n  respond: {{status: 200}}\n",
        "8:…: spec.rules[0].maintenance.page.body: longer than 4096 bytes in UTF-8; shorten it",
    )
    yield _rules(
        "header-value-too-long",
        f"- respond: {{status: 200, headers: [{{name: a, value: {'e' * 2049}}}]}}\n",
        "8:…: spec.rules[0].respond.headers[0].value: the text has 2049 characters; write at most 2048",
    )
    yield _rules("longest-prefix-removed", _removed_prefix(1024))
    yield _rules(
        "longest-cookie",
        f"- matches: [{{cookies: [{{name: a, type: Contains, value: {'c' * 1024}}}]}}]\n  respond: {{status: 200}}\n",
    )
    yield _rules("one-megabyte", _many_matches())
    yield _upstream("too-many-endpoints", 257, "spec.static: 257 entries were found; write at most 256")
    yield Case(
        "too-large-a-file",
        "generated",
        {"too-large-a-file.yaml": b"# " + b"x" * (8 << 20)},
        ("too-large-a-file.yaml:1:1: error: the file is larger than 8 MiB, so split it",),
    )


def _upstream(name: str, endpoints: int, told: str) -> Case:
    listed = "".join(f"- {{address: 192.0.2.{number}, port: 80}}\n" for number in range(endpoints))
    content = object_text("Upstream", name, f"static:\n{listed}").encode()
    return Case(name, "generated", {f"{name}.yaml": content}, (f"{name}.yaml:6:…: error: Upstream bad/{name}: {told}",))


def certificates(pairs: TlsPairs) -> Iterator[Case]:
    """Gateways whose certificate is of no use, each with the reason."""
    for name, faults in FAULTS.items():
        yield _certificate(f"certificate-{name.replace('_', '-')}", pairs.bad[name], faults)


def _certificate(name: str, pair: Pair, faults: Mapping[str, str]) -> Case:
    spec = f"listeners: [{{name: web, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: {name}}}]}}}}]\n"
    data = {"tls.crt": _encoded(pair.certificate), "tls.key": _encoded(pair.key)}
    head = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: bad}}\n"
    secret = f"{head}type: kubernetes.io/tls\ndata: {data}\n"
    first, fault = next(iter(faults.items()))
    listener = f"spec.listeners[0]: ResolvedRefs InvalidCertificateRef: Secret bad/{name}: data.{first}: {fault}"
    return Case(
        name,
        "generated",
        {f"{name}.yaml": f"{object_text('EdgeGateway', name, spec)}---\n{secret}".encode()},
        (
            f"{name}.yaml:5:15: warning: EdgeGateway bad/{name}: {listener}",
            *(f'{name}.yaml:11:…: error: Secret bad/{name}: data["{key}"]: {told}' for key, told in faults.items()),
        ),
    )


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _rules(name: str, rules: str, *told: str) -> Case:
    said = (
        f"{name}.yaml:{place}: error: Route bad/{name}: {sentence}"
        for line in told
        for place, _, sentence in (line.partition(": "),)
    )
    return Case(name, "generated", {f"{name}.yaml": rules_text(name, rules).encode()}, tuple(said))


def _removed_prefix(length: int) -> str:
    action = "backendRefs: [{kind: Upstream, name: steady}]\n  rewrite: {path: {replacePrefix: /}}\n"
    return f"- matches: [{{path: {{value: /{'a' * (length - 1)}}}}}]\n  {action}"


def _many_matches() -> str:
    """The largest object an API server would take, with nothing wrong in it: 128 rules of 64 matches."""
    path = "x" * 120
    return "".join(
        "- respond: {status: 200}\n  matches:\n"
        + "".join(f"  - {{path: {{value: /{rule}/{match}/{path}}}}}\n" for match in range(64))
        for rule in range(128)
    )
