"""Which processes are measured? A control plane of its own, a real Envoy before it, an Envoy that is every upstream."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.machine import Usage, usage
from bench.worlds import GATEWAY, Object

from northgate.files.binary import find_envoy
from northgate.translate import names
from northgate.translate.bootstrap import BootstrapOptions, NodeIdentity, TcpAddress, bootstrap_json
from northgate.world.key import ObjectKey

_PAUSE = 0.002
_FILTERS = "type.googleapis.com/envoy.extensions.filters"


class BenchError(RuntimeError):
    """Something under measurement did not do what it must; no number comes from this run."""


class Process:
    """A child process in a folder of its own, ended with the `with` block."""

    def __init__(self, name: str, *command: str, talks: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"ng-bench-{name}-"))
        self.name = name
        self.log = self.folder / "log"
        self.started = time.perf_counter()
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.terminate()
        try:
            self._popen.wait(5)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def usage(self) -> Usage:
        """What it used so far."""
        return usage(self._popen.pid)

    def fail(self, what: str) -> BenchError:
        """An error with the end of the log."""
        return BenchError(f"{self.name}: {what}\n{self.log.read_text(errors='replace')[-2000:]}")


class Talking(Process):
    """A child that reads and writes one JSON value per line."""

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        super().__init__(name, sys.executable, "-m", module, *arguments, talks=True)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self._stream(self._popen.stdin).write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        self._stream(self._popen.stdin).flush()

    def hear(self) -> dict[str, Any]:
        """Wait for a message."""
        line = self._stream(self._popen.stdout).readline()
        if not line:
            raise self.fail("ended")
        return dict(json.loads(line))

    def ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message and wait for the answer."""
        self.tell({**message, "answer": True})
        return self.hear()

    def _stream(self, stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream


class Plane(Talking):
    """A control plane; without `xds` on a free port. `load` takes in a world, `change` tells without waiting."""

    def __init__(self, listener_port: int, xds: str = "127.0.0.1:0") -> None:
        super().__init__("plane", "bench.plane", str(listener_port), xds)
        self.xds = str(self.hear()["xds"])

    def load(self, objects: Path) -> float:
        """Take in the objects of a file made by `write_objects`; returns the seconds it took."""
        return float(self.ask({"file": str(objects)})["take_s"])

    def change(self, put: Iterable[Object], removed: Sequence[ObjectKey] = ()) -> None:
        """Tell of a change; it is taken in as soon as it is read."""
        self.tell(_message(put, removed))

    def settled(self) -> None:
        """Wait until everything told so far was taken in."""
        self.ask(_message((), ()))


def write_objects(objects: Iterable[Object], path: Path) -> Path:
    """Write objects as JSON, one a line."""
    with path.open("w") as lines:
        lines.writelines(json.dumps([*_parts(key), document]) + "\n" for key, document in objects)
    return path


def _message(put: Iterable[Object], removed: Sequence[ObjectKey]) -> dict[str, Any]:
    return {"put": [[*_parts(key), document] for key, document in put], "removed": [_parts(key) for key in removed]}


def _parts(key: ObjectKey) -> list[str]:
    return [key.group, key.kind, key.namespace, key.name]


class Envoy(Process):
    """An Envoy with one worker."""

    def __init__(self, name: str, bootstrap: str) -> None:
        self._boot = tempfile.TemporaryDirectory(prefix="ng-bench-boot-")
        path = Path(self._boot.name) / "bootstrap.json"
        path.write_text(bootstrap.replace("{folder}", self._boot.name))
        command = (str(find_envoy()), "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning")
        super().__init__(name, *command)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._boot.cleanup()


def proxy(xds: str) -> Envoy:
    """An Envoy for the gateway of the worlds, with the product's own bootstrap."""
    host, _, port = xds.rpartition(":")
    node = NodeIdentity("proxy-1", names.group(GATEWAY))
    return Envoy("proxy", bootstrap_json(BootstrapOptions(node, TcpAddress(host, int(port)), "{folder}/admin")))


def upstream(ports: Sequence[int]) -> Envoy:
    """An Envoy that answers 200 on some ports; the header `x-upstream` names the port."""
    return Envoy("upstream", json.dumps({"static_resources": {"listeners": [_answering(port) for port in ports]}}))


def free_ports(count: int) -> list[int]:
    """Ports the kernel says are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for_port(process: Process, port: int, seconds: float = 30.0) -> None:
    """Wait until somebody listens there."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(_PAUSE)
    raise process.fail(f"nobody listens on port {port} after {seconds:g} s")


def _answering(port: int) -> dict[str, Any]:
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "response_headers_to_add": [{"header": {"key": "x-upstream", "value": str(port)}}],
    }
    manager = {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "upstream",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": f"answering-{port}",
        # The endpoints of the worlds are several addresses of this machine.
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},  # noqa: S104 - see above
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
