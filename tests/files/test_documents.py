"""Files become documents with places, or problems in words; nothing a file can hold raises."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from northgate.files.documents import LARGEST_FILE, MOST_PROBLEMS, FileContent, FileProblem, field_path, read_documents
from northgate.files.values import DEEPEST
from northgate.world.key import ObjectKey

HEAD = "apiVersion: northgate.dev/v1alpha1\nkind: Route\nmetadata: {name: shop}\n"


def read(text: str | bytes, file: str = "a.yaml") -> FileContent:
    return read_documents(file, text.encode() if isinstance(text, str) else text)


def spec(text: str):
    content = read(f"{HEAD}spec:\n  value: {text}\n")
    assert content.problems == ()
    return content.documents[0].raw["spec"]["value"]


def problem(text: str, file: str = "a.yaml") -> FileProblem:
    content = read(text, file)
    assert len(content.problems) == 1
    assert content.documents == ()
    return content.problems[0]


def test_documents_of_one_file_in_order():
    content = read(f"# top\n---\n{HEAD}---\n---\n{HEAD.replace('shop', 'b')}  \n...\n")
    assert [str(d.key) for d in content.documents] == ["Route default/shop", "Route default/b"]
    assert [d.position() for d in content.documents] == [(3, 1), (8, 1)]
    assert not content.broken


def test_namespace_is_filled_in_as_kubectl_does():
    document = read(HEAD).documents[0]
    assert document.key == ObjectKey("northgate.dev", "Route", "default", "shop")
    assert document.raw["metadata"] == {"name": "shop", "namespace": "default"}


def test_a_namespace_has_no_namespace():
    document = read("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n").documents[0]
    assert document.key == ObjectKey("", "Namespace", "", "shop")
    assert str(document.key) == "Namespace shop"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True), ("on", True), ("True", True), ("off", False), ("NO", False), ("~", None), ("", None),
        ("5", 5), ("-7", -7), ("+3", 3), ("1_000", 1000), ("0755", 493), ("0o17", 15), ("0x1F", 31), ("0b101", 5),
        ("0", 0),
        ("1.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("18446744073709551615", 2**64 - 1),
        ("2024-01-02", "2024-01-02"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
        ("22:22", "22:22"), ("1.2.3.4", "1.2.3.4"), ("10.0.0.0/8", "10.0.0.0/8"), ("1h30m", "1h30m"), ("'-'", "-"),
        ("=", "="),
        ("'on'", "on"), ('"5"', "5"), ('"\\u00e9"', "é"), ("_", "_"), ("+_", "+_"), ("0x", "0x"), ("1_a", "1_a"),
    ],
)  # fmt: skip
def test_plain_words_mean_what_kubectl_reads(text, value):
    found = spec(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y", "boolean to some readers"), ("N", "boolean to some readers"), (".nan", "not a number JSON knows"),
        ("-.inf", "not a number JSON knows"), ("1e999", "too large"), ("18446744073709551616", "64 bits"),
        ("-9223372036854775809", "64 bits"), ("089", "starts with 0"), ("9" * 5000, "more than 64 digits"),
        ("!!str 5", "tag"), ("!foo {a: 1}", "tag"), ("!!binary aGk=", "tag"), ('"\\0"', "U+0000"),
        ('"\\x07"', "U+0007"),
        ("*none", "no anchor"), ("&a [*a]", "no anchor"), ("{on: 1}", "put it in quotes"), ("{80: 1}", "a number"),
        ("{? [a] : 1}", "must be text"), ("{a: 1, a: 2}", "again after line 5"), ("{<<: 5}", "merges mappings"),
        ("{~: 1}", "null"),
    ],
)  # fmt: skip
def test_what_readers_disagree_on_is_refused_at_its_place(text, says):
    found = problem(f"{HEAD}spec:\n  value: {text}\n")
    assert says in found.message
    assert (found.file, found.line) == ("a.yaml", 5)
    assert found.path[:2] == ("spec", "value")
    assert "\n" not in str(found)


def test_a_flaw_in_one_document_leaves_the_others():
    content = read(f"{HEAD}---\n{HEAD}spec: {{a: !x 1}}\n---\n{HEAD.replace('shop', 'c')}")
    assert [d.key.name for d in content.documents] == ["shop", "c"]
    assert [p.path for p in content.problems] == [("spec", "a")]
    assert not content.broken


@pytest.mark.parametrize("name", ["a" * 253, f"{'a' * 64}.b", "a.b-c.0"])
def test_names_are_bounded_as_kubernetes_bounds_them(name):
    content = read(f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n")
    assert content.problems == ()
    assert [one.key.name for one in content.documents] == [name]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("a: [1\nb: {", 2, 2, "did not find expected"),
        ("a: b: c", 1, 5, "mapping values are not allowed"),
        ("a:\n\tb: 1", 2, 1, "use spaces"),
        ("a: 1\nb: \x01", 2, 4, "U+0001"),
        ("a: \ufffe", 1, 4, "U+FFFE"),
        (b"a: 1\nb: \xff", 2, 4, "UTF-8"),
        ('a: "open', 1, 9, "quoted scalar"),
        (b"\xff\xfea\x00", 1, 1, "UTF-8"),
    ],
)
def test_broken_syntax_names_line_and_column(text, line, column, says):
    content = read(text)
    assert content.broken
    assert content.documents == ()
    [found] = content.problems
    assert says in found.message
    assert (found.line, found.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "path", "line", "says"),
    [
        ("kind: Route\nmetadata: {name: a}", ("apiVersion",), 1, "apiVersion is missing"),
        ("apiVersion: v1\nmetadata: {name: a}", ("kind",), 1, "kind is missing"),
        ("apiVersion: v1\nkind: Service", ("metadata", "name"), 1, "metadata.name is missing"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  labels: {}", ("metadata", "name"), 4, "metadata.name is missing"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: 5", ("metadata", "name"), 4, "not text"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: ../a", ("metadata", "name"), 4, "malformed"),
        (
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: A",
            ("metadata", "namespace"),
            5,
            "malformed",
        ),
        ("apiVersion: 1\nkind: Service\nmetadata: {name: a}", ("apiVersion",), 1, "not text"),
        ("apiVersion: v1\nkind: [a]\nmetadata: {name: a}", ("kind",), 2, "not text"),
        ("just words", (), 1, "not an object"),
        ("- a\n- b", (), 1, "not an object"),
    ],
)
def test_what_is_no_object_says_what_is_missing(text, path, line, says):
    found = problem(text)
    assert (found.path, found.line) == (path, line)
    assert says in found.message
    assert ", so " in found.message


def test_a_list_is_unpacked_and_places_are_those_of_the_items():
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n- 5\n"
    content = read(text)
    assert [str(d.key) for d in content.documents] == ["Service default/a"]
    assert content.documents[0].position(("metadata", "name")) == (6, 20)
    assert [(p.line, p.column) for p in content.problems] == [(7, 3)]


def test_the_first_of_two_equal_keys_in_a_file_wins():
    content = read(f"{HEAD}spec: {{a: 1}}\n---\n{HEAD}spec: {{a: 2}}\n")
    assert [d.raw["spec"] for d in content.documents] == [{"a": 1}]
    assert "declared already in a.yaml:1" in content.problems[0].message
    assert content.problems[0].line == 8


def test_positions_fall_back_to_the_nearest_parent():
    document = read(f"{HEAD}spec:\n  rules:\n  - name: a\n    x: 1\n  - name: b\n").documents[0]
    assert document.position(("spec", "rules", 1, "name")) == (8, 11)
    assert document.position(("spec", "rules", 1, "missing", 3)) == (8, 5)
    assert document.position(("spec", "rules", 9)) == (6, 3)
    assert document.position(("status",)) == (1, 1)


def test_anchors_and_merge_keys_work():
    text = (
        f"{HEAD}spec:\n  base: &b {{x: 1, z: 2}}\n  one: *b\n  two: {{<<: *b, x: 3}}\n  three: {{<<: [{{x: 9}}, *b]}}\n"
    )
    content = read(text)
    document = content.documents[0]
    assert document.raw["spec"]["one"] == {"x": 1, "z": 2}
    assert document.raw["spec"]["two"] == {"x": 3, "z": 2}
    assert document.raw["spec"]["three"] == {"x": 9, "z": 2}
    assert document.position(("spec", "one")) == (6, 8)
    assert document.position(("spec", "one", "x")) == (5, 16)


def test_an_alias_bomb_is_refused_at_once():
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 20))
    content = read(f"l0: &l0 [a, a, a]\n{levels}")
    assert content.broken
    assert "aliases" in content.problems[0].message


def test_nesting_is_bounded_also_through_aliases():
    assert "levels deep" in problem("[" * 100_000).message
    chain = "".join(f"l{i}: &l{i} [*l{i - 1}]\n" for i in range(1, DEEPEST + 2))
    assert "levels deep" in problem(f"l0: &l0 a\n{chain}").message
    assert read(f"{HEAD}spec: {'[' * 60}{']' * 60}").problems == ()


def test_file_size_is_bounded():
    assert "larger than 8 MiB" in problem(" " * (LARGEST_FILE + 1)).message


def test_the_number_of_problems_is_bounded():
    assert len(read("--- a\n" * (MOST_PROBLEMS + 50)).problems) == MOST_PROBLEMS


def test_json_files_are_read_with_their_escapes():
    raw = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a"},
        "x": "\U0001f600 \\ud83d\\ude00 / \n",
        "y": [1, 1.5, None],
    }
    for indent in (None, 2, "\t"):
        content = read(json.dumps(raw, indent=indent), "a.json")
        assert content.problems == ()
        assert content.documents[0].raw["x"] == raw["x"]
        assert content.documents[0].raw["y"] == raw["y"]


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    document = read(b"\xef\xbb\xbf" + HEAD.replace("\n", "\r\n").encode()).documents[0]
    assert document.key.name == "shop"
    assert document.position(("kind",)) == (2, 7)


def test_field_paths_read_as_users_write_them():
    assert field_path(("spec", "rules", 2, "matches", 0)) == "spec.rules[2].matches[0]"
    assert field_path(("metadata", "labels", "a.b/c")) == 'metadata.labels["a.b/c"]'


words = st.sampled_from(
    ["a", "- ", ": ", "\n", "  ", "&a ", "*a ", "[", "]", "{", "}", "'", '"', "<<: ", "|\n", "---\n", "? ", "!x ", "#",
     "\t", ",", "%YAML 1.1\n"]
)  # fmt: skip


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: t.encode("utf-8", "surrogatepass"))))
@example(b"\xed\xa0\x80")
@example(b"? ")
@example(b"%TAG ! tag:x,2000:\n---\n!a b")
def test_no_bytes_raise(content):
    for file in ("a.yaml", "a.json"):
        check_total(read_documents(file, content))


@settings(max_examples=600)
@given(st.lists(words, max_size=40))
def test_no_yaml_raises(parts):
    check_total(read_documents("a.yaml", "".join(parts).encode()))


def check_total(content: FileContent) -> None:
    assert not (content.broken and content.documents)
    assert content.problems or not content.broken
    for found in content.problems:
        assert found.line >= 1
        assert found.column >= 1
        assert found.message
    for document in content.documents:
        json.dumps(document.raw, allow_nan=False)


names = st.text("abcxz", min_size=1, max_size=6)
printable = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"])
leaves = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(printable, max_size=20),
)
trees = st.recursive(leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(names, t, max_size=4), max_leaves=25)


def paths(value, path=()):
    yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


@given(st.dictionaries(names, trees, max_size=5), st.sampled_from([None, 2]))
def test_json_values_come_back_equal_and_places_point_at_them(tree, indent):
    raw = {"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "namespace": "b"}, "spec": tree}
    text = json.dumps(raw, indent=indent, ensure_ascii=False)
    content = read_documents("a.json", text.encode())
    assert content.problems == ()
    document = content.documents[0]
    assert document.raw == raw
    lines = text.split("\n")
    for path, value in paths(raw):
        line, column = document.position(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        found, _ = json.JSONDecoder().raw_decode(rest)
        assert found == value


def looks_like_a_number(value):
    """PyYAML leaves `1e5`, `0o17` and `089` without quotes, which kubectl reads as numbers."""
    return isinstance(value, str) and value[:1] in set("+-.0123456789")


@given(st.dictionaries(names, trees, max_size=5))
def test_yaml_written_by_an_emitter_reads_back(tree):
    assume(not any(looks_like_a_number(value) for _, value in paths(tree)))
    raw = {"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "namespace": "b"}, "spec": tree}
    content = read_documents("a.yaml", yaml.safe_dump(raw, allow_unicode=True, sort_keys=False).encode())
    assert all("to some readers" in found.message for found in content.problems)
    if not content.problems:
        assert content.documents[0].raw == raw
