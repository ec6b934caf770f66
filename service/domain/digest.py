"""Content digests: the names by which pictures are compared and checked.

It reads no files and stores nothing.
"""

import hashlib


def content_digest(content: bytes) -> str:
    """`sha256:` and the 64 lower-case hex digits of the content's SHA-256."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
