"""What is a user told about a mistake? A corpus of broken objects and the sentences they earn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from northgate.api.base import Model
from northgate.api.conditions import Reason
from northgate.api.forms import FORMS, repaired
from northgate.api.gateway import EdgeGatewaySpec
from northgate.api.problems import problems_of
from northgate.api.route import RouteSpec
from northgate.api.schema import Schema, structural
from northgate.api.spellings import SPELLINGS, nearest, translated
from northgate.api.upstream import UpstreamSpec

SPECS = {"route": RouteSpec, "gateway": EdgeGatewaySpec, "upstream": UpstreamSpec}


def told(kind: str, text: str) -> list[str]:
    model = SPECS[kind]
    encoded = json.dumps(yaml.safe_load(text))
    try:
        model.model_validate_json(encoded, by_alias=True, by_name=False)
    except ValidationError as error:
        return [str(problem) for problem in problems_of(error, model)]
    return []


def listener(text: str) -> str:
    return f"listeners: [{{name: web, {text}}}]"


def corpus() -> Iterator[tuple[str, str, str]]:
    for case in yaml.safe_load(Path(__file__).with_name("problems.yaml").read_text(encoding="utf-8")):
        (kind, text), (_, sentence) = case.items()
        yield kind, text, sentence


CORPUS = list(corpus())


@pytest.mark.parametrize(("kind", "text", "message"), CORPUS, ids=[message for *_, message in CORPUS])
def test_a_broken_object_gets_one_sentence_with_path_and_remedy(kind, text, message):
    wanted = ".*".join(map(re.escape, message.split("…")))

    (sentence,) = told(kind, text)

    assert re.fullmatch(wanted, sentence), sentence


def test_two_rules_broken_in_one_block_are_two_problems():
    text = listener("port: 80, protocol: TCP, hostname: a, tls: {mode: Passthrough}")

    assert told("gateway", text) == [
        "listeners[0]: tls is required for protocol HTTPS and TLS and forbidden otherwise",
        "listeners[0]: a TCP listener has no hostname: TCP carries none",
    ]


def test_what_follows_from_another_mistake_is_left_out():
    text = "parentRefs: [{name: A}]\nrules: [{backendRefs: [{name: a, port: 0}]}]"

    assert [line.partition(":")[0] for line in told("route", text)] == [
        "parentRefs[0].name",
        "rules[0].backendRefs[0].port",
    ]


def test_an_empty_spec_names_its_fields():
    assert told("route", "") == ["nothing is written here; write a block with parentRefs, hostnames, rules"]


def test_without_a_model_paths_and_pydantics_words_remain():
    with pytest.raises(ValidationError) as caught:
        RouteSpec.model_validate_json('{"parentRefs": [{"name": "edge"}], "rules": [{"respond": {"status": 1}}]}')

    (problem,) = problems_of(caught.value)

    assert problem.path == ("rules", 0, "respond", "status")
    assert problem.reason is Reason.INVALID
    assert problem.message == "Input should be greater than or equal to 200"


def test_text_that_is_no_json_is_one_problem():
    with pytest.raises(ValidationError) as caught:
        RouteSpec.model_validate_json('{"parentRefs": ')

    (problem,) = problems_of(caught.value, RouteSpec)

    assert str(problem).startswith("not JSON: EOF")


class Login(Model):
    """A block with credentials."""

    client_secret: tuple[int, ...]
    """The secret."""


def test_a_value_under_a_private_name_is_not_repeated():
    with pytest.raises(ValidationError) as caught:
        Login.model_validate_json('{"clientSecret": "hunter2"}', by_alias=True, by_name=False)

    (problem,) = problems_of(caught.value, Login)

    assert "hunter2" not in str(problem)
    assert str(problem).startswith("clientSecret: the value is text; ")


def test_long_values_are_shortened():
    text = f"upstream: {'x' * 500}"

    assert all(len(line) < 200 for line in told("upstream", f"dns: {text[10:]}"))


@pytest.mark.parametrize("word", SPELLINGS)
def test_every_spelling_of_other_products_leads_to_ours(word):
    for ours in SPELLINGS[word]:
        assert translated(word, {ours.partition(".")[0], "other"}) == ours
    assert translated(word, {"other"}) is None
    assert word not in SPELLINGS[word]


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("hostname", ("hostnames", "rules"), "hostnames"),
        ("retry_on", ("retryOn",), "retryOn"),
        ("BACKENDREFS", ("backendRefs",), "backendRefs"),
        ("x", ("hostnames",), None),
    ],
)
def test_the_nearest_word(word, known, expected):
    assert nearest(word, known) == expected


def patterns(schema: Schema) -> Iterator[str]:
    if "pattern" in schema:
        yield schema["pattern"]
    for inner in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if inner:
            yield from patterns(inner)


@pytest.mark.parametrize("kind", SPECS)
def test_every_pattern_has_words(kind):
    assert set(patterns(structural(SPECS[kind]))) - set(FORMS) == set()


REPAIRS = [
    ("Ab.C", "ab-c", r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
    ("50 %", "50", r"^(100|[0-9]{1,2}(\.[0-9]{1,4})?)$"),
    ("32kb", "32Ki", r"^[0-9]{1,9}(Ki|Mi|Gi)?$"),
    ("32 Ki", "32Ki", r"^[0-9]{1,9}(Ki|Mi|Gi)?$"),
    ("32XX", None, r"^[0-9]{1,9}(Ki|Mi|Gi)?$"),
    ("/a?b=c", "/a", r"^/[!-\x22\x24-\x3e\x40-\x7e]*$"),
    ("10.0.0.0 / 8", "10.0.0.0/8", r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"),
    ("anything", None, "^of another form$"),
]


@pytest.mark.parametrize(("text", "meant", "pattern"), REPAIRS)
def test_usual_mistakes_are_repaired(text, meant, pattern):
    assert repaired(text, pattern) == meant
