"""How many worker processes there are by default, and how they begin. Needs no torch."""

import ctypes
import logging
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def begin_work() -> None:
    """Leave Ctrl-C to the parent, which ends the pool, and end with it should it be killed (on Linux)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent has told of a missing compiler.
    logging.getLogger("xmdpt.persons").setLevel(logging.ERROR)
