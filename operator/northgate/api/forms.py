"""What does a pattern ask for, in words? The forms of text in the API, and what repairs a near miss."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

from northgate.api import base, proxy
from northgate.features import compression, cors, maintenance

Repair = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Form:
    """`words` complete "this is not …"; each repair turns a usual mistake into what was probably meant."""

    words: str
    repairs: tuple[Repair, ...] = ()


_UNITS = {"k": "Ki", "kb": "Ki", "kib": "Ki", "m": "Mi", "mb": "Mi", "mib": "Mi", "g": "Gi", "gb": "Gi", "gib": "Gi"}


def _binary_unit(size: str) -> str:
    found = re.fullmatch(r"([0-9]+)\s*([A-Za-z]+)", size)
    return found[1] + _UNITS.get(found[2].lower(), "?") if found else size


def _bare_host(url: str) -> str:
    return re.sub(r"^[a-z]+://|[:/].*$|\.$", "", url.strip().lower())


def _punycode(host: str) -> str:
    """The spelling of an international name in DNS."""
    try:
        return host.lower().encode("idna").decode()
    except UnicodeError:
        return host


def _percent_encoded(path: str) -> str:
    return quote(path, safe="/%!$&'()*+,;=:@-._~") if path.startswith("/") else path


_IN_HOURS = {"d": 24, "w": 7 * 24}


def _whole_units(duration: str) -> str:
    """Days as hours, and parts of a second as milliseconds."""
    if found := re.fullmatch(r"([0-9]{1,4}) ?(d|w)[a-z]*", duration.lower()):
        return f"{int(found[1]) * _IN_HOURS[found[2]]}h"
    if found := re.fullmatch(r"([0-9]{0,2})\.([0-9]{1,3}) ?s?", duration):
        return f"{int(found[1] or 0) * 1000 + int(found[2].ljust(3, '0'))}ms"
    return duration


def _of(form: Any) -> str:
    return str(get_args(form)[1].pattern)


DURATION = _of(base.Duration)

_SPLIT = (str.strip, lambda text: text.replace(" ", ""))

FORMS: dict[str, Form] = {
    _of(base.Name): Form(
        'a name in lower case: letters, digits, "-" and ".", with a letter or digit at both ends',
        (_bare_host, lambda text: re.sub(r"[_ ]", "-", text.lower()).strip("-.")),
    ),
    _of(base.Label): Form(
        'a name in lower case: letters, digits and "-", with a letter or digit at both ends',
        (lambda text: re.sub(r"[_. ]", "-", text.lower()).strip("-"),),
    ),
    _of(base.Hostname): Form(
        'a hostname in lower case, without scheme, port and path, such as "www.shop.example" or "*.shop.example"',
        (_bare_host, _punycode, lambda text: f"*.{text.lstrip('*.').lower()}"),
    ),
    DURATION: Form(
        'a length of time such as "500ms", "10s" or "1h30m"',
        (*_SPLIT, lambda text: text.replace(" ", "").lower(), lambda text: f"{text}s", _whole_units),
    ),
    _of(base.Percent): Form(
        'a share from "0" to "100", with at most four decimals', (*_SPLIT, lambda text: text.strip().rstrip("% "))
    ),
    _of(base.Size): Form('a number of bytes such as "512", "32Ki" or "1Mi"', (*_SPLIT, _binary_unit)),
    _of(proxy.Cpu): Form('a number of processors such as "2", "0.5" or "250m"', _SPLIT),
    _of(proxy.Image): Form("the reference of a container image", _SPLIT),
    _of(base.HeaderName): Form(
        'the name of a header: letters, digits, "-" and "_", beginning with a letter or digit',
        (lambda text: text.strip().rstrip(":"),),
    ),
    _of(base.HeaderValue): Form("printable ASCII text on one line", (str.strip,)),
    _of(base.Regex): Form("an expression of printable ASCII characters", (str.strip,)),
    _of(base.AbsolutePath): Form(
        'a path: "/" first, printable ASCII without blanks, "?" and "#"',
        (str.strip, lambda text: f"/{text}", lambda text: re.sub(r"[?#].*", "", text)),
    ),
    _of(base.Cidr): Form('an IP address or a range such as "10.0.0.0/8" or "2001:db8::/32"', _SPLIT),
    r"^[0-9A-Fa-f.:]+$": Form('an IPv4 or IPv6 address such as "192.0.2.7"', _SPLIT),
    r"^[\x21-\x7e]+$": Form("printable ASCII without blanks", (*_SPLIT, _percent_encoded)),
    r"^[\x21-\x7e]*$": Form("printable ASCII without blanks", _SPLIT),
    r"^[^\x00]*$": Form("text without NUL characters", (lambda text: text.replace("\0", ""),)),
    r"^[A-Za-z0-9_-]+$": Form('a name of letters, digits, "-" and "_"', (str.strip,)),
    r"^[A-Za-z0-9._~-]+$": Form('a name of letters, digits, ".", "_", "~" and "-"', (str.strip,)),
    r"^[A-Za-z0-9._/-]+$": Form('a name of letters, digits, ".", "_", "/" and "-"', (str.strip,)),
    r"^((\*\.)?[a-z0-9][a-z0-9.-]*|[a-z][a-z0-9+.-]*://[!-~]+)$": Form(
        'a DNS name in lower case or a URI such as "spiffe://example.org/api"', (str.strip, str.lower)
    ),
    r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$": Form("the name of a cookie: no blanks and separators", (str.strip,)),
    _of(cors.Origin): Form(
        'an origin such as "https://www.shop.example" or "https://*.shop.example", or "*"',
        (str.strip, lambda text: text.lower().rstrip("/"), lambda text: f"https://{_bare_host(text)}"),
    ),
    _of(cors.CorsHeader): Form('the name of a header, or "*"', (lambda text: text.strip().rstrip(":"),)),
    _of(compression.MediaType): Form(
        'a media type in lower case, such as "text/html"', (lambda text: text.partition(";")[0].strip().lower(),)
    ),
    _of(maintenance.ContentType): Form(
        'a media type such as "text/html" or "text/html; charset=utf-8"', (lambda text: text.strip().lower(),)
    ),
    r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$": Form(
        'the value of a label: letters, digits, "-", "_" and ".", with a letter or digit at both ends', (str.strip,)
    ),
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$": Form(
        'the name of a label such as "team" or "shop.example/team"', (str.strip,)
    ),
}
"""Every pattern of the API. Types that share a pattern share its words."""


def repaired(text: str, pattern: str, longest: int = 1 << 20) -> str | None:
    """What the user probably meant, if a usual mistake explains the text."""
    form = FORMS.get(pattern, Form(""))
    candidates = (repair(text) for repair in form.repairs)
    # A `$` also matches before a line break at the end, which is no part of what may be written.
    whole = re.compile(pattern.removeprefix("^").removesuffix("$"))
    return next((fixed for fixed in candidates if len(fixed) <= longest and whole.fullmatch(fixed)), None)
