"""Where is the cluster's API, and who are we there? A kubeconfig, or the ServiceAccount of the pod we run in."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from yarl import URL

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its ServiceAccount's token, the authority of the API server and its own namespace."""

_UNAUTHORIZED = 401


class AccessError(Exception):
    """The API server cannot be addressed: one sentence on what is missing and the remedy. Holds no credential."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the API server is reached. Credentials are not shown by `repr`.

    `server` is its URL; `authority`, `certificate` and `key` are PEM, empty for none; `authorization` is a fixed header
    value. A `token_file` is read again for every request, since its content changes about once an hour. `namespace` is
    the one meant where none is named.
    """

    server: str
    namespace: str = "default"
    authority: str = ""
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    authorization: str = field(default="", repr=False)
    token_file: Path | None = None
    insecure: bool = False

    def header(self) -> str:
        """The `Authorization` header's value now, empty for none; AccessError when the token cannot be read."""
        if self.token_file is None:
            return self.authorization
        token = _read(self.token_file, "token").strip()
        if not token:
            raise AccessError(f"the token file {self.token_file} is empty; wait for the kubelet, or mount a token")
        return f"Bearer {token}"

    def tls(self) -> ssl.SSLContext:
        """The context for connections; AccessError when a certificate or key cannot be used."""
        try:
            context = ssl.create_default_context(cadata=self.authority or None)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate:
                _present(context, self.certificate, self.key)
        except (ssl.SSLError, ValueError, OSError) as error:
            said = "the certificate data for the API server cannot be used; write PEM, and the key of this certificate"
            raise AccessError(f"{said} ({error})") from None
        return context

    def session(self, limit: int = 0) -> aiohttp.ClientSession:
        """A session whose requests carry the credentials of the moment; paths are relative to the server.

        `limit` is the number of connections, 0 for any. Close it after use.
        """
        # Compressed answers cost the loop more time than a cluster's network saves.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "northgate"}
        connector = aiohttp.TCPConnector(ssl=self.tls() if self.server.startswith("https:") else True, limit=limit)
        base = URL(self.server.rstrip("/") + "/")
        return aiohttp.ClientSession(base, connector=connector, headers=headers, middlewares=(self._authorize,))

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if sent := self.header():
            request.headers["Authorization"] = sent
        answer = await handler(request)
        # The token may have been replaced while the request was under way; one that is as before is truly refused.
        if answer.status == _UNAUTHORIZED and self.token_file is not None and (fresh := self.header()) != sent:
            answer.close()
            request.headers["Authorization"] = fresh
            answer = await handler(request)
        return answer


def find_access(
    kubeconfig: Path | None = None,
    context: str = "",
    environment: Mapping[str, str] | None = None,
    mount: Path = MOUNT,
) -> Access:
    """The access that is meant: the named kubeconfig, else `KUBECONFIG`, else the pod's account, else `~/.kube/config`.

    `environment` replaces that of the process. AccessError when there is none.
    """
    said = os.environ if environment is None else environment
    if kubeconfig is not None:
        return from_kubeconfig(kubeconfig, context)
    if named := said.get("KUBECONFIG", ""):
        if os.pathsep in named.strip(os.pathsep):
            raise AccessError(f"KUBECONFIG names several files ({named}); name one, e.g. with --kubeconfig")
        return from_kubeconfig(Path(named.strip(os.pathsep)), context)
    if said.get("KUBERNETES_SERVICE_HOST") and not context:
        return in_cluster(said, mount)
    usual = Path(said.get("HOME", "~")).expanduser() / ".kube" / "config"
    if usual.exists():
        return from_kubeconfig(usual, context)
    raise AccessError("no cluster is known here; name a kubeconfig with --kubeconfig or KUBECONFIG, or run in a pod")


