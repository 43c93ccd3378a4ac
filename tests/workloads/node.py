"""What the kubelet does, on this machine: mounts a pod's volumes, runs its container, asks its probes, ends it.

Everything is read from the documents as the API server would hold them. Folders of the container become folders of this
test, and the ports it binds free ports, since pods have a file system and an address of their own.
"""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from tests.harness.envoy import installed
from tests.harness.facts import wait_for

from northgate.files.admin import Admin
from northgate.kube.workloads import config

Document = Mapping[str, Any]

_RUN_COMMAND = (sys.executable, "-m", "northgate.cli.main")


class Pod:
    """One pod of a Deployment or DaemonSet. `ports` says which port of this machine stands for one of the pod's."""

    def __init__(self, name: str, objects: Sequence[Document], secret: Document, ports: Mapping[int, int]) -> None:
        self.name = name
        # Not pytest's folder: a unix socket's path has at most 107 bytes.
        self.root = Path(tempfile.mkdtemp(prefix="ng-pod-"))
        self.log_path = self.root / "log"
        self.ports = ports
        by_kind = {one["kind"]: one for one in objects}
        runner = by_kind.get("Deployment") or by_kind["DaemonSet"]
        self.spec = runner["spec"]["template"]["spec"]
        [self.container] = self.spec["containers"]
        self._folders = {config.CERTIFICATES: "certificates", config.CONFIG: "config", config.RUN: "run"}
        assert {one["mountPath"] for one in self.container["volumeMounts"]} == set(self._folders)
        (self.root / "run").mkdir()
        (self.root / "config").mkdir()
        for file, text in by_kind["ConfigMap"]["data"].items():
            (self.root / "config" / file).write_text(self._local(text))
        self.mount(secret)
        self.admin = Admin(Path(self._local(config.ADMIN)))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(f"--- log of {self.name}\n{self.log()}")  # noqa: T201 - pytest shows it with the failure
        await self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    async def start(self) -> None:
        container = self.container
        environment = {one["name"]: self.name for one in container["env"]}
        arguments = [self._local(one) for one in container["args"]]
        for name, value in environment.items():
            arguments = [one.replace(f"$({name})", value) for one in arguments]
        [program, *rest] = container["command"]
        assert program == "northgate"
        inherited = {
            key: os.environ[key] for key in ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_START") if key in os.environ
        }
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(*_RUN_COMMAND, *rest, *arguments),
                env={**inherited, **environment, "NORTHGATE_ENVOY": str(installed())},
                stdout=log,
                stderr=log,
            )

    def mount(self, secret: Document) -> None:
        """Show a Secret as the kubelet does: a new folder, then one rename of the link to it."""
        place = self.root / "certificates"
        place.mkdir(exist_ok=True)
        data = Path(tempfile.mkdtemp(prefix="..", dir=place))
        for name, value in secret["data"].items():
            (data / name).write_bytes(base64.b64decode(value))
            if not (place / name).is_symlink():
                (place / name).symlink_to(Path("..data") / name)
        link = place / "..data_tmp"
        link.symlink_to(data.name)
        link.rename(place / "..data")

    async def probe(self, kind: str) -> bool:
        """What a probe, as written in the template, finds."""
        status, _ = await self.ask(kind)
        return 200 <= status < 400

    async def ask(self, kind: str) -> tuple[int, str]:
        probe = self.container[f"{kind}Probe"]
        port = next(one["containerPort"] for one in self.container["ports"] if one["name"] == probe["httpGet"]["port"])
        url = f"http://127.0.0.1:{self.ports[port]}{probe['httpGet']['path']}"
        timeout = aiohttp.ClientTimeout(total=probe["timeoutSeconds"])
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
                return answer.status, await answer.text()
        except (OSError, aiohttp.ClientError) as error:
            return 0, repr(error)

    async def until(self, kind: str, wanted: bool, deadline: float = 20.0) -> None:  # noqa: FBT001 - the fact itself
        async def so() -> bool:
            return await self.probe(kind) == wanted

        try:
            await wait_for(so, f"{kind} of {self.name} is {wanted}", deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.ask(kind)}\n{self.log()}") from error

    def terminate(self) -> None:
        """As the kubelet does after the preStop hook, of which there is none."""
        assert "lifecycle" not in self.container
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for the container to end by itself within the grace period; its status."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), self.spec["terminationGracePeriodSeconds"])

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-6000:] if self.log_path.exists() else "(no log)"

    def _local(self, text: str) -> str:
        for place, folder in sorted(self._folders.items(), reverse=True):
            text = text.replace(place, str(self.root / folder))
        for port, stands in self.ports.items():
            text = text.replace(str(port), str(stands))
        return text
