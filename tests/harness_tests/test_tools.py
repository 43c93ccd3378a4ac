"""Ports, certificates, deadlines and the name of the source root: what the other harness parts stand on."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from tests.harness.certificates import TlsPairs
from tests.harness.facts import DeadlineError, wait_for
from tests.harness.ports import HeldPorts


def test_a_held_port_is_taken_until_released(free_port: HeldPorts) -> None:
    port = free_port()
    with socket.socket() as rival, pytest.raises(OSError, match="Address already in use"):
        rival.bind(("127.0.0.1", port))
    free_port.release(port)
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", port))


def test_held_ports_differ_between_holders() -> None:
    with HeldPorts() as one, HeldPorts() as other:
        assert not {one() for _ in range(100)} & {other() for _ in range(100)}


@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_good_pairs_load_and_carry_all_names(tls_pairs: TlsPairs, tmp_path: Path, key: str) -> None:
    pair = tls_pairs.issue("a.example.test", "*.b.example.test", "127.0.0.1", key=key)
    certificate, key_file = pair.write(tmp_path)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key_file)
    assert key_file.stat().st_mode & 0o777 == 0o600
    decoded = ssl._ssl._test_decode_cert(str(certificate))
    assert [name for _, name in decoded["subjectAltName"]] == ["a.example.test", "*.b.example.test", "127.0.0.1"]
    assert pair.serial == decoded["serialNumber"]


@pytest.mark.parametrize("name", ["mismatched", "garbage", "truncated", "encrypted"])
def test_unusable_pairs_do_not_load(tls_pairs: TlsPairs, tmp_path: Path, name: str) -> None:
    with pytest.raises(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            *tls_pairs.bad[name].write(tmp_path), password=lambda: "no"
        )


@pytest.mark.parametrize("name", ["expired", "not_yet_valid"])
def test_pairs_out_of_their_time_load_all_the_same(tls_pairs: TlsPairs, tmp_path: Path, name: str) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*tls_pairs.bad[name].write(tmp_path))


async def test_a_wait_returns_the_true_answer_and_survives_lost_connections() -> None:
    answers = iter([ConnectionRefusedError(), "", 0, "there"])

    async def fact() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await wait_for(fact, "it is there") == "there"


async def test_a_wait_beyond_its_deadline_says_what_was_missing() -> None:
    async def fact() -> int:
        return 0

    with pytest.raises(DeadlineError, match=r"not within 0.05 s: the moon \(last: 0\)"):
        await wait_for(fact, "the moon", 0.05)


async def test_a_wait_passes_on_bugs_at_once() -> None:
    async def fact() -> bool:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await wait_for(fact, "never", 60)


def test_the_source_root_is_no_package_that_would_shadow_the_standard_operator_module() -> None:
    assert not (Path(__file__).parents[2] / "operator" / "__init__.py").exists()