def in_cluster(environment: Mapping[str, str], mount: Path = MOUNT) -> Access:
    """The access of a pod through its ServiceAccount; AccessError when a part of it is not there."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise AccessError("KUBERNETES_SERVICE_HOST is not set, so this is no pod; name a kubeconfig")
    access = Access(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=_read(mount / "namespace", "namespace").strip(),
        authority=_read(mount / "ca.crt", "certificate authority"),
        token_file=mount / "token",
    )
    access.header()
    return access


def from_kubeconfig(path: Path, context: str = "") -> Access:
    """The access a kubeconfig describes, by its current context unless one is named; AccessError when it cannot be."""
    return _Kubeconfig(path, _document(path)).access(context)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AccessError(f"the kubeconfig {path} cannot be read ({error.strerror}); name one that can") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise AccessError(f"the kubeconfig {path} is not YAML; write it anew") from None
    if not isinstance(found, Mapping):
        raise AccessError(f"the kubeconfig {path} is empty; write clusters, users and contexts")
    return found


@dataclass(frozen=True, slots=True)
class _Kubeconfig:
    path: Path
    document: Mapping[str, Any]

    def access(self, context: str) -> Access:
        name = context or str(self.document.get("current-context") or "")
        if not name:
            raise AccessError(f"{self.path} has no current-context; set it, or name a context with --context")
        chosen = self._entry("contexts", "context", name)
        cluster = self._entry("clusters", "cluster", str(chosen.get("cluster", "")))
        user = self._entry("users", "user", str(chosen.get("user", ""))) if chosen.get("user") else {}
        self._refuse(cluster, "clusters", "proxy-url", "make the API reachable without a proxy")
        self._refuse(cluster, "clusters", "tls-server-name", "let `server` name the server as its certificate does")
        for plugin in ("exec", "auth-provider"):
            self._refuse(user, "users", plugin, "no program is run for credentials: use a token or a certificate")
        server = str(cluster.get("server", ""))
        if not server.startswith(("https://", "http://")):
            raise AccessError(f"{self.path}: clusters: `server` is {server!r}; write https://host:port")
        if user.get("client-certificate") or user.get("client-certificate-data"):
            certificate, key = self._pem(user, "client-certificate"), self._pem(user, "client-key")
        else:
            certificate = key = ""
        return Access(
            server,
            str(chosen.get("namespace") or "default"),
            self._pem(cluster, "certificate-authority") if _has(cluster, "certificate-authority") else "",
            certificate,
            key,
            _authorization(user),
            self._place(user["tokenFile"]) if user.get("tokenFile") and not user.get("token") else None,
            bool(cluster.get("insecure-skip-tls-verify")),
        )

    def _entry(self, block: str, field_name: str, name: str) -> Mapping[str, Any]:
        for entry in self.document.get(block) or ():
            if isinstance(entry, Mapping) and entry.get("name") == name:
                found = entry.get(field_name) or {}
                if isinstance(found, Mapping):
                    return found
        raise AccessError(f"{self.path}: {block} has no {name!r}; add it, or name a context that is there")

    def _refuse(self, found: Mapping[str, Any], block: str, name: str, remedy: str) -> None:
        if found.get(name):
            raise AccessError(f"{self.path}: {block}: `{name}` is not supported; {remedy}")

    def _pem(self, found: Mapping[str, Any], name: str) -> str:
        """A field that stands in the file as base64 (`…-data`), or names a file beside it."""
        if encoded := found.get(f"{name}-data"):
            try:
                return base64.b64decode(str(encoded), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise AccessError(f"{self.path}: `{name}-data` is not base64 of PEM; encode it") from None
        if named := found.get(name):
            return _read(self._place(named), name)
        raise AccessError(f"{self.path}: `{name}` is missing; add it or `{name}-data`")

    def _place(self, named: object) -> Path:
        return self.path.parent / str(named)


def _has(found: Mapping[str, Any], name: str) -> bool:
    return bool(found.get(name) or found.get(f"{name}-data"))


def _authorization(user: Mapping[str, Any]) -> str:
    if token := user.get("token"):
        return f"Bearer {token}"
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return ""


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise AccessError(f"the {what} file {path} cannot be read ({why}); mount it, or name a kubeconfig") from None


def _present(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Python's TLS takes a client's pair from files alone: one for this user, gone at once."""
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="northgate-", encoding="utf-8"))
        file.write(f"{certificate.strip()}\n{key.strip()}\n")
        file.flush()
        context.load_cert_chain(file.name)
