"""What does the proxy make of a path whose prefix is replaced? Envoy puts `prefix_rewrite` where the prefix was."""

from __future__ import annotations

import re

import pytest
from envoy.config.route.v3 import route_components_pb2 as rc

from northgate.api.path_rewrite import PathRewrite


@pytest.mark.parametrize(
    ("prefix", "replacement", "path", "wanted"),
    [
        ("/api", "/v2", "/api/x", "/v2/x"),
        ("/api", "/v2", "/api", "/v2"),
        ("/api/", "/v2/", "/api/x", "/v2/x"),
        ("/api", "/", "/api/x", "/x"),
        ("/api", "/", "/api", "/"),
        ("/", "/v2", "/x", "/v2/x"),
        ("/", "/v2", "/", "/v2/"),
        ("/", "/", "/x", "/x"),
    ],
)
def test_prefix(prefix: str, replacement: str, path: str, wanted: str) -> None:
    action = rc.RouteAction()
    PathRewrite(replace_prefix=replacement).write(action, prefix)
    if action.prefix_rewrite:
        # The match is `path_separated_prefix` without a slash at its end, or `prefix: /`.
        rewritten = action.prefix_rewrite + path[len(prefix.rstrip("/") or "/") :]
    else:
        rewrite = action.regex_rewrite
        rewritten = re.sub(rewrite.pattern.regex, rewrite.substitution, path, count=1)
    assert rewritten == wanted
