"""Ties a child's life to its parent's, so that a kill -9 leaves no orphans. Linux only; elsewhere it does nothing."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn`: the child is killed when the thread that starts it ends; start it from the main thread.

    Source:
        prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return None
    # Everything is looked up before the fork: in the child, locks of other threads would stay taken.
    libc, parent = ctypes.CDLL(None), os.getpid()
    prctl, getppid, exit_now = libc.prctl, os.getppid, os._exit

    def ask_for_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if getppid() != parent:  # It died before we asked.
            exit_now(1)

    return ask_for_signal
