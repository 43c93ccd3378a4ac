"""How does a child die with its parent? By asking the kernel for a signal before becoming the program it is to be.

Run as a script: `launch.py PARENT_PID PROGRAM ARGUMENT…`. It imports nothing of the product, so that it takes no time.
A hook between fork and exec would do the same but is unsafe in a process with threads. The kernel forgets the wish
when the program has file capabilities or is set-uid; then the parent's death leaves the child running. The signal
comes when the *thread* that started the child ends, so start children from one that lives as long as the process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_RUN = 127


def main(parent: int, command: list[str]) -> None:
    """Become `command`, to be ended by SIGTERM when `parent` dies. Returns only if that cannot be done."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(0)  # The parent died before the kernel knew of the wish.
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell, and the caller chose the program
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
    sys.exit(_CANNOT_RUN)
