"""Ties a child's life to its parent's, so that a kill -9 leaves no orphans. Linux only; elsewhere it does nothing."""

import os
import sys
from collections.abc import Sequence

# The child runs this before it becomes the command. Not a `preexec_fn`: with one, Python forks, and libraries that have
# threads in the parent act in the child between fork and exec; gRPC's then abort it now and then.
_PRELUDE = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):  # It died before we asked.
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


def dying_with_parent(command: Sequence[str]) -> list[str]:
    """The command for a child that is killed when the thread that starts it ends; start it from the main thread.

    Args:
        command: a program and its arguments; it keeps the process id that `Popen` gives.

    Source:
        prctl(2), PR_SET_PDEATHSIG, which survives execve(2).
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", "-c", _PRELUDE, str(os.getpid()), *command]
