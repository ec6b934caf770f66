"""A name for the code that decides which stored requests and batches can be read: equal for equal code alone.

Processes of one version share it, whatever that calls itself. Too many names only cost an announcement each; one for
two versions would keep work from who can do it.
"""

import hashlib
from functools import cache
from importlib import resources

# Where what a request may hold is written, and how it is read.
_PACKAGES = ("service.domain", "service.gateway", "service.adapters", "xmdpt")


@cache
def reader_name() -> str:
    """16 hex digits; it reads some hundred files once."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".pyc")):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
