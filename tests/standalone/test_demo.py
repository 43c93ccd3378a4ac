"""Does the demo show what it promises, and does it say what is wrong when that does not come true?"""

from __future__ import annotations

import re

import pytest
from tests.harness.edge import EXAMPLES
from tests.standalone.server import run

pytestmark = pytest.mark.envoy

WRONG = """\
# requests:
# - get: http://wrong.example.test/
#   expect: {status: 204}
apiVersion: northgate.dev/v1alpha1
kind: Route
metadata: {name: wrong, namespace: demo}
spec:
  parentRefs: [{name: edge, namespace: edge}]
  hostnames: [wrong.example.test]
  rules:
  - respond: {status: 200}
"""


@pytest.mark.slow
async def test_the_demo_checks_the_examples_and_an_edit(envoy_binary):
    code, out, err = await run("demo", "--once")
    assert (code, err) == (0, "")
    assert re.search(r"an edit was live after \d+ ms", out)
    assert "✗" not in out


async def test_an_example_that_does_not_hold_is_an_error_that_says_what_was_expected(envoy_binary, tmp_path):
    (tmp_path / "edge.yaml").write_text((EXAMPLES / "edge.yaml").read_text())
    (tmp_path / "wrong.yaml").write_text(WRONG)
    code, out, err = await run("demo", str(tmp_path), "--once")
    assert code == 1
    assert re.search(r"200 +GET http://wrong.example.test/ .*✗ not as expected", out)
    assert "✗ FAILED: " in err
    assert "wrong.example.test" in err
    assert "204" in err
    assert "Traceback" not in err


async def test_without_the_envoy_it_is_told_of_the_demo_ends_at_once(tmp_path):
    code, _, err = await run("demo", "--envoy-path", str(tmp_path / "envoy"), "--once")
    assert code == 1
    assert err.startswith("✗ the path given names ")
