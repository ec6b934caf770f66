"""What gateway and worker have in common as processes."""

import signal
import sys
from importlib.metadata import version

VERSION = version("xmdpt-serve")


def stop_quietly_on_sigterm() -> None:
    """End with status 0 if SIGTERM comes before, or again after, the process has a handler of its own.

    uvicorn raises the signal once more when it has stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
