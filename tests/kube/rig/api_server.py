"""How do tests get a real Kubernetes API? etcd and kube-apiserver on loopback, with RBAC and an audit log.

A start takes two to four seconds. The methods block: where the test's loop serves something meanwhile, call them in
`asyncio.to_thread`.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.ports import HeldPorts
from tests.kube.rig.audit import POLICY, AuditLog
from tests.kube.rig.authority import Authority
from tests.kube.rig.children import Child

_DEADLINE = 60.0
_PAUSE = 0.03
SERVICE_RANGE = "10.96.0.0/16"


class KubeApi:
    """One API server and its etcd. Ports and everything issued stay the same over `stop`, `start` and `wipe`.

    `kubeconfig` is the administrator's. Without `Controllers` nothing acts: no garbage collection, no EndpointSlices,
    no `default` ServiceAccounts, and a deleted namespace stays `Terminating`.
    """

    def __init__(self, programs: Mapping[str, Path]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ng-kube-"))
        self.authority = Authority(self.folder / "pki")
        self._ports = HeldPorts()
        self._client, self._peer, self.port = (self._ports() for _ in range(3))
        self.url = f"https://127.0.0.1:{self.port}"
        self.etcd = Child("etcd", [programs["etcd"], *self._etcd_flags()], self.folder)
        self.server = Child("kube-apiserver", [programs["kube-apiserver"], *self._server_flags()], self.folder)
        self.audit = AuditLog(self.folder / "audit.log")
        self.kubeconfig = self.write_kubeconfig("admin", self.token)

    @property
    def token(self) -> str:
        """The administrator's token (group `system:masters`)."""
        return self.authority.tokens["admin"]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop both for good and remove all files."""
        self.stop()
        self._ports.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start what does not run and wait until the API is ready."""
        self.etcd.start()
        self._wait(self.etcd, f"http://127.0.0.1:{self._client}/health")
        self.server.start()
        self._wait(self.server, f"{self.url}/readyz")

    def stop(self) -> None:
        """Kill both: from the clients' side the API is gone, connections are refused."""
        self.server.stop()
        self.etcd.stop()

    def wipe(self) -> None:
        """Stop, lose all objects, start: another cluster at the same address."""
        self.stop()
        shutil.rmtree(self._data)
        self.start()

    def save(self) -> Path:
        """Keep a copy of all objects, for `restore`. The API is away for a moment."""
        self.stop()
        copy = Path(tempfile.mkdtemp(prefix="etcd-", dir=self.folder))
        shutil.copytree(self._data, copy, dirs_exist_ok=True)
        self.start()
        return copy

    def restore(self, saved: Path) -> None:
        """Go back to a copy: later objects are gone, the resource version is an earlier one."""
        self.stop()
        shutil.rmtree(self._data)
        shutil.copytree(saved, self._data)
        self.start()

    def write_kubeconfig(self, name: str, token: str, *, url: str = "", namespace: str = "default") -> Path:
        """A kubeconfig `<name>.kubeconfig` in the server's folder for a token; `url` leads through a proxy."""
        authority = base64.b64encode(self.authority.ca.encode()).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {"name": name, "cluster": {"server": url or self.url, "certificate-authority-data": authority}}
            ],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        }
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(document, indent=1))
        return path

    @property
    def _data(self) -> Path:
        return self.folder / "etcd"

    def _etcd_flags(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._client, self._peer))
        return [
            *("--name=only", f"--data-dir={self._data}", "--unsafe-no-fsync", "--log-level=warn"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=only={peer}"),
            *("--heartbeat-interval=10", "--election-timeout=100"),  # a lone member elects itself: no second of waiting
            "--socket-reuse-port=true",
        ]

    def _server_flags(self) -> list[str]:
        policy = self.folder / "audit-policy.json"
        policy.write_text(json.dumps(POLICY))
        pair, key = self.authority.pair_path, self.authority.signing_path
        return [
            *(f"--etcd-servers=http://127.0.0.1:{self._client}", f"--service-cluster-ip-range={SERVICE_RANGE}"),
            *("--bind-address=127.0.0.1", f"--secure-port={self.port}", "--permit-port-sharing=true"),
            *(f"--tls-cert-file={pair}", f"--tls-private-key-file={pair}"),
            *(f"--token-auth-file={self.authority.tokens_path}", "--authorization-mode=RBAC"),
            *(f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"),
            *("--service-account-issuer=https://kubernetes.default.svc", "--endpoint-reconciler-type=none"),
            # Nobody makes the `default` ServiceAccounts that this plug-in asks for.
            *("--disable-admission-plugins=ServiceAccount", "--allow-privileged=true", "--profiling=false"),
            *(f"--audit-policy-file={policy}", f"--audit-log-path={self.folder / 'audit.log'}"),
        ]

    def _wait(self, child: Child, url: str) -> None:
        context = self.authority.client_tls()
        wait_ready(child, lambda: self._answers(url, context))

    def _answers(self, url: str, context: ssl.SSLContext) -> bool:
        headers = {"Authorization": f"Bearer {self.token}"} if url.startswith(self.url) else {}
        secure = urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)
        with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as reply:  # noqa: S310 - both URLs are ours
            return bool(reply.status == 200)


def wait_ready(child: Child, answers: Callable[[], bool]) -> None:
    """Wait until a server answers; EndedError when it ends, AssertionError with its log after a minute."""
    end = time.monotonic() + _DEADLINE
    while time.monotonic() < end:
        child.check()
        try:
            if answers():
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(_PAUSE)
    raise AssertionError(f"{child.name} was not ready in {_DEADLINE:g} s\n{child.log()}")
