"""Nothing of a proxy's text is told but known phrases and our own names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from northgate.deliver.scrub import UNKNOWN, scrub

KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----"
CASES = [
    (
        f"Proto constraint validation failed (SecretValidationError.TlsCertificate: value is required): {KEY}",
        {"s", "t"},
        "Proto constraint validation failed; value is required; SecretValidationError.TlsCertificate",
        (),
    ),
    (
        "Error adding/updating cluster(s) b: Didn't find a registered implementation for 'x', c: nope",
        {"a", "b", "c"},
        "Error adding/updating cluster(s); Didn't find a registered implementation (b, c)",
        ("b", "c"),
    ),
    (
        "Error adding/updating listener(s) bad: malformed IP address: 1.2.3\nworse: error\n",
        {"bad", "worse", "good"},
        "Error adding/updating listener(s); malformed IP address (bad, worse)",
        ("bad", "worse"),
    ),
    (f"Failed to load private key from <inline>: {KEY}", {"one"}, "Failed to load private key (one)", ("one",)),
    (KEY, {"a", "b"}, UNKNOWN, ()),
    ("", {"a", "b"}, UNKNOWN, ()),
]


@pytest.mark.parametrize(("raw", "names", "message", "culprits"), CASES)
def test_known_texts(raw: str, names: set[str], message: str, culprits: tuple[str, ...]) -> None:
    refusal = scrub(raw, names)
    assert (refusal.message, refusal.culprits) == (message, culprits)


@given(st.text(min_size=8, alphabet="0123456789+/=@#"), st.sampled_from([case[0] for case in CASES]))
def test_no_foreign_text_gets_through(secret: str, around: str) -> None:
    assert secret not in scrub(f"{around} {secret}, {secret}: {secret}", {"a", "b"}).message
