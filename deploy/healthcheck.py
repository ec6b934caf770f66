"""The container's health check: asks each process of its role whether it is ready; exits 1 if one is not.

It uses the standard library alone and knows the service only from outside.
"""

import os
import sys
import urllib.request
from pathlib import Path

_TIMEOUT_SECONDS = 4
# Variable and default of the port that each process answers on.
_GATEWAY = ("XMDPT_GATEWAY__PORT", "8080")
_WORKER = ("XMDPT_WORKER__OPS_PORT", "8082")
_PORTS = {"gateway": [_GATEWAY], "worker": [_WORKER], "all": [_GATEWAY, _WORKER]}


def main() -> None:
    """The role is the argument, else what the container's first process was started with."""
    words = sys.argv[1:] or Path("/proc/1/cmdline").read_text().split("\0")
    role = next((word for word in reversed(words) if word in _PORTS), None)
    if role is None:
        sys.exit(f"unhealthy: none of {', '.join(_PORTS)} runs here")
    # Proxies of the environment are for other addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for variable, default in _PORTS[role]:
        url = f"http://127.0.0.1:{os.environ.get(variable, default)}/readyz"
        try:
            # An HTTP error is an OSError too, as is a refused connection.
            with opener.open(url, timeout=_TIMEOUT_SECONDS):
                pass
        except OSError as error:
            sys.exit(f"unhealthy: {url}: {error}")


if __name__ == "__main__":
    main()
