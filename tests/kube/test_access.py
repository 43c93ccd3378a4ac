from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from northgate.kube.access import Access, AccessError, find_access, from_kubeconfig, in_cluster

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
HERE = {"name": "here", "cluster": {"server": "https://api.example:6443"}}
ME = {"name": "me", "user": {"token": "t0ken"}}


def written(path: Path, **changes: Any) -> Path:
    contexts = [{"name": "main", "context": {"cluster": "here", "user": "me", "namespace": "demo"}}]
    config = {"current-context": "main", "contexts": contexts, "clusters": [HERE], "users": [ME], **changes}
    path.write_text(json.dumps(config))
    return path


def mounted(folder: Path) -> Path:
    for name, text in {"token": "first\n", "ca.crt": "pem", "namespace": "northgate-system"}.items():
        (folder / name).write_text(text)
    return folder


def test_a_kubeconfig_says_server_user_and_namespace(tmp_path: Path) -> None:
    access = from_kubeconfig(written(tmp_path / "config"))
    assert (access.server, access.namespace, access.header()) == ("https://api.example:6443", "demo", "Bearer t0ken")
    assert "t0ken" not in repr(access)


def test_files_beside_a_kubeconfig_are_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("authority")
    (tmp_path / "token").write_text("from a file\n")
    cluster = {"name": "here", "cluster": {**HERE["cluster"], "certificate-authority": "ca.pem"}}  # type: ignore[dict-item]
    user = {"name": "me", "user": {"tokenFile": "token"}}
    access = from_kubeconfig(written(tmp_path / "config", clusters=[cluster], users=[user]))
    assert (access.authority, access.header()) == ("authority", "Bearer from a file")


def test_client_certificates_are_taken_from_the_file_itself(tmp_path: Path) -> None:
    pair = trustme.CA().issue_cert("me")
    chain = b"".join(blob.bytes() for blob in pair.cert_chain_pems)
    data = {"client-certificate-data": chain, "client-key-data": pair.private_key_pem.bytes()}
    user = {"name": "me", "user": {name: base64.b64encode(text).decode() for name, text in data.items()}}
    access = from_kubeconfig(written(tmp_path / "config", users=[user]))
    assert access.tls() is not None
    assert access.key not in repr(access)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    one, other = trustme.CA().issue_cert("a"), trustme.CA().issue_cert("b")
    access = Access("https://x", certificate=one.cert_chain_pems[0].bytes().decode())
    wrong = Access("https://x", certificate=access.certificate, key=other.private_key_pem.bytes().decode())
    for broken in (access, wrong):
        with pytest.raises(AccessError, match="the key of this certificate"):
            broken.tls()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"current-context": ""}, "no current-context"),
        ({"current-context": "other"}, "contexts has no 'other'"),
        ({"clusters": []}, "clusters has no 'here'"),
        ({"users": None}, "users has no 'me'"),
        ({"clusters": [{"name": "here", "cluster": {}}]}, "write https://host:port"),
        ({"users": [{"name": "me", "user": {"exec": {"command": "login"}}}]}, "no program is run for credentials"),
        ({"clusters": [{"name": "here", "cluster": {"proxy-url": "x", "server": "https://x"}}]}, "without a proxy"),
        ({"users": [{"name": "me", "user": {"client-certificate-data": "%"}}]}, "not base64"),
        ({"users": [{"name": "me", "user": {"client-certificate": "none.pem"}}]}, "none.pem cannot be read"),
        ({"users": [{"name": "me", "user": {"client-certificate-data": "YQ=="}}]}, "`client-key` is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(AccessError, match=said):
        from_kubeconfig(written(tmp_path / "config", **changes))


@pytest.mark.parametrize(("text", "said"), [("", "is empty"), ("a: [", "not YAML")])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(AccessError, match=said):
        from_kubeconfig(tmp_path / "config")
    with pytest.raises(AccessError, match="cannot be read"):
        from_kubeconfig(tmp_path / "none")


def test_a_pod_finds_its_account(tmp_path: Path) -> None:
    access = in_cluster(POD, mounted(tmp_path))
    assert (access.server, access.namespace) == ("https://10.96.0.1:443", "northgate-system")
    assert in_cluster({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path).server == "https://[fd00::1]:443"
    (tmp_path / "token").write_text("second")
    assert access.header() == "Bearer second"


def test_a_pod_without_a_token_says_so(tmp_path: Path) -> None:
    (mounted(tmp_path) / "token").unlink()
    with pytest.raises(AccessError, match="mount it"):
        in_cluster(POD, tmp_path)
    (tmp_path / "token").write_text("")
    with pytest.raises(AccessError, match="is empty"):
        in_cluster(POD, tmp_path)


def test_what_is_named_comes_before_what_is_found(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".kube"
    home.mkdir(parents=True)
    usual = {"HOME": str(tmp_path / "home")}
    mounted(tmp_path)
    with pytest.raises(AccessError, match="no cluster is known"):
        find_access(environment=usual)
    written(home / "config", clusters=[{"name": "here", "cluster": {"server": "https://usual"}}])
    named = written(tmp_path / "named", clusters=[{"name": "here", "cluster": {"server": "https://named"}}])
    both = {**usual, **POD, "KUBECONFIG": str(named)}
    assert find_access(environment=usual).server == "https://usual"
    assert find_access(environment={**usual, **POD}, mount=tmp_path).server == "https://10.96.0.1:443"
    assert find_access(environment=both).server == "https://named"
    assert find_access(home / "config", environment=both).server == "https://usual"
    with pytest.raises(AccessError, match="several files"):
        find_access(environment={"KUBECONFIG": "a:b"})


@pytest.fixture
async def echo() -> AsyncIterator[tuple[str, list[str], set[str]]]:
    """A server that knows some tokens, and what it was sent."""
    sent: list[str] = []
    valid: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization", ""))
        return web.Response(status=200 if sent[-1] in valid else 401)

    application = web.Application()
    application.router.add_get("/version", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", sent, valid
    await runner.cleanup()


async def test_a_token_that_changes_is_sent_as_it_is_now(echo: tuple[str, list[str], set[str]], tmp_path: Path) -> None:
    url, sent, valid = echo
    token = mounted(tmp_path) / "token"
    valid |= {"Bearer first", "Bearer second"}
    async with Access(url, token_file=token).session() as session:
        assert (await session.get("version")).status == 200
        token.write_text("second")
        assert (await session.get("version")).status == 200
        valid.clear()
        assert (await session.get("version")).status == 401
    assert sent == ["Bearer first", "Bearer second", "Bearer second"]
