"""Who collects garbage, makes ReplicaSets and EndpointSlices, empties namespaces? kube-controller-manager."""

from __future__ import annotations

import ssl
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.ports import HeldPorts
from tests.kube.rig.api_server import KubeApi, wait_ready
from tests.kube.rig.children import Child


class Controllers:
    """The controller manager of an API server, between `start` and `stop`. The methods block."""

    def __init__(self, api: KubeApi, program: Path) -> None:
        self._ports = HeldPorts()
        self._port = self._ports()
        kubeconfig = api.write_kubeconfig("controllers", api.authority.tokens["controllers"])
        self.child = Child("kube-controller-manager", [program, *self._flags(api, kubeconfig)], api.folder)

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
        """Stop it for good."""
        self.stop()
        self._ports.close()

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self.child.start()
        wait_ready(self.child, self._healthy)

    def stop(self) -> None:
        """Kill it."""
        self.child.stop()

    def _flags(self, api: KubeApi, kubeconfig: Path) -> list[str]:
        return [
            *(f"--kubeconfig={kubeconfig}", "--leader-elect=false"),
            *("--bind-address=127.0.0.1", f"--secure-port={self._port}", "--permit-port-sharing=true"),
            *("--kube-api-qps=500", "--kube-api-burst=1000"),  # with the default of 20 its first round takes 5 s
            *("--use-service-account-credentials=true", f"--root-ca-file={api.authority.ca_path}"),
            f"--service-account-private-key-file={api.authority.signing_path}",
        ]

    def _healthy(self) -> bool:
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE  # it makes its own certificate
        handlers = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anyone)
        with urllib.request.build_opener(*handlers).open(f"https://127.0.0.1:{self._port}/healthz", timeout=5) as reply:
            return bool(reply.status == 200)
