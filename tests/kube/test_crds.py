"""Does a real API server understand the CRDs as meant: what it takes, refuses and says, merges, fills in and shows?"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.api.near import spoiled
from tests.api.openapi import complaints, pruned
from tests.charts.binaries import CommandError, Tool
from tests.kube.planted import KINDS, Bad, Place, bad_values, breaking, document, good_spec, places, planted, root
from tests.kube.planted import rules as cel_rules
from tests.kube.rig.client import ApiError, Document, Key, Kube, condition
from tests.kube.rig.definitions import CRDS

from northgate.api.parse import GROUP, VERSION

pytestmark = pytest.mark.usefixtures("crds")

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
RULES = [pytest.param(place, rule, id=f"{place.kind} {place.path}: {rule['message']}") for place, rule in cel_rules()]
NEAR_VALID, GOOD = 150, 10
SHORT = {"EdgeGateway": "egw", "Route": "ngr", "Upstream": "ngu"}
GATEWAY: Document = {"pop": "fra-1", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}


async def refusal(kube: Kube, target: Document, part: str) -> ApiError | None:
    """How the server refuses an object, or its status when that is the part; None when it takes it."""
    try:
        if part == "status":
            now = await kube.get(target)
            path = f"{await kube.path(target)}/status"
            await kube.call("PUT", path, now | {"status": target["status"]}, dryRun="All", fieldValidation="Strict")
        else:
            await kube.create(target, dryRun="All")
    except ApiError as error:
        return error
    return None


def an_object(kind: str, namespace: str, spec: Any = None, status: Any = None) -> Document:
    found = document(kind, good_spec(kind) if spec is None else spec, namespace)
    return found if status is None else found | {"status": status}


def with_part(place: Place, value: Any, namespace: str) -> Document:
    return an_object(place.kind, namespace, **{place.steps[0]: planted(place, value)})


@pytest.mark.parametrize("kind", KINDS)
async def test_the_committed_definitions_are_established(kube: Kube, crds: tuple[Document, ...], kind: str) -> None:
    (definition,) = (one for one in crds if one["spec"]["names"]["kind"] == kind)

    found = await kube.get(definition)

    assert {one: condition(found, one) for one in ("NamesAccepted", "Established", "NonStructuralSchema")} == {
        "NamesAccepted": "True",
        "Established": "True",
        "NonStructuralSchema": "",
    }
    assert found["spec"]["versions"][0]["schema"] == definition["spec"]["versions"][0]["schema"]


async def test_plain_kubectl_apply_takes_the_definitions(kubectl: Tool) -> None:
    told = await kubectl("apply", "--dry-run=server", "--server-side=false", "-f", CRDS)

    assert told.count("serverside-applied" if "serverside" in told else "(server dry run)") == len(KINDS)


@pytest.mark.parametrize(("place", "rule"), RULES)
async def test_a_rule_is_refused_where_and_as_it_says(
    kube: Kube, namespace: str, place: Place, rule: dict[str, str]
) -> None:
    bad = breaking(place.schema, rule["rule"], random.Random(rule["rule"]).choice)

    refused = await refusal(kube, with_part(place, bad, namespace), place.steps[0])

    assert refused is not None, bad
    assert (place.path, rule["message"]) in [(path, said.partition(": ")[2]) for path, said in _told(refused)], refused


def _told(refused: ApiError) -> Iterable[tuple[str, str]]:
    """Causes without the values they quote."""
    return ((path, re.sub(r'^(Invalid value): "\w+"', r"\1", said)) for path, said in refused.causes)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["spec", "status"])
async def test_every_bound_is_refused_where_it_is_broken(kube: Kube, namespace: str, kind: str, part: str) -> None:
    if part == "status":
        await kube.create(an_object(kind, namespace))
    cases = [bad for place in places(kind, part) for bad in bad_values(place)]
    assert len(cases) > len({bad.bound for bad in cases}) > 5

    answers = [await refusal(kube, with_part(bad.place, bad.value, namespace), part) for bad in cases]

    missed = {
        (bad.place.path, bad.bound): str(got) for bad, got in zip(cases, answers, strict=True) if not hit(bad, got)
    }
    assert missed == {}


def hit(bad: Bad, refused: ApiError | None) -> bool:
    if refused is None:
        return False
    if not bad.path:
        return re.search(bad.says, str(refused)) is not None
    return any(path == bad.path and re.search(bad.says, said) for path, said in refused.causes)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_tests_own_reading_of_the_schema_is_the_servers(kube: Kube, namespace: str, kind: str) -> None:
    """Tests without a cluster rely on `tests/api/openapi.py`: near valid objects it says what the server says."""
    schema = root(kind)["properties"]["spec"]
    chance = random.Random(kind)
    verdicts = set()
    for number in range(NEAR_VALID):
        spec = good_spec(kind, number % GOOD)
        for _ in range(chance.choice((0, 1, 1, 2))):
            spec = spoiled(spec, chance.choice)
        refused = await refusal(kube, document(kind, spec, namespace), "spec")
        expected = list(complaints(schema, pruned(schema, spec)))
        assert (refused is None) == (not expected), (spec, str(refused), expected)
        verdicts.add(refused is None)
    assert verdicts == {True, False}


async def test_the_pop_of_a_gateway_cannot_change(kube: Kube, namespace: str) -> None:
    gateway = await kube.create(document("EdgeGateway", GATEWAY, namespace))

    with pytest.raises(ApiError, match=r"spec\.pop: .* cannot change; make a new EdgeGateway"):
        await kube.patch(gateway, {"spec": {"pop": "ams-1"}})


def objects_of(file: Path) -> list[Document]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one is not None]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
async def test_the_server_takes_the_example(kube: Kube, kubectl: Tool, file: Path) -> None:
    documents = objects_of(file)
    for name in {one["metadata"]["namespace"] for one in documents if "namespace" in one["metadata"]}:
        await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    told = await kubectl("apply", "--dry-run=server", "--validate=strict", "-f", file)

    assert told.count("(server dry run)") == len(documents)


async def test_a_misspelt_field_of_an_example_would_be_refused(
    kube: Kube, kubectl: Tool, tmp_path: Path, namespace: str
) -> None:
    file = tmp_path / "misspelt.yaml"
    spec = GATEWAY | {"listners": []}
    file.write_text(yaml.safe_dump(document("EdgeGateway", spec, namespace)))

    with pytest.raises(CommandError, match=r'unknown field "spec\.listners"'):
        await kubectl("apply", "--dry-run=server", "--validate=strict", "-f", file)


@pytest.mark.parametrize("kind", ["EdgeGateway", "Route"])
async def test_an_object_nobody_looked_at_says_so(kube: Kube, namespace: str, kind: str) -> None:
    written = await kube.create(an_object(kind, namespace))

    assert written["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", KINDS)
async def test_the_server_adds_nothing_to_a_spec(kube: Kube, namespace: str, kind: str) -> None:
    written = await kube.create(an_object(kind, namespace))

    assert written["spec"] == good_spec(kind)


async def test_unknown_fields_and_nulls_are_dropped_for_clients_that_do_not_ask(kube: Kube, namespace: str) -> None:
    listener = GATEWAY["listeners"][0] | {"hostname": None, "zzz": 1}
    loose = document("EdgeGateway", GATEWAY | {"zzz": {"a": 1}, "listeners": [listener]}, namespace)

    written = await kube.create(loose, fieldValidation="Ignore")

    assert written["spec"] == GATEWAY


async def test_status_is_written_apart_and_moves_no_generation(kube: Kube, namespace: str) -> None:
    status = {"observedGeneration": 1, "attachedRoutes": 3}
    gateway = await kube.create(an_object("EdgeGateway", namespace, GATEWAY, status))
    assert gateway["status"] == {"observedGeneration": -1}

    written = await kube.patch(gateway, {"status": status, "spec": {"pop": "ams-1"}}, part="status")

    assert (written["metadata"]["generation"], written["status"], written["spec"]) == (1, status, GATEWAY)


async def test_two_owners_of_listeners_do_not_disturb_each_other(kube: Kube, namespace: str) -> None:
    def listening(*ports: int) -> Document:
        entries = [{"name": f"on-{port}", "port": port, "protocol": "HTTP"} for port in ports]
        return document("EdgeGateway", {"pop": "fra-1", "listeners": entries}, namespace)

    await kube.apply(listening(80, 81), manager="base")
    both = await kube.apply(listening(90), manager="overlay")
    assert [entry["port"] for entry in both["spec"]["listeners"]] == [80, 81, 90]

    fewer = await kube.apply(listening(80), manager="base")

    assert [entry["port"] for entry in fewer["spec"]["listeners"]] == [80, 90]


async def test_an_owner_sees_who_holds_the_listener_it_wants(kube: Kube, namespace: str) -> None:
    await kube.apply(document("EdgeGateway", GATEWAY, namespace), manager="base")
    other = [GATEWAY["listeners"][0] | {"port": 8080}]

    with pytest.raises(ApiError) as refused:
        await kube.apply(
            document("EdgeGateway", GATEWAY | {"listeners": other}, namespace), manager="overlay", force="false"
        )

    assert refused.value.status == 409
    assert refused.value.causes == (('.spec.listeners[name="http"].port', 'conflict with "base"'),)


async def test_conditions_merge_by_type(kube: Kube, namespace: str) -> None:
    def saying(*types: str) -> Document:
        conditions = [
            {
                "type": one,
                "status": "True",
                "reason": "Shown",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for one in types
        ]
        return an_object("EdgeGateway", namespace, GATEWAY, {"conditions": conditions})

    gateway = await kube.create(an_object("EdgeGateway", namespace, GATEWAY))
    await kube.patch(gateway, saying("Ready"), form="apply", part="status", fieldManager="one", force="true")
    written = await kube.patch(
        gateway, saying("Programmed"), form="apply", part="status", fieldManager="two", force="true"
    )

    assert [entry["type"] for entry in written["status"]["conditions"]] == ["Ready", "Programmed"]
    assert written["status"]["observedGeneration"] == -1


COLUMNS = {
    "EdgeGateway": ["NAME", "POP", "LISTENERS", "ROUTES", "PROXIES", "PROGRAMMED", "REASON", "AGE"],
    "Route": ["NAME", "GATEWAY", "HOSTS", "PROGRAMMED", "REASON", "MESSAGE", "AGE"],
    "Upstream": ["NAME", "ENDPOINTS", "ACCEPTED", "AGE"],
}


@pytest.mark.parametrize("kind", KINDS)
async def test_wide_columns_have_the_promised_names(kube: Kube, kubectl: Tool, namespace: str, kind: str) -> None:
    await kube.create(an_object(kind, namespace))

    head, line = (await kubectl("get", SHORT[kind], "-n", namespace, "-o", "wide")).splitlines()

    assert head.split() == COLUMNS[kind]
    assert line.startswith("planted")


async def test_a_column_shows_what_the_status_says(kube: Kube, kubectl: Tool, namespace: str) -> None:
    def said(kind: str, status: str, reason: str) -> Document:
        moment = "2026-01-01T00:00:00Z"
        return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": moment}

    gateway = await kube.create(an_object("EdgeGateway", namespace, GATEWAY))
    status = {
        "attachedListeners": 1,
        "attachedRoutes": 7,
        "proxies": {"desired": 3, "connected": 3, "synced": 2, "rejected": 0, "summary": "2/3"},
        "conditions": [said("Programmed", "False", "PartiallyProgrammed"), said("Ready", "False", "Lagging")],
    }
    await kube.patch(gateway, {"status": status}, part="status")

    _, line = (await kubectl("get", "egw", "-n", namespace, "-o", "wide")).splitlines()

    assert line.split()[:-1] == ["planted", "fra-1", "1", "7", "2/3", "False", "Lagging"]


async def test_all_kinds_are_one_category_and_listed_together(kube: Kube, kubectl: Tool, namespace: str) -> None:
    for kind in KINDS:
        await kube.create(an_object(kind, namespace))
    expected = sorted(f"{kind.lower()}.{GROUP}/planted" for kind in KINDS)

    together = await kubectl("get", ",".join(SHORT.values()), "-n", namespace, "-o", "name")
    category = await kubectl("get", "northgate", "-n", namespace, "-o", "name")

    assert sorted(together.split()) == sorted(category.split()) == expected


@pytest.mark.parametrize("kind", KINDS)
async def test_kubectl_explains_every_field_of_a_spec(kubectl: Tool, kind: str) -> None:
    told = await kubectl("explain", f"{SHORT[kind]}.spec")

    assert f"VERSION:    {VERSION.partition('/')[2]}" in told
    for name, schema in root(kind)["properties"]["spec"]["properties"].items():
        assert re.search(rf"^  {name}\t<", told, re.MULTILINE), name
        first = " ".join(schema["description"].split()[:3])
        assert first in " ".join(told.split()), name


async def test_many_writers_are_served_at_once(kube: Kube, namespace: str) -> None:
    gateways = [document("EdgeGateway", GATEWAY, namespace, f"edge-{number}") for number in range(50)]

    await asyncio.gather(*(kube.create(gateway) for gateway in gateways))

    assert len(await kube.list(VERSION, "EdgeGateway", namespace)) == len(gateways)
    assert await kube.find(Key(VERSION, "EdgeGateway", "edge-49", namespace)) is not None
