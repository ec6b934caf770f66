"""What gateway and worker have in common as processes."""

import signal
import sys
from importlib.metadata import version

VERSION = version("xmdpt-serve")
_SWITCH_INTERVAL_SECONDS = 0.0005


def stop_quietly_on_sigterm() -> None:
    """End with status 0 if SIGTERM comes before, or again after, the process has a handler of its own.

    uvicorn raises the signal once more when it has stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def share_the_interpreter() -> None:
    """Let the thread that all wait for, the device's or the event loop's, have the interpreter soon after it asks.

    By default any other thread keeps it for up to 5 ms.
    """
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
