"""`compression`: one compressor for each algorithm, run by the filter that routes switch on."""

from __future__ import annotations

import pytest
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcherPerRoute
from envoy.extensions.filters.http.composite.v3.composite_pb2 import ExecuteFilterAction
from envoy.extensions.filters.http.compressor.v3.compressor_pb2 import Compressor
from tests.features.translation import FORWARD, chain, edge_with, per_route, refused, rule

NAME = "northgate.filters.compression"


def compressors(**compression):
    chosen = per_route(rule(compression=compression), NAME, ExtensionWithMatcherPerRoute())
    run = ExecuteFilterAction()
    assert chosen.xds_matcher.on_no_match.action.typed_config.Unpack(run)
    found = []
    for one in run.filter_chain.typed_config:
        compressor = Compressor()
        assert one.typed_config.Unpack(compressor)
        found.append(compressor)
    return found


def libraries(found):
    return [one.compressor_library.typed_config.type_url.rpartition(".")[2] for one in found]


def test_all_algorithms_and_usual_types_when_nothing_is_said():
    found = compressors()
    assert libraries(found) == ["Zstd", "Brotli", "Gzip"]
    assert [one.choose_first for one in found] == [True, True, False]
    for one in found:
        response = one.response_direction_config
        assert response.common_config.min_content_length.value == 1024
        assert list(response.uncompressible_response_codes) == [206]
        encoded = response.common_config.SerializeToString()
        assert b"text/html" in encoded
        assert b"image/png" not in encoded


def test_what_is_said():
    found = compressors(algorithms=["gzip", "br"], contentTypes=["text/csv"], minSize="2Ki")
    assert libraries(found) == ["Gzip", "Brotli"]
    assert [one.choose_first for one in found] == [True, False]
    encoded = found[0].response_direction_config.common_config.SerializeToString()
    # Field 4, content_type_matcher: a StringMatcher with `exact: text/csv` and `ignore_case: true`.
    assert encoded.endswith(b"\x22\x0c\x0a\x08text/csv\x30\x01")
    assert b"text/html" not in encoded
    assert found[0].response_direction_config.common_config.min_content_length.value == 2048


def test_no_field_is_used_that_proxies_are_about_to_forget():
    common = compressors(contentTypes=["text/csv"])[0].response_direction_config.common_config
    assert not common.content_type


def test_the_longest_media_type_is_encoded_whole():
    longest = "a/" + "b" * 98
    encoded = compressors(contentTypes=[longest])[0].response_direction_config.common_config.SerializeToString()
    assert longest.encode() in encoded


def test_answers_are_compressed_before_they_are_slowed_down():
    names = chain(edge_with(FORWARD))
    assert names.index("envoy.filters.http.fault") < names.index(NAME)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"algorithms": ["gzip", "gzip"]}, "algorithms must not repeat a value"),
        ({"algorithms": ["deflate"]}, "compression.algorithms[0]"),
        ({"contentTypes": ["text/html; charset=utf-8"]}, 'did you mean "text/html"'),
        ({"contentTypes": ["text/html", "text/html"]}, "contentTypes must not repeat a value"),
        ({"minSize": "0"}, "compression.minSize: 0 is not from 1 to 1Gi bytes"),
        ({"minSize": "2Gi"}, "compression.minSize: 2Gi is not from 1 to 1Gi bytes"),
    ],
)
def test_mistakes_are_named(block, said):
    assert said in refused(**FORWARD, compression=block)
