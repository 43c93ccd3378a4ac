"""Who calls the API with exactly these rights? A ServiceAccount, its roles, and its kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kube.rig.api_server import KubeApi
from tests.kube.rig.audit import Call
from tests.kube.rig.client import Document, Key, Kube

Rule = Mapping[str, Any]
"""As in a Role: `{"apiGroups": [""], "resources": ["services"], "verbs": ["get"]}`."""
_RBAC = "rbac.authorization.k8s.io"
_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount with a token for a day."""

    api: KubeApi
    namespace: str
    name: str
    token: str
    since: int

    @property
    def user(self) -> str:
        """Its user name, as in the audit log."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def kubeconfig(self, url: str = "") -> Path:
        """A kubeconfig for it; `url` leads through a proxy."""
        name = f"{self.namespace}.{self.name}"
        return self.api.write_kubeconfig(name, self.token, url=url, namespace=self.namespace)

    def client(self) -> Kube:
        """A client that acts as this account."""
        return Kube(self.api.url, self.api.authority, self.token)

    def calls(self) -> tuple[Call, ...]:
        """What it asked for since it was made."""
        return self.api.audit.calls(self.user, self.since)

    def denied(self) -> tuple[Call, ...]:
        """What RBAC refused it."""
        return self.api.audit.denied(self.user, self.since)

    def write_mount(self, folder: Path, token: str = "") -> Path:
        """The files a pod of it would see under `/var/run/secrets/kubernetes.io/serviceaccount`."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {"token": token or self.token, "ca.crt": self.api.authority.ca, "namespace": self.namespace}
        for name, content in files.items():
            (folder / name).write_text(content)
        return folder


async def account(kube: Kube, api: KubeApi, namespace: str, name: str, rules: Sequence[Rule] | None = None) -> Account:
    """A ServiceAccount that may do what `rules` say in its namespace.

    Without rules it is one that exists already, with whatever rights it was given.
    """
    if rules is not None:
        await kube.apply(service_account(namespace, name))
        await grant(kube, f"system:serviceaccount:{namespace}:{name}", name, rules, namespace)
    mark = api.audit.mark()
    return Account(api, namespace, name, await issue(kube, namespace, name), mark)


async def issue(kube: Kube, namespace: str, name: str, seconds: int = _SECONDS) -> str:
    """A new token of a ServiceAccount, valid for at least ten minutes."""
    path = await kube.path(Key("v1", "ServiceAccount", name, namespace))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    return str((await kube.call("POST", f"{path}/token", request))["status"]["token"])


async def grant(kube: Kube, user: str, name: str, rules: Sequence[Rule], namespace: str = "") -> None:
    """Let a user do what the rules say: in one namespace, or everywhere without one. Granting again replaces."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    head = {"apiVersion": f"{_RBAC}/v1", "metadata": metadata}
    reference = {"apiGroup": _RBAC, "kind": kind, "name": name}
    subjects = [{"apiGroup": _RBAC, "kind": "User", "name": user}]
    await kube.apply({**head, "kind": kind, "rules": list(rules)})
    await kube.apply({**head, "kind": f"{kind}Binding", "roleRef": reference, "subjects": subjects})


def service_account(namespace: str, name: str) -> Document:
    """The ServiceAccount's document."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
