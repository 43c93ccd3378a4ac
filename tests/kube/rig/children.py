"""How does a test run a server? As a child process that never outlives it, with its log in a file."""

from __future__ import annotations

import ctypes
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_TAIL = 3000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
# The kernel ends a child with the *thread* that started it: this one lives as long as the process.
_STARTER = ThreadPoolExecutor(1, "children")


class EndedError(AssertionError):
    """A server ended by itself; the message has the end of its log."""


class Child:
    """A command that can be started, frozen, stopped and started again. Its output goes to `<folder>/<name>.log`."""

    def __init__(self, name: str, command: Sequence[object], folder: Path) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self._command = [str(part) for part in command]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process unless it runs."""
        if not self.running:
            self._process = _STARTER.submit(self._spawn).result()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one call into libc, no lock is taken
            )

    def stop(self, how: signal.Signals = signal.SIGKILL, deadline: float = 20.0) -> None:
        """End it with a signal and wait; SIGKILL when the deadline, in seconds, passes."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Stop it from running at all; its sockets stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def check(self) -> None:
        """EndedError when it ended by itself."""
        if not self.running:
            raise EndedError(f"{self.name} does not run\n{self.log()}")

    def log(self) -> str:
        """The end of its log."""
        return self.log_path.read_text(errors="replace")[-_TAIL:] if self.log_path.exists() else "(no log)"


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
