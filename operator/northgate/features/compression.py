"""Which answers are compressed?

`compression` packs the bodies of answers with what the client says it can unpack (`accept-encoding`), where the media
type is worth it and the body is not too small. Answers that a backend has packed already, parts of a body (`206`) and
answers marked `cache-control: no-transform` pass as they are. A strong `etag` becomes a weak one.

Over TLS, do not compress answers that mix a secret with text a stranger can choose: their lengths give the secret away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher, ExtensionWithMatcherPerRoute
from envoy.extensions.compression.brotli.compressor.v3.brotli_pb2 import Brotli
from envoy.extensions.compression.gzip.compressor.v3.gzip_pb2 import Gzip
from envoy.extensions.compression.zstd.compressor.v3.zstd_pb2 import Zstd
from envoy.extensions.filters.http.composite.v3.composite_pb2 import Composite, ExecuteFilterAction
from envoy.extensions.filters.http.compressor.v3.compressor_pb2 import Compressor
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from pydantic import Field

from northgate.api.base import Size, octets, text, unique
from northgate.api.conditions import Problem, Reason
from northgate.api.feature import HttpFilter, RouteDraft, RouteFeature

Algorithm = Literal["br", "gzip", "zstd"]
MediaType = Annotated[str, text(r"[a-z0-9.+-]+/[a-z0-9.+-]+", 100)]

COMPRESSIBLE = (
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
    "text/xml",
)
_PREFERENCE: tuple[Algorithm, ...] = ("zstd", "br", "gzip")
_LIBRARIES = {"br": Brotli, "gzip": Gzip, "zstd": Zstd}
_SMALLEST = "1Ki"
_LARGEST = 1 << 30
_PARTIAL_CONTENT = 206
_CONTENT_TYPE_MATCHER = b"\x22"
_WEAKEN_ETAG = b"\x30\x01"
"""`content_type_matcher` (number 4, a message) and `weaken_etag_on_compress: true` (number 6), fields that the message
library does not know yet."""


def _chooser() -> ExtensionWithMatcher:
    """A filter that runs the filters a route names: compressors have no settings of their own for a route."""
    chooser = ExtensionWithMatcher()
    chooser.xds_matcher.SetInParent()
    chooser.extension_config.CopyFrom(_typed("composite", Composite()))
    return chooser


def _typed(name: str, message: Any) -> TypedExtensionConfig:
    config = TypedExtensionConfig(name=name)
    config.typed_config.Pack(message, deterministic=True)
    return config


_FILTER = HttpFilter("northgate.filters.compression", _chooser)


class Compression(RouteFeature):
    """Compressed answers."""

    filters: ClassVar[tuple[HttpFilter, ...]] = (_FILTER,)

    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, max_length=3)] | None = None
    """Ways to compress; `[zstd, br, gzip]` when absent. The client's weights decide; between equal ones its own order
    does, but the last of this list is used only where the client takes no other."""
    content_types: Annotated[tuple[MediaType, ...], Field(min_length=1, max_length=64)] | None = None
    """Media types to compress, without parameters; the usual texts, scripts, JSON, XML, SVG and WebAssembly when
    absent."""
    min_size: Size | None = None
    """Bodies known to be smaller pass as they are; `1Ki` when absent."""

    cross_rules = (unique("algorithms"), unique("contentTypes"))

    def problems(self) -> Iterable[Problem]:
        """The proxy counts bytes in 32 bits."""
        if self.min_size is not None and not 1 <= octets(self.min_size) <= _LARGEST:
            yield Problem(("minSize",), Reason.UNSUPPORTED_VALUE, f"{self.min_size} is not from 1 to 1Gi bytes")

    def apply(self, draft: RouteDraft) -> None:
        """Have the route run one compressor for each algorithm; between them they find the client's favourite."""
        run = ExecuteFilterAction()
        algorithms = self.algorithms or _PREFERENCE
        for algorithm in algorithms:
            compressor = self._compressor(algorithm)
            compressor.choose_first = algorithm != algorithms[-1]
            run.filter_chain.typed_config.append(_typed(algorithm, compressor))
        per_route = ExtensionWithMatcherPerRoute()
        action = per_route.xds_matcher.on_no_match.action
        action.name = "compress"
        action.typed_config.Pack(run, deterministic=True)
        draft.enable(_FILTER.name, per_route)

    def _compressor(self, algorithm: Algorithm) -> Any:
        compressor = Compressor()
        compressor.compressor_library.CopyFrom(_typed(algorithm, _LIBRARIES[algorithm]()))
        response = compressor.response_direction_config
        response.uncompressible_response_codes.append(_PARTIAL_CONTENT)
        response.MergeFromString(_WEAKEN_ETAG)
        common = response.common_config
        common.min_content_length.value = octets(self.min_size or _SMALLEST)
        for kind in self.content_types or COMPRESSIBLE:
            common.MergeFromString(_content_type(kind))
        return compressor


def _content_type(kind: str) -> bytes:
    matcher = StringMatcher(exact=kind, ignore_case=True).SerializeToString(deterministic=True)
    # A media type has at most 100 characters, so one byte holds the length.
    return _CONTENT_TYPE_MATCHER + bytes([len(matcher)]) + bytes(matcher)
