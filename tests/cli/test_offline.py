"""What do the commands that need nothing but files print, in each form, and how do they end?"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.harness.edge import EXAMPLES
from tests.standalone.server import gateway, route, run

from northgate import __version__
from northgate.ops.scenery import make_pair, secret

GOOD = f"{gateway()}---\n{route('a', 'hello')}"
WRONG = GOOD.replace("status: 200", "status: 2000")
DOUBTFUL = GOOD.replace("name: edge, namespace: edge}]", "name: egde, namespace: edge}]")
COMMANDS = ("validate", "translate", "serve", "bootstrap", "demo", "status", "version", "crds")


@pytest.fixture
def write(tmp_path: Path):
    def one(text: str, name: str = "a.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return one


class TestValidate:
    async def test_nothing_wrong(self, write):
        assert await run("validate", write(GOOD)) == (0, "", "2 objects, 0 errors, 0 warnings\n")

    async def test_an_error_ends_it_with_1(self, write):
        file = write(WRONG)
        code, out, err = await run("validate", file)
        message = "spec.rules[0].respond.status: 2000 is out of range; write a whole number from 200 to 599"
        assert (code, out) == (1, f"{file}:16:23: error: Route shop/a: {message}\n")
        assert err == "2 objects, 1 errors, 0 warnings\n"

    async def test_a_warning_counts_when_it_is_strict(self, write):
        file = write(DOUBTFUL)
        code, out, _ = await run("validate", file)
        wanted = "NoMatchingParent: EdgeGateway edge/egde does not exist; did you mean edge?\n"
        assert code == 0
        assert out.startswith(f"{file}:13:16: warning: Route shop/a: spec.parentRefs[0]: Accepted ")
        assert out.endswith(wanted)
        assert (await run("validate", "--strict", file))[:2] == (1, out)

    async def test_as_json(self, write):
        file = write(WRONG)
        code, out, _ = await run("validate", "-o", "json", file)
        assert code == 1
        assert json.loads(out) == [
            {
                "file": file,
                "line": 16,
                "column": 23,
                "severity": "error",
                "subject": "Route shop/a",
                "field": "spec.rules[0].respond.status",
                "message": "2000 is out of range; write a whole number from 200 to 599",
            }
        ]
        assert (await run("validate", "-o", "json", write(GOOD)))[1] == "[]\n"

    async def test_for_github_with_its_escapes(self, write):
        file = write(GOOD.replace("hello", "100%\\n").replace("status: 200", 'status: "50%"'))
        code, out, _ = await run("validate", "-o", "github", file)
        assert code == 1
        message = 'Route shop/a: spec.rules[0].respond.status: "50%25" is text; write a whole number from 200 to 599'
        assert out == f"::error file={file},line=16,col=23::{message}\n"

    async def test_standard_input_and_files_together(self, write):
        code, out, err = await run("validate", "-", write(gateway()), stdin=route("b", "x").encode())
        assert (code, out, err) == (0, "", "3 objects, 0 errors, 0 warnings\n".replace("3", "2"))
        code, out, _ = await run("validate", "-", stdin=WRONG.encode())
        assert (code, out.partition(": ")[0]) == (1, "-:16:23")

    async def test_an_object_of_two_sources_is_declared_twice(self, write):
        file = write(GOOD)
        code, out, _ = await run("validate", file, "-", stdin=GOOD.encode())
        assert code == 1
        assert f"-:11:18: error: metadata.name: Route shop/a is declared already in {file}:9, which wins" in out

    async def test_a_folder_that_is_not_there_or_holds_nothing(self, tmp_path):
        code, out, _ = await run("validate", str(tmp_path / "gone"))
        assert (code, out.endswith("No such file or directory; name an existing folder or file\n")) == (1, True)
        code, out, _ = await run("validate", str(tmp_path))
        assert code == 1
        assert "the folder holds no .yaml, .yml or .json file" in out

    async def test_the_examples_are_good(self):
        code, out, _ = await run("validate", str(EXAMPLES))
        assert code == 0, out
        assert ": error: " not in out

    async def test_usage_ends_it_with_2(self):
        assert (await run("validate"))[0] == 2
        assert (await run("validate", "-o", "xml", "x"))[0] == 2
        assert (await run("invent"))[0] == 2


class TestTranslate:
    async def test_all_types_of_every_gateway(self, write):
        code, out, err = await run("translate", write(GOOD))
        found = yaml.safe_load(out)
        assert (code, err, list(found)) == (0, "", ["edge/edge"])
        assert list(found["edge/edge"]) == ["lds", "rds"]
        (table,) = found["edge/edge"]["rds"]
        (host,) = table["virtual_hosts"]
        assert host["domains"] == ["a.test"]
        assert host["routes"][0]["direct_response"] == {"status": 200, "body": {"inline_string": "hello"}}

    async def test_types_names_and_gateways_are_chosen(self, write):
        file = write(f"{GOOD}---\n{gateway('inner', 81)}")
        assert list(yaml.safe_load((await run("translate", file, "-t", "rds"))[1])["edge/edge"]) == ["rds"]
        both = yaml.safe_load((await run("translate", file, "-t", "rds", "-t", "lds", "-g", "edge/inner"))[1])
        assert {gateway: list(types) for gateway, types in both.items()} == {"edge/inner": ["rds", "lds"]}
        named = yaml.safe_load((await run("translate", file, "--name", "edge/inner"))[1])
        assert [list(types) for types in named.values()] == [[], ["lds", "rds"]]
        code, out, err = await run("translate", file, "-g", "edge/none")
        assert (code, out) == (1, "")
        assert err == "EdgeGateway edge/none is not in these files; leave --gateway out to see all\n"

    async def test_json_says_the_same_as_yaml(self, write):
        file = write(GOOD)
        as_yaml, as_json = [(await run("translate", file, "-o", form))[1] for form in ("yaml", "json")]
        assert json.loads(as_json) == yaml.safe_load(as_yaml)

    async def test_no_private_key_is_printed(self, write):
        pair = make_pair("a.test")
        document = secret("edge", "tls", pair)[1]
        listener = "{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}}"
        files = (write(f"{gateway()}  - {listener}\n"), write(json.dumps(document), "tls.json"))
        code, out, err = await run("translate", *files)
        assert (code, err) == (0, "")
        (shown,) = yaml.safe_load(out)["edge/edge"]["sds"]
        assert shown["tls_certificate"]["private_key"] == {"inline_string": "[redacted]"}
        for line in pair.key.splitlines()[1:-1]:
            assert line not in out
        assert document["data"]["tls.key"] not in out

    async def test_what_is_wrong_is_told_and_what_is_good_is_shown(self, write):
        file = write(f"{WRONG}---\n{route('b', 'fine')}")
        code, out, err = await run("translate", file, "-t", "rds")
        assert code == 1
        assert "error: Route shop/a: spec.rules[0].respond.status: 2000 is out of range" in err
        assert [host["domains"] for host in yaml.safe_load(out)["edge/edge"]["rds"][0]["virtual_hosts"]] == [["b.test"]]


class TestBootstrap:
    async def test_the_one_gateway_of_a_folder(self, write, tmp_path):
        write(GOOD)
        code, out, _ = await run(
            "bootstrap", str(tmp_path), "--node", "n1", "--xds", "unix:/run/xds.sock", "-o", "json"
        )
        found = json.loads(out)
        assert code == 0
        assert (found["node"]["id"], found["node"]["cluster"]) == ("n1", "edge/edge")
        assert "/run/xds.sock" in out
        assert found["dynamic_resources"]["ads_config"]["api_type"] == "DELTA_GRPC"
        code, out, _ = await run("bootstrap", str(tmp_path), "--sotw")
        assert yaml.safe_load(out)["dynamic_resources"]["ads_config"]["api_type"] == "GRPC"

    async def test_several_gateways_must_be_chosen_from(self, write, tmp_path):
        write(f"{GOOD}---\n{gateway('inner', 81)}")
        code, out, err = await run("bootstrap", str(tmp_path))
        assert (code, out) == (1, "")
        assert err.endswith("with --gateway; there is edge/edge, edge/inner\n")
        assert (await run("bootstrap", str(tmp_path), "-g", "edge/inner"))[0] == 0

    async def test_an_address_that_is_none(self, write, tmp_path):
        write(GOOD)
        code, _, err = await run("bootstrap", str(tmp_path), "--xds", "nowhere")
        assert code == 2
        assert "'nowhere' is neither host:port nor unix:path" in err


async def test_crds_are_printed_or_written(tmp_path):
    code, out, _ = await run("crds", "print")
    documents = list(yaml.safe_load_all(out))
    assert code == 0
    assert [document["spec"]["names"]["kind"] for document in documents] == ["EdgeGateway", "Route", "Upstream"]
    code, out, err = await run("crds", "print", "-o", str(tmp_path / "crds"))
    assert (code, out) == (0, "")
    assert err.splitlines() == [str(path) for path in sorted((tmp_path / "crds").iterdir())]


async def test_version():
    assert await run("version") == (0, f"{__version__}\n", "")


async def test_help_lists_every_command():
    code, out, _ = await run("--help")
    assert code == 0
    listed = {line.strip("│ ").split(" ")[0] for line in out.splitlines() if line.startswith("│")}
    assert set(COMMANDS) <= listed
    for command in COMMANDS:
        code, out, _ = await run(command, "--help")
        assert (code, "Usage: " in out) == (0, True)


HEAVY = ("envoy", "google.protobuf", "grpc", "msgspec", "aiohttp", "cryptography", "yaml", "northgate.api")


@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        (["--help"], ["pydantic"]),
        # Reading options, typer itself loads pydantic where that is installed.
        (["version"], []),
        (["validate", "--help"], []),
        (["serve", "--help"], []),
    ],
)
def test_help_loads_nothing_it_does_not_need(arguments, also):
    program = (
        "import sys; from northgate.cli.main import app\n"
        f"try: app({arguments!r})\nexcept SystemExit: pass\n"
        f"print([name for name in {[*HEAVY, *also]!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


async def test_colour_is_for_terminals_that_want_it():
    colour = re.compile(r"\x1b\[(\d+;)*3\dm")
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b" not in (await run("--help"))[1]
    assert colour.search((await run("--help", NO_COLOR="", **forced))[1])
    assert not colour.search((await run("--help", NO_COLOR="1", **forced))[1])
    assert not colour.search((await run("--no-color", "validate", "--help", NO_COLOR="", **forced))[1])
