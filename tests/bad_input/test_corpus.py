"""What is somebody told who makes a mistake? For every bad input the object, the field, the place and the remedy."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from tests.bad_input.cases import CORPUS, Case, as_told
from tests.bad_input.generated import certificates, limits

from northgate.ops.findings import findings
from northgate.ops.reading import read_sources

REMEDIES = frozenset(
    re.findall(
        "[a-z]+",
        "did write set remove add use correct create change choose quote called belongs make must need needs "
        "required leave close put repeat encode order name ask see indent shorten split save drop spell "
        "attach begins without which there proxies damaged match forbidden type left one missing give start "
        "such from",
    )
)
"""Words that say what to do, or what is needed."""


def told(case: Case, good_files: tuple[str, ...], folder) -> list[str]:
    """The findings about the case's files, which are named without their folder."""
    paths = [str(path) for path in case.write(folder)]
    reading = read_sources([*good_files, *paths])
    assert reading.edge.engine.failures == {}
    return [str(found).replace(f"{folder}/", "") for found in findings(reading) if found.file in paths]


@pytest.mark.parametrize("case", [*CORPUS, *limits()], ids=lambda case: case.name)
def test_a_mistake_is_told_with_its_place_its_field_and_a_remedy(case, good_files, folder):
    found = told(case, good_files, folder)
    assert len(found) == len(case.told), found
    for sentence, line in zip(case.told, found, strict=True):
        assert as_told(sentence, line), line


def test_certificates_no_proxy_would_take_are_told_at_the_secret_and_at_the_listener(good_files, tls_pairs, tmp_path):
    for case in certificates(tls_pairs):
        found = told(case, good_files, tmp_path)
        assert len(found) == len(case.told), found
        assert all(map(as_told, case.told, found)), found


def test_nothing_is_wrong_with_the_good_files(good_files):
    assert findings(read_sources(good_files)) == ()


def test_every_case_has_a_name_of_its_own():
    cases = [*CORPUS, *limits()]
    assert [name for name, count in Counter(case.name for case in cases).items() if count > 1] == []
    assert len(cases) > 200


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_a_sentence_ends_with_what_to_do_and_never_breaks_its_line(case):
    for sentence in case.told:
        assert set(re.findall("[a-z]+", sentence.partition("bad/")[2] or sentence)) & REMEDIES, sentence
        assert "\n" not in sentence
        assert len(sentence) < 500
