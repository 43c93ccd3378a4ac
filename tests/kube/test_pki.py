"""When are certificates made anew, and who is believed meanwhile? Time is an argument, so a year takes no time."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from tests.workloads.conftest import gateway

from northgate.deliver.identity import proxy_identity, vouches
from northgate.kube.pki import Authorities, Pair, client_leaf, ends, server_leaf, server_names, settled
from northgate.kube.secrets import (
    authorities_secret,
    client_secret,
    held_authorities,
    held_leaf,
    server_secret,
)

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
HOSTS = server_names("northgate-xds", "northgate-system")
GROUP = "edge/edge"


def believed(leaf: Pair, trusted: bytes, at: dt.datetime) -> bool:
    """Whether a server certificate is good for the first host at a time: a verifier of somebody else's says so."""
    verifier = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(trusted))).time(at)
    try:
        verifier.build_server_verifier(x509.DNSName(HOSTS[0])).verify(
            x509.load_pem_x509_certificate(leaf.certificate), []
        )
    except VerificationError:
        return False
    return True


def names(leaf: Pair) -> list[str]:
    found = x509.load_pem_x509_certificate(leaf.certificate)
    return [name.value for name in found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def test_a_proxy_is_vouched_for_by_its_own_gateways_certificate():
    leaf = client_leaf(None, settled(None, START), GROUP, START)
    assert names(leaf) == ["spiffe://northgate/edge/edge"]
    assert vouches(names(leaf), GROUP)
    for other in ("edge/edge2", "edge/edg", "edge", "", "other/edge", "edge/edge/"):
        assert not vouches(names(leaf), other)
    assert not vouches((), GROUP)


def test_nothing_changes_until_it_is_due():
    authorities = settled(None, START)
    leaf = server_leaf(None, authorities, HOSTS, START)
    assert settled(authorities, START + 200 * DAY) is not None
    assert settled(authorities, START + 200 * DAY) == authorities
    assert server_leaf(leaf, authorities, HOSTS, START + 19 * DAY) is leaf
    renewed = server_leaf(leaf, authorities, HOSTS, START + 20 * DAY)
    assert renewed is not leaf
    assert ends(renewed.certificate) > ends(leaf.certificate)


def test_a_certificate_for_other_names_is_made_anew():
    authorities = settled(None, START)
    leaf = server_leaf(None, authorities, HOSTS, START)
    assert server_leaf(leaf, authorities, HOSTS[:1], START) is not leaf
    client = client_leaf(None, authorities, GROUP, START)
    assert client_leaf(client, authorities, "edge/other", START) is not client
    assert client_leaf(client, authorities, GROUP, START) is client


def test_clocks_may_differ_by_ten_minutes():
    authorities = settled(None, START)
    leaf = server_leaf(None, authorities, HOSTS, START)
    assert believed(leaf, authorities.trusted, START - 9 * MINUTE)
    assert not believed(leaf, authorities.trusted, START - 11 * MINUTE)


def test_addresses_are_names_too():
    leaf = server_leaf(None, settled(None, START), ("127.0.0.1",), START)
    assert [str(name) for name in names(leaf)] == ["127.0.0.1"]


@pytest.mark.parametrize("late", [0, 3], ids=["prompt", "three days late"])
def test_in_three_years_nobody_is_refused_whichever_side_learns_late(late):
    """Both sides hold what they were given up to `late` days ago, as when Secrets and files spread slowly."""
    known: list[tuple[bytes, Pair]] = []
    authorities, leaf, signers = None, None, set()
    for day in range(3 * 365):
        at = START + day * DAY
        authorities = settled(authorities, at)
        leaf = server_leaf(leaf, authorities, HOSTS, at)
        signers.add(authorities.signer.certificate)
        known.append((authorities.trusted, leaf))
        slow_trust, slow_leaf = known[max(0, day - min(late, 1))][0], known[max(0, day - late)][1]
        assert believed(leaf, slow_trust, at), f"day {day}: a new certificate, old trust"
        assert believed(slow_leaf, authorities.trusted, at), f"day {day}: an old certificate, new trust"
        assert len(x509.load_pem_x509_certificates(authorities.trusted)) <= 3
    assert len(signers) >= 4


def test_an_authority_is_known_a_day_before_it_signs_and_believed_until_it_ends():
    before = settled(None, START)
    announced = settled(before, START + 244 * DAY)
    assert announced.signer == before.signer
    assert announced.following is not None
    assert announced.following.certificate in announced.trusted
    assert settled(announced, START + 244 * DAY + 23 * 60 * MINUTE) == announced
    switched = settled(announced, START + 245 * DAY + MINUTE)
    assert switched.signer == announced.following
    assert before.signer.certificate in switched.trusted
    assert before.signer.certificate not in settled(switched, START + 366 * DAY).trusted


def test_an_authority_that_ended_while_nobody_looked_is_replaced():
    old = settled(None, START)
    new = settled(old, START + 366 * DAY)
    assert new.signer != old.signer
    assert old.signer.certificate not in new.trusted


def test_secrets_give_back_what_they_were_given():
    authorities = settled(settled(None, START), START + 244 * DAY)
    for held in (authorities, settled(authorities, START + 246 * DAY)):
        assert held_authorities(authorities_secret("n", "a", held)) == held
    leaf = client_leaf(None, authorities, GROUP, START)
    mounted = client_secret(gateway(), leaf, authorities)
    assert held_leaf(mounted) == leaf
    assert held_leaf(server_secret("n", "s", leaf, authorities)) == leaf
    assert base64.b64decode(mounted["data"]["ca.crt"]) == authorities.trusted
    assert mounted["type"] == "kubernetes.io/tls"
    assert mounted["metadata"]["ownerReferences"][0]["kind"] == "EdgeGateway"
    assert authorities.signer.key not in base64.b64decode(mounted["data"]["tls.key"])


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"tls.crt": "?", "tls.key": "?"},
        {"tls.crt": None},
        [],
        "x",
        {"tls.crt": "Z2FyYmFnZQ==", "tls.key": ""},
    ],
)
def test_a_secret_of_no_use_is_as_good_as_none(data):
    assert held_leaf({"data": data}) is None
    assert held_authorities({"data": data}) is None
    assert held_leaf(None) is None


def test_a_key_that_does_not_belong_to_its_certificate_is_of_no_use():
    authorities = settled(None, START)
    one, other = (client_leaf(None, authorities, GROUP, START) for _ in range(2))
    mixed = client_secret(gateway(), Pair(one.certificate, other.key), authorities)
    assert held_leaf(mixed) is None
    assert client_leaf(Pair(one.certificate, other.key), authorities, GROUP, START) not in (one, other)


def test_keys_are_not_shown():
    authorities = settled(None, START)
    assert b"PRIVATE" not in repr(Authorities(authorities.signer)).encode()
    assert proxy_identity(GROUP) == "spiffe://northgate/edge/edge"
